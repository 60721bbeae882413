"""Hard but valid images open as upright RGB; bad ones are refused by name."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.base.errors import InputError
from core.data.images import MAX_PIXELS, open_image


def ramp(width: int = 8, height: int = 6) -> np.ndarray:
    """Grey levels that tell the corners apart (height, width)."""
    return (np.arange(height * width).reshape(height, width) * 5).astype(np.uint8)


def opened(path: Path) -> np.ndarray:
    image = open_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_opens_as_rgb_with_its_brightness(mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{'png' if mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16') else 'tif'}"
    grey = Image.fromarray(ramp())
    if mode == "I;16":
        image = Image.fromarray((ramp().astype(np.uint16)) << 8)
    elif mode == "F":
        image = Image.fromarray(ramp().astype(np.float32))
    else:
        image = grey.convert(mode)
    image.save(path)
    found = opened(path)
    assert found.shape == (6, 8, 3)
    tolerance = 255 if mode == "1" else 4
    assert np.abs(found[..., 0].astype(int) - ramp()).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    upright = np.zeros((10, 20), np.uint8)
    upright[:5, :10] = 255
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo(upright))).save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(opened(tmp_path / "photo.png")[..., 0], upright)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "logo.png")
    assert (opened(tmp_path / "logo.png") == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (opened(tmp_path / "palette.png") == 255).all()


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (opened(tmp_path / "moving.gif")[0, 0] == (255, 0, 0)).all()


def test_names_in_hangul_open(tmp_path: Path) -> None:
    Image.fromarray(ramp()).save(tmp_path / "쏘나타 (뉴라이즈).png")
    assert opened(tmp_path / "쏘나타 (뉴라이즈).png").shape == (6, 8, 3)


def png_header_of(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [b"IHDR" + header, b"IDAT"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("notes.png", b"not an image at all", "not an image"),
        ("empty.jpg", b"", "not an image"),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
        ("bomb.png", png_header_of(MAX_PIXELS, 2), "too large"),
        ("large.png", png_header_of(MAX_PIXELS // 10, 11), "too large"),
    ],
)
def test_a_bad_file_is_refused_by_name(name: str, content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what) as caught:
        open_image(tmp_path / name)
    assert name in caught.value.where
    assert caught.value.fix


def test_a_truncated_and_a_missing_file_are_refused_by_name(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    with pytest.raises(InputError, match="damaged"):
        open_image(tmp_path / "half.jpg")
    with pytest.raises(InputError, match="missing"):
        open_image(tmp_path / "nowhere.jpg")


def test_a_file_that_is_not_the_registered_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(ramp()).save(path)
    written = path.read_bytes()
    sha256 = hashlib.sha256(written).hexdigest()
    assert np.array_equal(np.asarray(open_image(path, sha256=sha256)), opened(path))
    Image.fromarray(ramp() + 1).save(path)
    assert opened(path).any(), "a whole image, but another one"
    with pytest.raises(InputError, match="not the one that was registered") as caught:
        open_image(path, sha256=sha256)
    assert caught.value.where == str(path)
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        open_image(path, sha256=sha256)
