"""A whole image of an accepted format is accepted however odd; anything else is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contest.images import check_image, check_images
from tests.inputs.hard_images import PIXELS, encoded, hard_images, huge_png


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
