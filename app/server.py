"""The ASGI app: the engine starts and stops with the server, and thumbnails are served by row number, never by path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import streamlit as st
from starlette.routing import Route

from app import doorway
from app.thumbnails import thumbnail

MAIN = Path(__file__).with_name("main.py")


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start the engine before the first page, and stop it when the server ends; its jobs go back to the queue."""
    await anyio.to_thread.run_sync(doorway.engine)
    doorway.serve_thumbnails(True)
    try:
        yield {}
    finally:
        doorway.serve_thumbnails(False)
        await anyio.to_thread.run_sync(doorway.close)


app = st.App(MAIN, lifespan=lifespan, routes=[Route("/thumb/{contest}/{part}/{row:int}", thumbnail)])
