"""`python -m core`: everything the pages do, without a browser.

Loads neither arrays nor tables until a command needs them, and never torch: that is for the worker processes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType

import typer
from typer.core import TyperGroup

from core.base.errors import InputError, PitwallError
from core.commands import blends, checkpoints, contests, decisions, predict, predictions, queue, settings, tracking, training
from core.commands.console import WorkspaceOption, name_workspace, print_error

ORDER = (
    "sample",
    "contest",
    "folds",
    "train",
    "queue",
    "runs",
    "show",
    "checkpoints",
    "predictions",
    "blend",
    "blends",
    "submit",
    "predict",
    "engine",
    "tensorboard",
    "demo",
    "settings",
)


class InOrderOfTheFlow(TyperGroup):
    """Lists the commands as one needs them; a command that is not named in ORDER is an error at the first help."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    cls=InOrderOfTheFlow,
    name="pitwall",
    help="Pitwall without a browser: contest, folds, run, out-of-fold predictions, blend, submission.",
    epilog="A newcomer starts with `python -m core demo`. Every setting: `python -m core settings`.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for group in (contests, training, queue, checkpoints, predictions, decisions, predict, blends, tracking, settings):
    group.register(app)


@app.callback(invoke_without_command=True)
def _before_every_command(context: typer.Context, workspace: WorkspaceOption = None) -> None:
    name_workspace(workspace)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 2 after one typed error on standard error.

    A bug is neither: it keeps its traceback.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=given, prog_name="python -m core", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except PitwallError as error:
        print_error(error, as_json="--json" in given)
    except typer.TyperException as problem:
        print_error(_usage_error(problem), as_json="--json" in given)
    except (KeyboardInterrupt, typer.Abort):
        stopped = InputError(
            "stopped by you", where=" ".join(["python -m core", *given]), fix="run the same command again; what was finished is kept"
        )
        print_error(stopped, as_json="--json" in given)
    return 2


def _usage_error(problem: typer.TyperException) -> InputError:
    """What the parser refused, as an error of ours: the command it belongs to, and where its help is."""
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "python -m core"
    message = problem.format_message() if hasattr(problem, "format_message") else str(problem)  # type: ignore[attr-defined]
    return InputError(message.rstrip(".").replace("\n", " "), where=command, fix=f"see `{command} --help`")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A polite kill is treated like Ctrl-C, so that running jobs go back to the queue either way.
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
