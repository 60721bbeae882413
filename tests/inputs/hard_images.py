"""Images as people have them: hard but valid ones, in every form that Pillow writes, and the building of others."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

PIXELS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


@cache
def hard_images() -> dict[str, bytes]:
    """Files by name, each valid and each odd in its own way."""
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.arange(2000, dtype=np.uint16).reshape(40, 50))
    frames = [PIXELS.rotate(angle) for angle in (0, 90)]
    return {
        "cmyk.jpg": encoded(PIXELS.convert("CMYK"), "JPEG"),
        "progressive.jpg": encoded(PIXELS, "JPEG", progressive=True),
        "rotated.jpg": encoded(PIXELS, "JPEG", exif=exif),
        "padded.jpg": encoded(PIXELS, "JPEG") + b"\0" * 100,
        "trailer.jpg": encoded(PIXELS, "JPEG") + b"camera notes",
        "grey.jpg": encoded(PIXELS.convert("L"), "JPEG"),
        "deep.png": encoded(deep, "PNG"),
        "palette.png": encoded(PIXELS.convert("P"), "PNG", transparency=0),
        "alpha.png": encoded(PIXELS.convert("RGBA"), "PNG"),
        "bits.png": encoded(PIXELS.convert("1"), "PNG"),
        "animated.png": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "lossless.webp": encoded(PIXELS, "WEBP", lossless=True),
        "plain.bmp": encoded(PIXELS, "BMP"),
        "lzw.tiff": encoded(PIXELS, "TIFF", compression="tiff_lzw"),
        "wrong_suffix.png": encoded(PIXELS, "JPEG"),
        "one_pixel.png": encoded(PIXELS.crop((0, 0, 1, 1)), "PNG"),
    }


def huge_png() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels, in a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
