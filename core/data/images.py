"""One way to open an image, whoever made it: formats on a list, a limit of pixels, upright, eight-bit RGB.

Imports no torch, so that inspection, thumbnails and training see the same pixels.
"""

import hashlib
import io
import re
import sys
import warnings
from pathlib import Path
from typing import TypeGuard

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from core.base.errors import InputError
from core.base.files import sha256_file
from core.base.messages import reason

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 89_478_485
"""Pillow's own limit against decompression bombs (a quarter of a gigabyte of RGB)."""
BACKGROUND = (255, 255, 255)
LARGE_PX = 16_000_000
"""Of many images those with more pixels are decoded by one thread: each thread keeps the memory of the largest that it has decoded."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Whatever else Pillow warns of, such as odd EXIF data, is either no matter or raised later on.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def open_image(path: Path, *, sha256: str = "", white_level: float = 0.0, short_px: int = 0, content: bytes | None = None) -> Image.Image:
    """Read a file as upright RGB pixels; with `sha256` only if it still is the file that had it. `content` are its bytes where there is no file.

    EXIF orientation is applied; of an animation the first frame is taken; transparency is laid on white; grey, palette,
    CMYK and 16-bit images are converted. `white_level` is the value that becomes white where values are deeper than eight bits
    (0: 65535 of 16 bits). An image whose short side is above `short_px` is reduced to that, its proportions kept (0: none is).

    Raises InputError that names the file: missing, not an image, a format off the list, damaged, changed, or above MAX_PIXELS.
    """
    try:
        source = io.BytesIO(content) if content is not None else _unchanged(path, sha256) if sha256 else path
        with Image.open(source, formats=FORMATS) as image:
            size = reduced_size(image.size, short_px)
            if size != image.size:
                image.draft(None, size)  # of a JPEG less than twice those lines and columns are computed
            scaled = _scaled_colours(image, source, white_level) if white_level and _has_deep_colours(image) else image
            pixels = to_rgb(ImageOps.exif_transpose(scaled), white_level)
            if size == image.size:
                return pixels
            upright = size if (pixels.width > pixels.height) == (size[0] > size[1]) else (size[1], size[0])
            return pixels.resize(upright, Image.Resampling.BICUBIC, reducing_gap=1.0)  # means of whole blocks first, which is quick
    except FileNotFoundError:
        raise _missing(path) from None
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


def check_file(path: Path, sha256: str) -> None:
    """Raise InputError unless a file is there and has this sha256."""
    try:
        _compare(path, sha256_file(path), sha256)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as problem:
        raise InputError("an image is damaged", where=str(path), why=reason(problem), fix="replace the file") from None


def _missing(path: Path) -> InputError:
    return InputError("an image is missing", where=str(path), why="there is no such file", fix="put the file there, or correct the path")


def reduced_size(size: tuple[int, int], short_px: int) -> tuple[int, int]:
    """Width and height of an image once its short side is at most `short_px`; as they are for 0."""
    short, long = min(size), max(size)
    if not short_px or short <= short_px:
        return size
    reduced = round(long * short_px / short)
    return (short_px, reduced) if size[0] < size[1] else (reduced, short_px)


def _unchanged(path: Path, sha256: str) -> io.BytesIO:
    raw = path.read_bytes()
    _compare(path, hashlib.sha256(raw).hexdigest(), sha256)
    return io.BytesIO(raw)


def _compare(path: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise InputError(
            "an image is not the one that was registered",
            where=str(path),
            why="its sha256 is {found}, it was {before}: the file changed or is damaged",
            fix="put the file back as it was, or register the contest again",
            found=found[:12],
            before=sha256[:12],
        )


RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def squeeze(image: Image.Image, size_px: int, interpolation: str) -> Image.Image:
    """The whole image in a square of `size_px`, nothing cut off: what a network reads where nothing is augmented, whatever runs it."""
    return image.resize((size_px, size_px), RESAMPLING.get(interpolation, Image.Resampling.BICUBIC))


def to_rgb(image: Image.Image, white_level: float = 0.0) -> Image.Image:
    """Convert any mode of Pillow to RGB without losing what is seen."""
    if image.mode == "RGB":
        return image.copy() if image.readonly else image
    if _is_deep_grey(image):
        return Image.fromarray(_to_eight_bits(np.asarray(image), image.mode, white_level)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return image.convert("RGB")


DEEP_COLOURS = re.compile("(RGB|RGBA|RGBX);16[BLN]")
"""Colours of 16 bits as Pillow names them, of the order of bytes that the file or the machine has."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the values that cameras, scanners and detectors give."""


def level_of(most: float) -> float:
    """The white level of images whose largest value is `most`: the largest of the fewest bits that hold it; 1 for values up to 1."""
    return 1.0 if most <= 1 else float(2 ** next((bits for bits in DEPTHS if most < 2**bits), 16) - 1)


def largest_value(image: Image.Image) -> float:
    """Load an image; its largest value where values are deeper than eight bits, else 0.0.

    Of colours only the upper eight of their 16 bits are looked at, which is enough for `level_of`.
    """
    has_deep_colours = _has_deep_colours(image)
    image.load()
    if _is_deep_grey(image):
        return float(max(0, np.nan_to_num(np.asarray(image)).max(initial=0)))
    return float(np.asarray(image)[..., :3].max(initial=0)) * 256 + 255 if has_deep_colours else 0.0


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def _has_deep_colours(image: Image.Image) -> TypeGuard[ImageFile.ImageFile]:
    """A PNG or TIFF of 16 bits a colour that is not loaded yet: Pillow keeps the upper eight of them."""
    return DEEP_COLOURS.fullmatch(_raw_mode(image)) is not None


def is_cut_to_eight_bits(image: Image.Image) -> bool:
    """Whether of an image that is not loaded yet, 16 bits of grey with transparency, only the upper eight can be read."""
    return _raw_mode(image).startswith("LA;16")


def _raw_mode(image: Image.Image) -> str:
    """How the file of an image that is not loaded yet holds its values, by Pillow's name; "" where it does not say."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    given = tiles[0].args if tiles else ""
    return str(given[0] if isinstance(given, tuple) and given else given)


def _scaled_colours(image: ImageFile.ImageFile, source: Path | io.BytesIO, white_level: float) -> Image.Image:
    """An image of 16 bits a colour in eight. Read in the other order of bytes, the upper eight bits are the lower ones."""
    upper = np.asarray(image).astype(np.float64)
    if isinstance(source, io.BytesIO):
        source.seek(0)
    with Image.open(source, formats=FORMATS) as again:
        assert isinstance(again, ImageFile.ImageFile)  # an image from a file
        mode = _raw_mode(again)
        other = mode[:-1] + ("B" if mode[-1] == "L" or (mode[-1] == "N" and sys.byteorder == "little") else "L")
        again.tile = [tile._replace(args=other if isinstance(tile.args, str) else (other, *(tile.args or ())[1:])) for tile in again.tile]
        deep = upper * 256 + np.asarray(again)
    values = np.clip(np.rint(deep * (255.0 / white_level)), 0, 255)
    values[..., 3:] = upper[..., 3:]  # transparency has all 16 bits
    scaled = Image.fromarray(values.astype(np.uint8))
    scaled.info = dict(image.info)
    return scaled


def _to_eight_bits(values: np.ndarray, mode: str, white_level: float) -> np.ndarray:
    """Scale deep greys to 0..255: by the white level where it is known, else 16-bit by its full range, wider types by the range they use."""
    if mode.startswith("I;16") and not white_level:
        return (values.astype(np.uint32) >> 8).astype(np.uint8)
    deep = np.nan_to_num(values.astype(np.float64))
    top = 1.0 if mode == "F" and deep.max(initial=0) <= 1 else 255.0 if deep.max(initial=0) <= 255 else 65535.0
    return np.clip(np.rint(deep * (255.0 / (white_level or top))), 0, 255).astype(np.uint8)
