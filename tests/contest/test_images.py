"""A whole image of an accepted format is accepted however odd; anything else is named."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.contest.images import check_image, check_images

PIXELS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


@cache
def hard_images() -> dict[str, bytes]:
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


@pytest.mark.parametrize("name", hard_images())
def test_hard_but_valid_images_are_accepted(tmp_path: Path, name: str) -> None:
    raw = hard_images()[name]
    (tmp_path / name).write_bytes(raw)
    checked = check_image(tmp_path / name)
    assert checked.what == ""
    assert checked.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_image_is_refused(tmp_path: Path, format_: str, share: float) -> None:
    raw = encoded(PIXELS, format_)
    path = tmp_path / "cut"
    path.write_bytes(raw[: int(len(raw) * share)])
    assert check_image(path).what


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b"not an image at all", "accepted format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "accepted format"),
        (encoded(PIXELS, "PPM"), "accepted format"),
        (encoded(PIXELS, "ICO"), "accepted format"),
        (encoded(PIXELS, "PDF"), "accepted format"),
        (huge_png(), "pixels"),
    ],
)
def test_what_is_no_image_of_ours_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "x.png").write_bytes(raw)
    checked = check_image(tmp_path / "x.png")
    assert said in checked.what
    assert checked.fix
    assert not checked.sha256


def test_a_folder_or_nothing_is_unreadable(tmp_path: Path) -> None:
    assert "unreadable" in check_image(tmp_path).what
    assert "unreadable" in check_image(tmp_path / "nothing.png").what


def test_results_keep_their_order_and_progress_ends_at_the_total(tmp_path: Path) -> None:
    paths = []
    for number in range(150):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encoded(PIXELS.crop((0, 0, 1 + number % 40, 3)), "PNG"))
    seen: list[tuple[int, int]] = []
    checked = check_images(paths, lambda done, total: seen.append((done, total)))
    assert [item.sha256 for item in checked] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert seen == sorted(seen)
    assert seen[-1] == (150, 150)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(hard_images())),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes_never_raise(tmp_path_factory: pytest.TempPathFactory, name: str, flips: list[tuple[int, int]]) -> None:
    raw = bytearray(hard_images()[name])
    for place, mask in flips:
        raw[place % len(raw)] ^= mask
    path = tmp_path_factory.mktemp("flip") / name
    path.write_bytes(bytes(raw))
    checked = check_image(path)
    assert bool(checked.sha256) != bool(checked.what)
