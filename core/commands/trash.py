"""`trash`, and how every command deletes: it says what is deleted with it, asks, and puts all of it into the trash."""

import sys
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import typer

from core.base.errors import InputError
from core.base.messages import fill
from core.commands.console import (
    JsonOption,
    WorkspaceOption,
    YesOption,
    commands,
    note,
    opened,
    print_json,
    print_records,
    say,
)
from core.commands.records import when_text
from core.jobs.disk import size_text, with_reserve
from core.store import trash
from core.store.trash import Item, Kind, TrashEntry, plan_removal, put_in_trash
from core.trash import empty_trash, entry_bytes
from core.workspace import Workspace

app = commands()
trash_app = commands("List, restore or remove what was deleted in the last thirty days.")
app.add_typer(trash_app, name="trash")

COUNTED = {
    "contest": "{n} {n:contest|contests}",
    "folds": "{n} {n:set of folds|sets of folds}",
    "pretraining": "{n} {n:pretraining|pretrainings}",
    "run": "{n} {n:run|runs}",
    "blend": "{n} {n:blend|blends}",
    "submission": "{n} {n:submission|submissions}",
}
WHY = {"age": "its thirty days were over", "space": "space was needed", "person": "by hand"}


@trash_app.command("list")
def list_trash(root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List what is in the trash, newest first, and what it was emptied of in the last thirty days."""
    workspace = opened(root)
    print_records(
        [entry_record(workspace, entry) for entry in trash.list_trash(workspace.store)],
        {
            "ref": lambda record: record["ref"],
            "what": lambda record: record["what"],
            "with": lambda record: record["with"],
            ">size": lambda record: size_text(record["n_bytes"]) if record["n_bytes"] is not None else "",
            "deleted": lambda record: when_text(record["trashed_at"]),
            "kept until": lambda record: (
                when_text(record["kept_until"])
                if record["emptied_at"] is None
                else f"emptied {when_text(record['emptied_at'])}: {WHY[record['emptied_for']]}"
            ),
        },
        as_json=as_json,
        empty="the trash is empty",
    )


@trash_app.command("restore")
def restore(
    refs: Annotated[list[str], typer.Argument(metavar="ENTRY...", help="References such as t3.", show_default=False)],
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore what was deleted, with everything that was deleted with it."""
    workspace = opened(root)
    records = list[dict[str, Any]]()
    for ref in refs:
        restored = trash.restore(workspace.store, ref)
        renamed = {item.ref: name for item, name in restored.renamed.items()}
        records.append({"ref": ref, "items": [item.ref for item in restored.entry.items], "renamed": renamed})
        if not as_json:
            also = f", with {said}" if (said := count_text(restored.entry.follows)) else ""
            say(f"restored {names_text(restored.entry.asked)}{also}")
            for old, new in renamed.items():
                say(f"{old} is called '{new}' now: its name was taken meanwhile")
    if as_json:
        print_json(records)


@trash_app.command("empty")
def empty(yes: YesOption = False, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Delete what is in the trash permanently."""
    workspace = opened(root)
    waiting = [entry for entry in trash.list_trash(workspace.store) if entry.emptied_at is None]
    size = size_text(sum(entry_bytes(workspace, entry) for entry in waiting))
    if waiting:
        said = fill("{n} {n:entry|entries} with {size} {n:is|are} deleted permanently", {"n": len(waiting), "size": size})
        confirm(said, "empty the trash?", yes=yes)
    emptied = with_reserve(workspace, lambda: empty_trash(workspace))
    if as_json:
        print_json([entry.ref for entry in emptied])
    else:
        say(f"the trash is empty, {size} are free again" if emptied else "the trash is empty")


def delete(workspace: Workspace, chosen: Mapping[Kind, Collection[int]], *, yes: bool, as_json: bool) -> None:
    """Say what is deleted and what is deleted with it, ask, and put it into the trash. Raises as `put_in_trash` does."""
    removal = plan_removal(workspace.store, chosen)
    what, along = names_text(removal.asked), count_text(removal.follows)
    n = removal.n_waiting
    waiting = fill("; {n} waiting {n:job is|jobs are} canceled", {"n": n}) if n else ""
    goes = "goes" if len(removal.asked) == 1 else "go"
    said = f"{what} {goes} into the trash" + (f", and with it {along}: {names_text(removal.follows)}" if along else "") + waiting
    confirm(said, "delete?", yes=yes or bool(removal.running))  # what runs is refused anyway
    entry = with_reserve(workspace, lambda: put_in_trash(workspace.store, removal))
    if as_json:
        print_json(entry_record(workspace, entry))
    else:
        say(f"deleted, and kept until {when_text(entry.kept_until)}; restore with: python -m core trash restore {entry.ref}")


def confirm(said: str, question: str, *, yes: bool) -> None:
    """Say what would happen and ask. Raises InputError where nobody can answer, and when the answer is no."""
    note(said)
    can_ask = sys.stdin.isatty()
    if yes or (can_ask and typer.confirm(question, err=True)):
        return
    why = "the answer was no" if can_ask else f"{said}; nobody can be asked here"
    raise InputError("nothing was changed", where=question, why=why, fix="add --yes to the same command")


def entry_record(workspace: Workspace, entry: TrashEntry) -> dict[str, Any]:
    """An entry of the trash."""
    return {
        "ref": entry.ref,
        "what": names_text(entry.asked),
        "with": count_text(entry.follows),
        "items": [{"kind": item.kind, "ref": item.ref, "name": item.name} for item in entry.items],
        "n_bytes": entry_bytes(workspace, entry) if entry.emptied_at is None else None,
        "trashed_at": entry.trashed_at,
        "kept_until": entry.kept_until,
        "emptied_at": entry.emptied_at,
        "emptied_for": entry.emptied_for,
    }


def names_text(items: Collection[Item], most: int = 6) -> str:
    """Things by kind and name: `run base-b7 (r3), blend mix (b1) and 4 more`."""
    named = [f"{item.kind} {item.name}" + (f" ({item.ref})" if item.kind != "contest" else "") for item in items][:most]
    return ", ".join(named) + (f" and {len(items) - most} more" if len(items) > most else "")


def count_text(items: Collection[Item]) -> str:
    """How many of each kind: `5 runs, 1 blend`."""
    counts = Counter(item.kind for item in items)
    return ", ".join(fill(COUNTED[kind], {"n": n}) for kind, n in counts.items())
