"""The ASGI app: the engine starts and stops with the server, and thumbnails are served by row number, never by path."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

MAIN = Path(__file__).resolve().with_name("main.py")
if str(MAIN.parents[1]) not in sys.path:  # `streamlit run app/server.py` puts only app/ there
    sys.path.insert(0, str(MAIN.parents[1]))

import anyio.to_thread  # noqa: E402
import streamlit as st  # noqa: E402
from starlette.routing import Route  # noqa: E402

from app.shell import runtime  # noqa: E402
from app.shell.tables import thumbnail  # noqa: E402


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start the engine before the first page, and stop it when the server ends; its jobs go back to the queue."""
    await anyio.to_thread.run_sync(runtime.engine)
    runtime.serve_thumbnails(True)
    try:
        yield {}
    finally:
        runtime.serve_thumbnails(False)
        await anyio.to_thread.run_sync(runtime.close)


app = st.App(MAIN, lifespan=lifespan, routes=[Route("/thumb/{contest:int}/{part}/{row:int}", thumbnail)])
