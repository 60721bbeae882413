"""The ASGI app: the engine starts and stops with the server, and thumbnails are served by row number, never by path."""

import importlib
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

MAIN = Path(__file__).resolve().with_name("main.py")
if str(MAIN.parents[1]) not in sys.path:  # `streamlit run app/server.py` puts only app/ there
    sys.path.insert(0, str(MAIN.parents[1]))

import anyio.to_thread  # noqa: E402
import psutil  # noqa: E402
import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.routing import Route  # noqa: E402

from app.shell import runtime, state  # noqa: E402
from app.shell.own_pages import OwnPagesOnly  # noqa: E402
from app.shell.preload import Preload  # noqa: E402
from app.shell.tables import thumbnail  # noqa: E402
from app.words.text import TEXTS_DIR, load_texts  # noqa: E402
from core.base.errors import PitwallError  # noqa: E402
from core.store.contests import list_contests  # noqa: E402

READ_AHEAD_AFTER_S = 4.0
"""The first page comes first."""


def _import_pages() -> None:
    """Import what the pages need beside the first opening of one, which else takes seconds of it (SciPy and Plotly most)."""
    for module in (
        "streamlit.emojis",
        "app.train.recipe_view",
        "app.runs.run_view",
        "app.ensemble.editor",
        "app.ensemble.saved",
        "app.ensemble.members",
        "app.errors.outcomes",
        "app.submit.submit_view",
        "scipy.optimize",
    ):
        importlib.import_module(module)
    for words in TEXTS_DIR.glob("*.yaml"):
        load_texts(words.stem)


def _read_ahead() -> None:
    """Read what Errors and Submit open with in the contest that is selected at first: large arrays take seconds, files are checked."""
    from app.ui.sources import candidate_of, matrix_of_sources, rank_sources

    contests = state.newest_first(list_contests(runtime.workspace().store))
    with suppress(PitwallError):  # the page that needs it says what is wrong
        best = rank_sources(contests[0], complete=True)[:1] if contests else ()
        for source in best:
            matrix_of_sources(source)
            if source.contest.n_test:
                candidate_of(source)


def send_at_once() -> None:
    """Set TCP_NODELAY on the sockets that this process listens on; what they accept inherits it.

    asyncio sets it only where a socket names its protocol, which Streamlit's does not. Without it each answer of two packets, so each file of
    the frontend, waits 40 ms for the browser's delayed acknowledgement.
    """
    for connection in psutil.Process().net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.fd >= 0:
            with socket.socket(fileno=os.dup(connection.fd)) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start the engine before the first page, and stop it when the server ends; its jobs go back to the queue."""
    send_at_once()
    await anyio.to_thread.run_sync(runtime.start_engine)
    runtime.serve_thumbnails(True)
    threading.Thread(target=_import_pages, daemon=True).start()
    ahead = threading.Timer(READ_AHEAD_AFTER_S, _read_ahead)
    ahead.daemon = True
    ahead.start()
    try:
        yield {}
    finally:
        ahead.cancel()
        runtime.serve_thumbnails(False)
        await anyio.to_thread.run_sync(runtime.close)


app = st.App(
    MAIN,
    lifespan=lifespan,
    routes=[Route("/thumb/{contest}/{part}/{row}", thumbnail)],
    middleware=[Middleware(OwnPagesOnly), Middleware(Preload)],
)
