"""The route behind galleries: /thumb/{contest}/{train|test}/{row}, a small picture of one row of a contest."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageOps
from starlette.requests import Request
from starlette.responses import Response

from app import doorway
from core.contest.table import ContestTable, load_table
from core.errors import NotFoundError, PitwallError
from core.store.contests import Contest, get_contest
from core.workspace import resolve_inside

SIDE_PX = 192
MAX_PIXELS = 100_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def thumbnail(request: Request) -> Response:
    """Answer with a WebP of at most 192 px, 404 for a row that is not there, 415 for a picture that cannot be read."""
    name, part, row = request.path_params["contest"], request.path_params["part"], request.path_params["row"]
    try:
        contest = get_contest(doorway.workspace().store, name)
        body = draw(contest, part, row)
    except NotFoundError as error:
        return Response(str(error), status_code=404, media_type="text/plain")
    except PitwallError as error:
        return Response(str(error), status_code=415, media_type="text/plain")
    return Response(body, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400", "ETag": f'"{contest.fingerprint[:16]}-{row}"'})


def thumbnail_url(contest: Contest, part: str, row: int) -> str:
    """The address of a row's thumbnail; it changes when the contest's data does, so browsers may keep it."""
    return f"/thumb/{contest.name}/{part}/{row}?v={contest.fingerprint[:8]}"


@lru_cache(maxsize=2048)
def _draw(path: str) -> bytes:
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise NotFoundError("the picture is too large", where=path, why=f"{image.width} x {image.height} pixels")
        image.draft("RGB", (SIDE_PX * 2, SIDE_PX * 2))
        small = ImageOps.exif_transpose(image).convert("RGB")
        small.thumbnail((SIDE_PX, SIDE_PX))
        stream = io.BytesIO()
        small.save(stream, "WEBP", quality=82)
        return stream.getvalue()


def draw(contest: Contest, part: str, row: int) -> bytes:
    """The thumbnail of row `row` of `part` (train or test) as WebP bytes."""
    table = _table(contest.id, contest.fingerprint)
    frame = {"train": table.train, "test": table.test}.get(part)
    if frame is None or table.image_base is None or not 0 <= row < len(frame):
        raise NotFoundError("no such row", where=f"{contest.name}/{part}/{row}", why="it is outside the contest's table")
    return _draw(str(resolve_inside(table.image_base, frame["input"].iloc[row])))


@lru_cache(maxsize=4)
def _table(contest_id: int, _fingerprint: str) -> ContestTable:
    workspace = doorway.workspace()
    return load_table(workspace, get_contest(workspace.store, contest_id))
