"""The route behind galleries: /thumb/{contest}/{train|test}/{row}, a small picture of one row of a contest."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response

from app.shell import runtime
from app.shell.tables import table_of
from core.base.errors import NotFoundError, PitwallError
from core.data.images import open_image
from core.store.contests import Contest, get_contest

SIDE_PX = 192


def thumbnail(request: Request) -> Response:
    """Answer with a WebP of at most 192 px, 404 for a row that is not there, 415 for a picture that cannot be read.

    403 for a host name that is not ours (`server.allowedHosts`): a foreign page must not read pictures by DNS rebinding.
    """
    allowed: list[str] = st.get_option("server.allowedHosts")
    if allowed and request.url.hostname not in allowed:
        return Response("unknown host", status_code=403, media_type="text/plain")
    name, part, row = request.path_params["contest"], request.path_params["part"], request.path_params["row"]
    try:
        contest = get_contest(runtime.workspace().store, name)
        body = draw(contest, part, row)
    except NotFoundError as error:
        return Response(str(error), status_code=404, media_type="text/plain")
    except PitwallError as error:
        return Response(str(error), status_code=415, media_type="text/plain")
    return Response(
        body, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400", "ETag": f'"{contest.fingerprint[:16]}-{row}"'}
    )


def thumbnail_url(contest: Contest, part: str, row: int) -> str:
    """The address of a row's thumbnail; it carries the data's fingerprint, so that browsers may keep the picture."""
    return f"/thumb/{contest.name}/{part}/{row}?v={contest.fingerprint[:8]}"


def picture(contest: Contest, part: str, row: int) -> str:
    """What an `<img>` shows a row by: the address of its thumbnail where this server has the route, else the picture as a data address."""
    if runtime.has_thumbnails():
        return thumbnail_url(contest, part, row)
    return data_address(draw(contest, part, row))


def draw(contest: Contest, part: str, row: int) -> bytes:
    """The thumbnail of row `row` of `part` (train or test) as WebP bytes."""
    table = table_of(contest)
    frame = {"train": table.train, "test": table.test}.get(part)
    if frame is None or table.image_base is None or not 0 <= row < len(frame):
        raise NotFoundError("no such row", where=f"{contest.name}/{part}/{row}", why="it is outside the contest's table")
    return draw_file(table.image_path(frame["input"].iloc[row]))


@lru_cache(maxsize=2048)
def draw_file(path: Path) -> bytes:
    """A picture file, seen as training sees it, as WebP bytes of at most 192 px. Raises InputError for what is no whole picture."""
    image = open_image(path)
    image.thumbnail((SIDE_PX, SIDE_PX))
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=82)
    return stream.getvalue()


def data_address(body: bytes) -> str:
    """A thumbnail as an address that carries the picture itself, for files that belong to no contest yet."""
    return f"data:image/webp;base64,{base64.b64encode(body).decode('ascii')}"
