"""`backbone`: the catalogue of backbones with what this machine has beside it, and adding one that it does not list."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from core.commands.console import JsonOption, WorkspaceOption, commands, opened, print_json, print_records, say
from core.recipes.backbones import add_backbone
from core.recipes.plan import Listed, filter_backbones, list_backbones

app = commands()
backbone_app = commands("Search the backbones, and add text backbones that the catalogue does not list.")
app.add_typer(backbone_app, name="backbone")


@backbone_app.command("list")
def show_backbones(
    words: Annotated[list[str] | None, typer.Argument(help="Words in their name, family or note.", show_default=False)] = None,
    modality: Annotated[str, typer.Option(help="image or text.")] = "text",
    here: Annotated[bool, typer.Option("--here", help="Only those that need no hub.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List backbones, those whose weights are here first."""
    found = filter_backbones(list_backbones(opened(root), modality), " ".join(words or []), only_here=here)
    print_records(
        [_record(one) for one in found],
        {
            "name": lambda record: record["name"],
            ">M parameters": lambda record: f"{record['params_m']:g}",
            ">tokens or px": lambda record: str(record["max_tokens"] or record["input_px"]),
            "weights": lambda record: record["place"] or ("hub" if record["hub_id"] else ""),
            "licence": lambda record: record["licence"] or "unknown",
        },
        as_json=as_json,
        empty="no backbone has these words",
    )


@backbone_app.command("add")
def add(
    source: Annotated[str, typer.Argument(metavar="FOLDER|NAME", help="A folder that transformers saved, or a name of the hub.")],
    name: Annotated[str, typer.Option(help="What a folder is called here; else as it is called itself.", show_default=False)] = "",
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a folder into the workspace's weights/, or fetch a name of the hub, and say what its files say of it.

    Any encoder or decoder that transformers builds without code of its own: config.json, weights, tokenizer. From then on a recipe names it:
    --set model.backbone=NAME.
    """
    added = _record(add_backbone(opened(root), source, name))
    if as_json:
        print_json(added)
        return
    tokens = f"up to {added['max_tokens']} tokens" if added["max_tokens"] else "texts of any length"
    say(f"{added['name']} ({added['place']}): {added['family']}, {added['params_m']:g} M parameters, {tokens}")
    say(f"licence: {added['licence'] or 'unknown; its files name none, ask whoever made it'}")
    say(f"python -m core train CONTEST --recipe text-minilm --set model.backbone={added['name']}")


def _record(one: Listed) -> dict[str, Any]:
    return {**asdict(one.backbone), "place": one.place}
