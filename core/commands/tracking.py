"""`tensorboard`: the event files of every run, on loopback."""

from __future__ import annotations

from typing import Annotated

import typer

from core.commands.console import WorkspaceOption, opened, standard_error


def register(app: typer.Typer) -> None:
    app.command("tensorboard", short_help="Losses and metrics of every run in TensorBoard.")(tensorboard)


def tensorboard(
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="Else the first free one from 6006.", show_default=False)
    ] = None,
    command: Annotated[bool, typer.Option("--command", help="Only print what starts it without Pitwall.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the event files of every run of the workspace in TensorBoard, on 127.0.0.1, until Ctrl-C."""
    from core.tracking.board import board_command, start_board

    house = opened(workspace)
    if command:
        typer.echo(board_command(house))
        return
    board = start_board(house, port)
    try:
        typer.echo(board.url)
        standard_error().print("Ctrl-C ends it", markup=False, highlight=False)
        board.wait()
    except KeyboardInterrupt:
        standard_error().print("stopped", markup=False, highlight=False)
    finally:
        board.stop()
