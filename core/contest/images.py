"""One read of an image file: its sha256, and whether it is a whole image of an accepted format."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from core.base.messages import msg
from core.contest.files import FORMATS
from core.data.images import FORMATS as ACCEPTED
from core.data.images import MAX_PIXELS  # that module also makes Pillow's warning of large images an error

JPEG_END = b"\xff\xd9"
MAX_BYTES = 512 * 2**20
N_THREADS = min(16, 4 + (os.cpu_count() or 1))
TELL_EVERY = 64


@dataclass(frozen=True)
class Checked:
    """The sha256 of a file, or what is wrong with it and the fix."""

    sha256: str = ""
    what: str = ""
    fix: str = ""


def check_image(path: Path) -> Checked:
    """Read a file once, hash it, and see that it is a whole image; formats that carry no end mark are decoded."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Checked(what=msg("the file is larger than {n} MB", n=MAX_BYTES >> 20), fix="resize the image")
        raw = path.read_bytes()
    except OSError as problem:
        return Checked(
            what=msg("unreadable: {problem}", problem=problem.strerror or problem), fix="see that the file exists and may be read"
        )
    if not raw:
        return Checked(what="the image file is empty (0 bytes)", fix="download or export the image again")
    what, fix = _defect(raw)
    return Checked(what=what, fix=fix) if what else Checked(sha256=hashlib.sha256(raw).hexdigest())


def _defect(raw: bytes) -> tuple[str, str]:
    again = "download or export the image again"
    try:
        with Image.open(io.BytesIO(raw), formats=ACCEPTED) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return msg(
                    "{width} x {height} pixels are too many (limit {limit:,})", width=width, height=height, limit=MAX_PIXELS
                ), "resize the image"
            if image.format == "PNG":
                image.verify()
            elif not (image.format in ("JPEG", "MPO") and raw.rstrip(b"\0\r\n ").endswith(JPEG_END)):
                image.load()
    except UnidentifiedImageError:
        return msg("not an image of an accepted format ({formats})", formats=FORMATS), "convert it to PNG or JPEG, or take the row out"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return msg("too many pixels (limit {limit:,})", limit=MAX_PIXELS), "resize the image"
    except Exception as problem:  # noqa: BLE001 - Pillow's decoders raise anything on damaged bytes: that is what is told here
        return msg("damaged image: {problem}", problem=str(problem).partition(" (")[0] or type(problem).__name__), again
    return "", ""


def check_images(paths: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> list[Checked]:
    """Check many files on a few threads, in order; `progress(done, total)` is called from the calling thread."""
    results: list[Checked] = []
    with ThreadPoolExecutor(N_THREADS, thread_name_prefix="check-image") as pool:
        for result in pool.map(check_image, paths, chunksize=1):
            results.append(result)
            if progress and (len(results) % TELL_EVERY == 0 or len(results) == len(paths)):
                progress(len(results), len(paths))
    return results
