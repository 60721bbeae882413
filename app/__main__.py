"""`python -m app`: open the workbench on a workspace, from whatever folder it is called."""

import argparse
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 8501


def main() -> None:
    """Parse the arguments, change to the project's root, print the address, serve."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Open the Pitwall workbench in a browser.")
    parser.add_argument(
        "--workspace", type=Path, help="folder that holds contests, runs and submissions (default: PITWALL_WORKSPACE, else ./workspace)"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port on 127.0.0.1 (default: {DEFAULT_PORT}, or a free one if it is taken)"
    )
    arguments = parser.parse_args()
    if arguments.workspace is not None:
        os.environ["PITWALL_WORKSPACE"] = str(arguments.workspace)
    if "PITWALL_WORKSPACE" in os.environ:
        with suppress(OSError, RuntimeError, ValueError):  # what cannot be a path is said where it is opened
            os.environ["PITWALL_WORKSPACE"] = str(Path(os.environ["PITWALL_WORKSPACE"]).expanduser().resolve())
    os.chdir(ROOT)
    port = arguments.port if _is_free(arguments.port) else _free_port()
    if port != arguments.port:
        say(f"Port {arguments.port} is taken; using {port} instead.")
    _refuse_damage()
    say(f"Pitwall is at http://127.0.0.1:{port}  (Ctrl-C stops it)")

    from app.server import app

    try:
        app.run(config={"server.port": port, "server.address": "127.0.0.1"})
    except KeyboardInterrupt:  # Ctrl-C: the lifespan has stopped the engine by now
        say("Pitwall has stopped; what was running is back in the queue and goes on at the next start.")


def _refuse_damage() -> None:
    """Print what is wrong with the workspace; without this check the server would start and end with a traceback."""
    from core.base.errors import PitwallError
    from core.workspace import open_workspace

    try:
        open_workspace().store.check()
    except PitwallError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)


def say(line: str) -> None:
    """Write a line to standard output and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
