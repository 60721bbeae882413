"""The ASGI app: the engine starts and stops with the server, and thumbnails are served by row number, never by path."""

import importlib
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

MAIN = Path(__file__).resolve().with_name("main.py")
if str(MAIN.parents[1]) not in sys.path:  # `streamlit run app/server.py` puts only app/ there
    sys.path.insert(0, str(MAIN.parents[1]))

import anyio.to_thread  # noqa: E402
import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.routing import Route  # noqa: E402

from app.shell import runtime  # noqa: E402
from app.shell.own_pages import OwnPagesOnly  # noqa: E402
from app.shell.tables import thumbnail  # noqa: E402
from app.words.text import TEXTS_DIR, load_texts  # noqa: E402


def _import_pages() -> None:
    """Import what the pages need beside the first opening of one, which else takes seconds of it (SciPy and Plotly most)."""
    for room in (
        "train.recipe_view",
        "runs.run_view",
        "ensemble.editor",
        "ensemble.saved",
        "ensemble.members",
        "errors.outcomes",
        "submit.submit_view",
    ):
        importlib.import_module(f"app.{room}")
    for words in TEXTS_DIR.glob("*.yaml"):
        load_texts(words.stem)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start the engine before the first page, and stop it when the server ends; its jobs go back to the queue."""
    await anyio.to_thread.run_sync(runtime.start_engine)
    runtime.serve_thumbnails(True)
    threading.Thread(target=_import_pages, daemon=True).start()
    try:
        yield {}
    finally:
        runtime.serve_thumbnails(False)
        await anyio.to_thread.run_sync(runtime.close)


app = st.App(
    MAIN,
    lifespan=lifespan,
    routes=[Route("/thumb/{contest}/{part}/{row}", thumbnail)],
    middleware=[Middleware(OwnPagesOnly)],
)
