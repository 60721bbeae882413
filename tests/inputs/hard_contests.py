"""Contests that are hard to read but valid, by kind, and what must come out of them: texts to the letter, pixels as they look."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.contest.contest_folders import write_csv

Pixels = NDArray[np.uint8]
N_ROWS = 8
LOSSY = ("JPEG", "WEBP")
SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif"}


@dataclass(frozen=True)
class Expected:
    """What a contest holds: the inputs of its training rows in order, as texts or as pixels (height, width, 3), and their classes."""

    name: str
    texts: list[str] | None = None
    sets: list[set[str]] | None = None
    pixels: list[Pixels] | None = None
    tolerance: float = 0.0


def syllables(rng: random.Random, n: int) -> str:
    """Hangul words of syllables that cp949 has (all of modern Hangul)."""
    return " ".join("".join(chr(rng.randrange(0xAC00, 0xD7A4)) for _ in range(rng.randrange(1, 5))) for _ in range(n))


WORDS = [
    "배송이",
    "빨라서",
    "좋았어요",
    "화면은",
    "선명한데",
    "소리가",
    "작습니다",
    "다시는",
    "주문하지",
    "않을",
    "겁니다",
    "직원분이",
    "친절하고",
    "음식도",
    "맛있네요",
    "기대했던",
    "것보다",
    "훨씬",
    "재미있는",
    "영화",
    "정부가",
    "새로운",
    "정책을",
    "발표했다",
    "선수들은",
    "마지막",
    "경기에서",
    "역전승을",
    "거두었다",
    "꽃샘추위",
    "뚜껑",
    "쾌청",
    "읊조리다",
    "삯바느질",
]


def korean(rng: random.Random, n: int) -> str:
    """Words as people write them, some of rare syllables."""
    return " ".join(rng.choice(WORDS) for _ in range(n))


def _texts(root: Path, rng: random.Random, encoding: str, name: str, words: Callable[[random.Random, int], str] = syllables) -> Expected:
    delimiter = rng.choice((",", "\t", ";"))
    classes = [words(rng, 1) + mark for mark in "abcd"]
    sets, cells, spelling = _labels(rng, classes)
    texts = [f"{words(rng, rng.randrange(1, 6))} {number}" for number in range(len(sets))]
    rows = [(f"r{number}", text, cell) for number, (text, cell) in enumerate(zip(texts, cells, strict=True))]
    write_csv(root / "train.csv", ("번호", "문장", "분류"), rows, encoding=encoding, delimiter=delimiter)
    test = [(f"t{number}", words(rng, 3)) for number in range(3)]
    write_csv(root / "test.csv", ("번호", "문장"), test, encoding=encoding, delimiter=delimiter)
    write_csv(root / "sample_submission.csv", ("번호", "분류"), [(row, classes[0]) for row, _ in test], encoding=encoding)
    if rng.random() < 0.5:
        path = root / "train.csv"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return Expected(f"{name}, {delimiter!r}, {spelling}", texts=texts, sets=sets)


def _labels(rng: random.Random, classes: list[str]) -> tuple[list[set[str]], list[str], str]:
    """The classes of some rows, each of them or several in one, the cells they are written in, and how."""
    if rng.random() < 0.5:
        return [{classes[number % 2]} for number in range(N_ROWS)], [classes[number % 2] for number in range(N_ROWS)], "one class"
    between, quote = rng.choice((",", ", ", "|", " ", ";", "/")), rng.choice(("", "'", '"'))
    left, right = rng.choice((("", ""), ("[", "]")))
    lists = [*([name] for name in classes), *(rng.sample(classes, rng.randrange(5)) for _ in range(2 * N_ROWS)), classes[:2], classes[1:]]
    cells = [left + between.join(f"{quote}{name}{quote}" for name in names) + right for names in lists]
    return [set(names) for names in lists], cells, f"several in {left}{quote}a{quote}{between}{quote}b{quote}{right}"


def cp949(root: Path, rng: random.Random) -> Expected:
    """Tables as Korean spreadsheets save them."""
    return _texts(root, rng, "cp949", "cp949", korean)


def byte_order_mark(root: Path, rng: random.Random) -> Expected:
    """UTF-8 tables that begin with a mark."""
    return _texts(root, rng, "utf-8-sig", "BOM")


def decomposed(root: Path, rng: random.Random) -> Expected:
    """Names of macOS: files in one Unicode form, tables in the other, or in the same."""
    on_disk, in_table = rng.choice((("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")))
    folder = syllables(rng, 1)
    names = [f"{folder}/{syllables(rng, 1)} {number}.png" for number in range(N_ROWS)]
    pictures = [picture(rng) for _ in names]
    for name, pixels in zip(names, pictures, strict=True):
        path = root / unicodedata.normalize(on_disk, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    rows = [(unicodedata.normalize(in_table, name), "ab"[number % 2]) for number, name in enumerate(names)]
    write_csv(root / "train.csv", (unicodedata.normalize(in_table, "사진"), "label"), rows)
    return Expected(f"{on_disk} on disk, {in_table} in the table", pixels=pictures)


def picture(rng: random.Random) -> Pixels:
    """A smooth picture of a random size and its own colours, which lossy formats keep nearly as it is."""
    height, width = rng.randrange(18, 50), rng.randrange(18, 50)
    y, x = np.mgrid[0:height, 0:width]
    parts = [128 + 100 * np.sin((x * rng.uniform(0.02, 0.09) + y * rng.uniform(0.02, 0.09)) + rng.random() * 6) for _ in range(3)]
    return np.stack(parts, axis=-1).astype(np.uint8)


Draw = Callable[[random.Random], tuple[str, dict[str, object], list[Image.Image], Pixels]]
"""A format, options of Pillow, the frames to save, and the pixels that must be seen."""


def _images(draw: Draw) -> Callable[[Path, random.Random], Expected]:
    """A contest whose training images are all drawn so."""

    def make(root: Path, rng: random.Random) -> Expected:
        rows, seen, formats = [], [], set[str]()
        for number in range(N_ROWS):
            format_, options, frames, pixels = draw(rng)
            name = f"images/{number}{SUFFIX[format_]}"
            (root / "images").mkdir(parents=True, exist_ok=True)
            more = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
            frames[0].save(root / name, format_, **options, **more)
            rows.append((f"r{number}", name, "ab"[number % 2]))
            seen.append(pixels)
            formats.add(format_)
        write_csv(root / "train.csv", ("id", "path", "label"), rows)
        return Expected("/".join(sorted(formats)), pixels=seen, tolerance=14.0)

    return make


def _cmyk(rng: random.Random) -> tuple[str, dict[str, object], list[Image.Image], Pixels]:
    pixels = picture(rng)
    return rng.choice(("JPEG", "TIFF")), {}, [Image.fromarray(pixels).convert("CMYK")], pixels


def _sixteen_bits(rng: random.Random) -> tuple[str, dict[str, object], list[Image.Image], Pixels]:
    grey = picture(rng)[..., 0]
    low = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, grey.shape, dtype=np.uint16)
    deep = Image.fromarray((grey.astype(np.uint16) << 8) | low)
    return rng.choice(("PNG", "TIFF")), {}, [deep], np.repeat(grey[..., None], 3, axis=-1)


def _palette(rng: random.Random) -> tuple[str, dict[str, object], list[Image.Image], Pixels]:
    image = Image.fromarray(picture(rng)).quantize(rng.choice((2, 7, 16, 200)))
    return rng.choice(("PNG", "GIF", "BMP", "TIFF")), {}, [image], np.asarray(image.convert("RGB"))


TURNED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""How a camera stores an upright picture under each value of EXIF's orientation."""


def _rotated(rng: random.Random) -> tuple[str, dict[str, object], list[Image.Image], Pixels]:
    orientation, upright = rng.randrange(1, 9), picture(rng)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](upright)))
    return rng.choice(("JPEG", "PNG", "WEBP", "TIFF")), {"exif": exif}, [stored], upright


def _grey(rng: random.Random) -> tuple[str, dict[str, object], list[Image.Image], Pixels]:
    grey = picture(rng)[..., 0]
    mode = rng.choice(("L", "LA", "1"))
    if mode == "1":
        grey = ((grey > 128) * 255).astype(np.uint8)
    formats = {"L": ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"), "LA": ("PNG", "TIFF"), "1": ("PNG", "BMP", "TIFF")}[mode]
    return rng.choice(formats), {}, [Image.fromarray(grey).convert(mode)], np.repeat(grey[..., None], 3, axis=-1)


def _animated(rng: random.Random) -> tuple[str, dict[str, object], list[Image.Image], Pixels]:
    first = picture(rng)
    frames = [Image.fromarray(first), *(Image.fromarray(255 - first) for _ in range(rng.randrange(1, 4)))]
    return rng.choice(("GIF", "PNG", "WEBP", "TIFF")), {}, frames, first


KINDS: dict[str, Callable[[Path, random.Random], Expected]] = {
    "cp949": cp949,
    "BOM": byte_order_mark,
    "NFD": decomposed,
    "CMYK": _images(_cmyk),
    "16-bit": _images(_sixteen_bits),
    "palette": _images(_palette),
    "EXIF-rotated": _images(_rotated),
    "grey": _images(_grey),
    "animated": _images(_animated),
}
