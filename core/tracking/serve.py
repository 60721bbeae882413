"""TensorBoard on loopback as a child process: `python -m core.tracking.serve --workspace DIR`. Ends with its standard input."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tensorboard import program

from core.tracking.rebuild import rebuild_events
from core.workspace import open_workspace

LOOPBACK = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until standard input ends; the first line on standard output is the address."""
    parser = argparse.ArgumentParser(
        prog="core.tracking.serve", description="TensorBoard for a workspace. Started by `python -m core tensorboard`."
    )
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--port", default="default", help="else the first free one from 6006")
    given = parser.parse_args(arguments)
    workspace = open_workspace(given.workspace)
    workspace.events_dir.mkdir(parents=True, exist_ok=True)
    rebuild_events(workspace)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    board = program.TensorBoard()
    board.configure(logdir=str(workspace.events_dir), host=LOOPBACK, port=_port(given.port), window_title="Pitwall", reload_interval=5.0)
    sys.stdout.write(f"{board.launch()}\n")
    sys.stdout.flush()
    while os.read(0, 4096):
        pass
    return 0


def _port(given: str) -> int | None:
    return None if given == "default" else int(given)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
