"""The ASGI app: the engine starts and stops with the server, and thumbnails are served by row number, never by path."""

import importlib
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterable
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
from core.store.folds import list_folds  # noqa: E402
from core.store.runs import list_runs  # noqa: E402

FOR_THE_FIRST_PAGE = ("streamlit.emojis", "app.sidebar.devices", "app.contest.contest_view", "app.contest.trash_view")
FOR_OTHER_PAGES = (
    "app.train.recipe_view",
    "app.runs.run_view",
    "app.ensemble.editor",
    "app.ensemble.saved",
    "app.ensemble.members",
    "app.errors.outcomes",
    "app.submit.submit_view",
    "scipy.optimize",
)
"""What the pages import, which else takes seconds of the first opening of one (SciPy and Plotly most)."""
PREPARE_AFTER_S = 2.0
"""The first page comes first."""
MOST_AHEAD = 250_000_000
"""Predicted values, a gigabyte: more is read when the page Ensemble is opened."""


def _import(modules: Iterable[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    for words in TEXTS_DIR.glob("*.yaml"):
        load_texts(words.stem)


def _prepare() -> None:
    """Import what the other pages need, then read what they open with."""
    _import(FOR_OTHER_PAGES)
    _read_ahead()


def _read_ahead() -> None:
    """Read what Ensemble, Errors and Submit open with in the contest that is selected at first: large arrays take seconds, files are checked."""
    from app.ensemble.lineup import default_members
    from app.ensemble.score import fixed_scores
    from app.ensemble.session import predictions_of
    from app.ui.sources import candidate_of, matrix_of_sources, rank_sources

    store = runtime.workspace().store
    contests = state.newest_first(list_contests(store))
    for contest in contests[:1]:
        with suppress(PitwallError):  # the page that needs it says what is wrong
            opening = default_members(contest, list_folds(store, contest.id), list_runs(store, contest.id))
            if opening is not None and contest.n_train * len(contest.spec.classes) * len(opening[1]) <= MOST_AHEAD:
                fixed_scores(*predictions_of(contest, *opening))
        with suppress(PitwallError):
            for source in rank_sources(contest, complete=True)[:1]:
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
    await anyio.to_thread.run_sync(_import, FOR_THE_FIRST_PAGE)
    runtime.serve_thumbnails(True)
    later = threading.Timer(PREPARE_AFTER_S, _prepare)
    later.daemon = True
    later.start()
    try:
        yield {}
    finally:
        later.cancel()
        runtime.serve_thumbnails(False)
        await anyio.to_thread.run_sync(runtime.close)


app = st.App(
    MAIN,
    lifespan=lifespan,
    routes=[Route("/thumb/{contest}/{part}/{row}", thumbnail)],
    middleware=[Middleware(OwnPagesOnly), Middleware(Preload)],
)
