"""`python -m core`: everything the pages do, without a browser.

Loads neither arrays nor tables until a command needs them, and never torch: that is for the worker processes.
"""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from core.base.errors import InputError, PitwallError
from core.base.files import full_disk_told
from core.commands.console import WorkspaceOption, name_workspace, print_error

COMMANDS = {
    "sample": ("contests", "Open a built-in sample contest: digits or news."),
    "contest": ("contests", "Register, rename, correct, archive and delete contests."),
    "folds": ("contests", "Split the training rows into folds."),
    "texts": ("texts", "Show texts as a recipe's network reads them."),
    "backbone": ("backbones", "Search the backbones; add one from a folder or the hub."),
    "tapt": ("pretraining", "Let a backbone learn from a contest's texts first."),
    "train": ("training", "Train a recipe over the folds of a contest."),
    "levels": ("levels", "Propose coarse classes; compare two levels with flat."),
    "queue": ("queue", "Show the queue and change it."),
    "runs": ("runs", "List a contest's runs with score and state."),
    "show": ("runs", "Show one run: recipe, folds, failures."),
    "checkpoints": ("runs", "List a run's checkpoints and weights, verified."),
    "predictions": ("predictions", "Import predictions made elsewhere as a run; export a run's."),
    "blend": ("blends", "Blend runs, score the blend and save it."),
    "blends": ("blends", "List, compare, rename and delete blends."),
    "submit": ("blends", "Write a submission file."),
    "predict": ("predict", "Predict the test set, files or a text from stored weights."),
    "strengths": ("strengths", "How strong each class is in groups of rows, by any column."),
    "probe": ("views", "What blur, noise, crops and other light cost a run's score."),
    "export": ("predict", "Export a run's networks: ONNX, or transformers."),
    "engine": ("training", "Run the queue without a browser."),
    "run": ("runs", "Rename, annotate and delete runs."),
    "pretraining": ("pretraining", "List, compare and delete adapted backbones."),
    "submission": ("blends", "List and delete submissions."),
    "cache": ("cache", "List, bound and clear the reduced images on the disk."),
    "trash": ("trash", "List, restore or remove what was deleted."),
    "tensorboard": ("runs", "Losses and metrics of every run in TensorBoard."),
    "demo": ("training", "Both samples from data to submission, then the app."),
    "settings": ("settings", "Every setting with its range and meaning."),
}
"""Every command in the order in which one needs them: its module in core/commands, and its line in the help."""


class Commands(TyperGroup):
    """Imports the module of a command when it is called; the help needs none."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, short_help=line) for name, (_, line) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        module = import_module(f"core.commands.{COMMANDS[str(name)][0]}")
        return name, get_group(module.app).commands[str(name)], rest


app = typer.Typer(
    cls=Commands,
    name="pitwall",
    help="Pitwall without a browser: contest, folds, run, out-of-fold predictions, blend, submission.",
    epilog="A newcomer starts with `python -m core demo`. Every setting: `python -m core settings`.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


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
        with full_disk_told():
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
