"""How a command speaks: results on standard output, progress and errors on standard error, JSON where it is asked for.

Whatever a command does, it ends with 0, or with 2 and exactly one typed error.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

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
ContestOption = Annotated[
    str | None, typer.Option("--contest", metavar="CONTEST", help="Whose, when a name is used twice.", show_default=False)
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A reference such as r12, or a name.", show_default=False)]
SourceArgument = Annotated[str, typer.Argument(metavar="BLEND|RUN", help="A reference such as b3 or r12, or a name.", show_default=False)]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The new name, in quotes where it has spaces.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

HIDDEN = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
"""Signs that a terminal obeys in place of showing them: control codes, and those that turn the direction of a line."""
UNESCAPED = {code: f"\\u{code:04x}" for code in HIDDEN if code > 31}
"""Those of them that JSON leaves as they are."""

_named_before_the_command: ContextVar[Path | None] = ContextVar("workspace", default=None)


def commands(help: str | None = None) -> typer.Typer:
    """Commands of one part of the line; with `help` a group of them, which shows its help when none is named."""
    if help is None:
        return typer.Typer(rich_markup_mode=None)
    return typer.Typer(rich_markup_mode=None, help=help, callback=_help_without_command, invoke_without_command=True)


def _help_without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def name_workspace(root: Path | None) -> None:
    """Keep what `--workspace` before the command says; the same option behind the command has precedence."""
    _named_before_the_command.set(root)


def opened(root: Path | None) -> Workspace:
    """The workspace that the person named, or the default one."""
    return open_workspace(root or _named_before_the_command.get())


def visible(text: str) -> str:
    """A text whose control codes are written out: names of classes and files are other people's, and a terminal would obey them."""
    return text.translate(HIDDEN)


class VisibleConsole(Console):
    """A console that shows the control codes of what it prints."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed; rich's own, which move the cursor, stay as they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def standard_output() -> Console:
    """Where results go. Not wrapped or cut when it is no terminal, so that they can be searched and piped."""
    return VisibleConsole(emoji=False, width=None if sys.stdout.isatty() else 200)


def standard_error(*, quiet: bool = False) -> Console:
    """Where progress and messages go."""
    return VisibleConsole(stderr=True, emoji=False, quiet=quiet, width=None if sys.stderr.isatty() else 200)


def say(text: str) -> None:
    """A result in a line or more of text, on standard output."""
    standard_output().print(text, markup=False, highlight=False)


def note(text: str) -> None:
    """What to know beside the result, on standard error."""
    standard_error().print(text, markup=False, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False).translate(UNESCAPED) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", empty: str = "nothing yet") -> None:
    """A table on standard output; a column whose name starts with `>` is aligned to the right."""
    if not rows:
        standard_output().print(empty, markup=False)
        return
    table = Table(
        title=Text(title, style="table.title") if title else None,
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        table.add_column(Text(column.removeprefix(">")), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    standard_output().print(table)


def print_records(
    records: Sequence[Any], columns: Mapping[str, Callable[[Any], str]], *, as_json: bool, title: str = "", empty: str = "nothing yet"
) -> None:
    """Records as one JSON document, or as a table with a text of each in every column; `columns` are named as those of `print_table`."""
    if as_json:
        print_json(records)
    else:
        print_table(list(columns), [[cell(record) for cell in columns.values()] for record in records], title=title, empty=empty)


def print_error(error: PitwallError, *, as_json: bool) -> None:
    """The one typed error of a command that failed, on standard error."""
    if as_json:
        sys.stderr.write(json.dumps({"error": error.to_dict()}, ensure_ascii=False).translate(UNESCAPED) + "\n")
        return
    details = "".join(f"\n  {label}: {text}" for label, text in (("where", error.where), ("why", error.why), ("fix", error.fix)) if text)
    sys.stderr.write(visible(f"{error.kind}: {error.what}{details}\n"))
