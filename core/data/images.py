"""One way to open an image, whoever made it: formats on a list, a limit of pixels, upright, eight-bit RGB.

Imports no torch, so that inspection, thumbnails and training see the same pixels.
"""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.base.errors import InputError
from core.base.messages import reason

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 89_478_485
"""Pillow's own limit against decompression bombs (a quarter of a gigabyte of RGB)."""
BACKGROUND = (255, 255, 255)

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Whatever else Pillow warns of, such as odd EXIF data, is either no matter or raised later on.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def open_image(path: Path, *, sha256: str = "") -> Image.Image:
    """Read a file as upright RGB pixels; with `sha256` only if it still is the file that had it.

    EXIF orientation is applied; of an animation the first frame is taken; transparency is laid on white; grey, palette,
    CMYK and 16-bit images are converted. Raises InputError that names the file: missing, not an image, a format off the
    list, damaged, changed, or above MAX_PIXELS.
    """
    try:
        with Image.open(_unchanged(path, sha256) if sha256 else path, formats=FORMATS) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise InputError(
            "an image is missing", where=str(path), why="there is no such file", fix="put the file there, or correct the path"
        ) from None
    except UnidentifiedImageError:
        raise InputError(
            "a file is not an image",
            where=str(path),
            why="it is none of {formats}",
            fix="convert it to PNG or JPEG, or remove its row",
            formats=", ".join(FORMATS),
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(
            "an image is too large",
            where=str(path),
            why="it has more than {n:.0f} million pixels",
            fix="scale it down before adding it",
            n=MAX_PIXELS / 1000000.0,
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as problem:
        raise InputError("an image is damaged", where=str(path), why=reason(problem), fix="replace the file") from None


def _unchanged(path: Path, sha256: str) -> io.BytesIO:
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise InputError(
            "an image is not the one that was registered",
            where=str(path),
            why="its sha256 is {found}, it was {before}: the file changed or is damaged",
            fix="put the file back as it was, or register the contest again",
            found=found[:12],
            before=sha256[:12],
        )
    return io.BytesIO(raw)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode of Pillow to RGB without losing what is seen."""
    if image.mode == "RGB":
        return image.copy() if image.readonly else image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_to_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale deep greys to 0..255: 16-bit by its full range, wider types by the range they use."""
    if mode.startswith("I;16"):
        return (values.astype(np.uint32) >> 8).astype(np.uint8)
    deep = np.nan_to_num(values.astype(np.float64))
    top = 1.0 if mode == "F" and deep.max(initial=0) <= 1 else 255.0 if deep.max(initial=0) <= 255 else 65535.0
    return np.clip(np.rint(deep * (255.0 / top)), 0, 255).astype(np.uint8)
