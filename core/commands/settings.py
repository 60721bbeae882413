"""`settings`: every field a person can set, with its range and help, read from the models themselves."""

import json
import typing
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from core.base.settings import Settings, walk_fields
from core.blend.procedure import BlendProcedure
from core.commands.console import JsonOption, commands, print_json, print_table
from core.specs.blend import BlendSpec
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe

app = commands()
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@app.command("settings")
def show_settings(
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List every setting of a recipe, a contest, folds and a blend, with its default, range and meaning."""
    if as_json:
        print_json({title: rows for title, _, rows in all_settings()})
        return
    if as_markdown:
        typer.echo(settings_page(), nl=False)
        return
    for title, _, rows in all_settings():
        print_table(
            ["setting", "default", "range", "meaning"],
            [(row["setting"], _default_text(row), row["range"], row["meaning"]) for row in rows],
            title=title,
        )
        typer.echo()


def all_settings() -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(title, how it is given, its fields) of each model that a person fills."""
    return [
        (
            "Recipe",
            "a YAML file or a preset for `train --recipe`, changed by `--set a.b=c`, or the form of the page Train",
            fields_of(Recipe),
        ),
        (
            "Contest",
            "`contest add --set field=value`, or the form of the page Data; inspection proposes every value",
            fields_of(ContestSpec),
        ),
        ("Folds", "the options of `folds make`, or the form of the page Folds", fields_of(FoldsSpec)),
        ("Blend procedure", "the options of `blend`, or the page Ensemble; fitted, it gives a blend", fields_of(BlendProcedure)),
        ("Blend", "a procedure, or the weight sliders of the page Ensemble", fields_of(BlendSpec)),
    ]


def fields_of(model: type[Settings]) -> list[dict[str, Any]]:
    """One row per field: dotted name, default (absent where one must be given), range and meaning."""
    rows: list[dict[str, Any]] = []
    for path, field, _ in walk_fields(model):
        row: dict[str, Any] = {"setting": path, "range": range_text(field), "meaning": field.description or ""}
        if not field.is_required():
            row["default"] = field.get_default(call_default_factory=True)
        rows.append(row)
    return rows


def range_text(field: FieldInfo) -> str:
    """What a field accepts: its choices, or its type and bounds."""
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(str(choice) for choice in typing.get_args(field.annotation))
    item = typing.get_args(field.annotation)[0] if typing.get_origin(field.annotation) is tuple else None
    if typing.get_origin(item) is typing.Literal:
        return f"list of {', '.join(str(choice) for choice in typing.get_args(item))}"
    names = {bool: "true, false", int: "integer", float: "number", str: "text"}
    kind = names.get(field.annotation, "list") if isinstance(field.annotation, type) else "list"
    limits = [f"{sign} {getattr(limit, name)}" for limit in field.metadata for name, sign in BOUNDS.items() if hasattr(limit, name)]
    return " ".join([kind, ", ".join(limits)]).strip()


def settings_page() -> str:
    """docs/settings.md, whole; a test holds that the file is this text."""
    lines = [
        "# Settings",
        "",
        "Made by `make docs` from the models in `core`; do not edit by hand. On a terminal: `python -m core settings`.",
        "Unknown names and values outside a range are refused, all problems at once.",
    ]
    for title, how, rows in all_settings():
        lines += ["", f"## {title}", "", f"Given by {how}.", "", "| setting | default | range | meaning |", "|---|---|---|---|"]
        lines += [f"| `{row['setting']}` | {_code(_default_text(row))} | {row['range']} | {row['meaning']} |" for row in rows]
    return "\n".join(lines) + "\n"


def _default_text(row: dict[str, Any]) -> str:
    if "default" not in row:
        return "required"
    return json.dumps(row["default"], ensure_ascii=False) if row["default"] not in ("", ()) else "empty"


def _code(text: str) -> str:
    return text if text in ("required", "empty") else f"`{text}`"
