"""How a command speaks: results on standard output, progress and errors on standard error, JSON where it is asked for.

Whatever a command does, it ends with 0, or with 2 and exactly one typed error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.base.errors import PitwallError
from core.workspace import ENV_VARIABLE, Workspace, open_workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", metavar="DIR", help=f"The workspace; else {ENV_VARIABLE}, else ./workspace.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="A.B=C", help="Change one setting; may be repeated.", show_default=False)
]
ContestArgument = Annotated[str, typer.Argument(metavar="CONTEST", help="Name of the contest.", show_default=False)]


def help_without_command(context: typer.Context) -> None:
    """Show a group's help when no command is named; the callback of groups that do nothing by themselves."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_named_before_the_command: ContextVar[Path | None] = ContextVar("workspace", default=None)


def name_workspace(root: Path | None) -> None:
    """Keep what `--workspace` before the command says; the same option behind the command has precedence."""
    _named_before_the_command.set(root)


def opened(root: Path | None) -> Workspace:
    """The workspace that the person named, or the default one."""
    return open_workspace(root or _named_before_the_command.get())


def standard_output() -> Console:
    """Where results go. Not wrapped or cut when it is no terminal, so that they can be searched and piped."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def standard_error() -> Console:
    """Where progress and messages go."""
    return Console(stderr=True) if sys.stderr.isatty() else Console(stderr=True, width=200)


def print_json(value: Any) -> None:
    """One JSON document on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", empty: str = "nothing yet") -> None:
    """A table on standard output; a column whose name starts with `>` is aligned to the right."""
    if not rows:
        standard_output().print(empty, markup=False)
        return
    table = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    standard_output().print(table)


def print_error(error: PitwallError, *, as_json: bool) -> None:
    """The one typed error of a command that failed, on standard error."""
    if as_json:
        sys.stderr.write(json.dumps({"error": error.to_dict()}, ensure_ascii=False) + "\n")
        return
    details = "".join(f"\n  {label}: {text}" for label, text in (("where", error.where), ("why", error.why), ("fix", error.fix)) if text)
    sys.stderr.write(f"{error.kind}: {error.what}{details}\n")


def _plain(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)
