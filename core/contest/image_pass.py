"""The one pass over a contest's images: each is decoded once, which says its hash, how deep its values are, and whether it is damaged.

What a network is given in place of a damaged image is made here too: what can still be read of it, or a blank.
"""

import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from core.base.errors import InputError
from core.base.messages import msg
from core.contest.files import FORMATS
from core.data import images  # it also makes Pillow's warning of large images an error

MAX_BYTES = 512 * 2**20
N_THREADS = min(16, 4 + (os.cpu_count() or 1))
REPORT_EVERY_S = 0.1
DARK = 16
"""The largest value of eight bits below which an image of 16 holds no more than 12."""
BLANK_GREY = 128
BLANK_PX = 64
Progress = Callable[[int, int], None]

_tolerant = threading.Lock()


@dataclass(frozen=True)
class Checked:
    """What the pass found in a file. `sha256` is that of its bytes, "" where they cannot be read.

    `what` is wrong with it ("" when nothing is), with the `fix`. `most` is the largest value of an image whose values are deeper than
    eight bits, 0 for all others.
    """

    sha256: str = ""
    what: str = ""
    fix: str = ""
    most: float = 0.0


def check_image(path: Path) -> Checked:
    """Read a file once: hash it, and decode it as training will."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Checked(what=msg("the file is larger than {n} MB", n=MAX_BYTES >> 20), fix="resize the image")
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            if not stream.tell():
                return Checked(sha256, "the image file is empty (0 bytes)", "download or export the image again")
            return _decoded(stream, sha256)
    except OSError as problem:
        return Checked(
            what=msg("unreadable: {problem}", problem=problem.strerror or problem), fix="see that the file exists and may be read"
        )


def _decoded(stream: io.BufferedReader, sha256: str) -> Checked:
    try:
        stream.seek(0)
        with Image.open(stream, formats=images.FORMATS) as header:
            if header.width * header.height > images.MAX_PIXELS:
                what = "{width} x {height} pixels are too many (limit {limit:,})"
                said = msg(what, width=header.width, height=header.height, limit=images.MAX_PIXELS)
                return Checked(sha256, said, "resize the image")
            if header.format == "PNG":
                header.verify()  # the checksums, which decoding does not look at
        stream.seek(0)
        with Image.open(stream, formats=images.FORMATS) as image:
            # The whole stream of a JPEG is read all the same, but only an eighth of its lines and columns is computed.
            image.draft("RGB", (1, 1))
            is_cut = images.is_cut_to_eight_bits(image)
            most = images.largest_value(image)
            if is_cut and np.asarray(image)[..., 0].max(initial=0) < DARK:
                return Checked(
                    sha256, "grey of 16 bits with transparency that holds fewer: it would be read as black", "save it with 8 bits"
                )
            image.close()  # its pixels go now: a TIFF keeps them in a circle, until the collector comes
    except UnidentifiedImageError:
        what = msg("not an image of an accepted format ({formats})", formats=FORMATS)
        return Checked(sha256, what, "convert it to PNG or JPEG, or take the row out")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Checked(sha256, msg("too many pixels (limit {limit:,})", limit=images.MAX_PIXELS), "resize the image")
    except Exception as problem:  # noqa: BLE001 - Pillow's decoders raise anything on damaged bytes: that is what is reported here
        said = str(problem).partition(" (")[0] or type(problem).__name__
        return Checked(sha256, msg("damaged image: {problem}", problem=said), "download or export the image again")
    return Checked(sha256, most=most)


def _check_small(path: Path) -> Checked | None:
    """`check_image`, but None for a large one."""
    with suppress(Exception), Image.open(path, formats=images.FORMATS) as image:
        if image.width * image.height > images.LARGE_PX:
            return None
    return check_image(path)


def check_images(paths: Sequence[Path], progress: Progress | None = None) -> list[Checked]:
    """Check many files on a few threads, in order; `progress(done, total)` is called from the calling thread, and may raise to stop."""
    results: list[Checked] = []
    said_at = 0.0
    with ThreadPoolExecutor(N_THREADS, thread_name_prefix="check-image") as pool:
        try:
            for path, result in zip(paths, pool.map(_check_small, paths), strict=True):
                results.append(result or check_image(path))
                if progress and (len(results) == len(paths) or time.monotonic() - said_at >= REPORT_EVERY_S):
                    said_at = time.monotonic()
                    progress(len(results), len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def what_can_be_read(path: Path) -> bytes | None:
    """A damaged image as a PNG, grey where nothing of it is left; None where it has no pixels to read."""
    with _tolerant:
        ImageFile.LOAD_TRUNCATED_IMAGES = True  # of the whole process: whoever opens a damaged image meanwhile sees what can be read too
        try:
            return _png(images.open_image(path))
        except InputError:
            return None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def blank() -> bytes:
    """A grey image as a PNG."""
    return _png(Image.new("RGB", (BLANK_PX, BLANK_PX), (BLANK_GREY,) * 3))


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
