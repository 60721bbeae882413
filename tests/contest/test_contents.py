"""What registration finds in the rows: damaged images and what is chosen for them, images of more than eight bits, copies."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.base.errors import InputError
from core.base.files import fingerprint
from core.contest.contents import found_at_registration, rows_fingerprint
from core.contest.image_pass import check_image
from core.contest.inspect.draft import inspect_path
from core.contest.table import load_table, load_truth
from core.data.images import open_image
from core.store.contests import Contest
from core.workspace import Workspace
from tests.contest.contest_folders import image_contest, registered, text_contest, write_csv, write_image


def said(workspace: Workspace, contest: Contest) -> str:
    return "\n".join(f"{check.value}: {check.detail}" for check in found_at_registration(workspace, contest))


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def damaged(root: Path, row: int, kind: str) -> Path:
    """Damage the image of a row: cut off, a hole in the middle with the end in place, empty, or a web page."""
    raw = jpeg(row)
    content = {
        "cut": raw[: len(raw) // 2],
        "hole": raw[:160] + bytes(range(256)) * 2 + raw[-200:],
        "empty": b"",
        "page": b"<html>404</html>",
    }[kind]
    path = root / f"images/{row:03d}.png"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["cut", "hole", "empty", "page"])
@pytest.mark.parametrize("row", [2, 10])
def test_a_damaged_image_is_found_and_the_choices_are_named(workspace: Workspace, tmp_path: Path, kind: str, row: int) -> None:
    root = image_contest(tmp_path / "c")
    damaged(root, row, kind)
    with pytest.raises(InputError) as caught:
        registered(workspace, root)
    assert f"images/{row:03d}.png" in str(caught.value)
    assert ("damaged_train=leave_out" if row < 9 else "damaged_test=blank") in caught.value.fix
    assert not any((workspace.root / "contests").iterdir())


def test_a_training_row_is_left_out_and_the_truth_says_so(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    damaged(root, 2, "hole")
    contest, _ = registered(workspace, root, "damaged_train=leave_out")
    assert load_truth(workspace, contest).kept.tolist() == [row != 2 for row in range(9)]
    assert (contest.truth.n_dropped, contest.truth.reason) == (1, "left out at registration")
    assert "images/002.png" in said(workspace, contest)


@pytest.mark.parametrize("choice", ["blank", "repair"])
def test_a_test_image_has_a_stand_in_until_a_whole_one_is_put_in_its_place(workspace: Workspace, tmp_path: Path, choice: str) -> None:
    root = image_contest(tmp_path / "c")
    path = damaged(root, 10, "cut")
    contest, _ = registered(workspace, root, f"damaged_test={choice}")
    table = load_table(workspace, contest)
    name, sha256 = table.test["input"].tolist()[1], table.test["sha256"].tolist()[1]
    pixels = np.asarray(open_image(table.image_path(name), sha256=sha256))
    assert (pixels == 128).all() == (choice == "blank")
    if choice == "repair":
        assert np.array_equal(pixels[:8], np.asarray(Image.open(io.BytesIO(jpeg(10))))[:8])
    path.write_bytes(jpeg(10))
    table = load_table(workspace, contest)
    assert table.image_path(name) == path
    assert table.test["sha256"].tolist()[1] == hashlib.sha256(jpeg(10)).hexdigest()
    path.write_bytes(b"damaged in another way")
    assert load_table(workspace, contest).image_path(name) != path


def test_what_cannot_be_read_at_all_is_not_repaired(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    damaged(root, 2, "empty")
    with pytest.raises(InputError) as caught:
        registered(workspace, root, "damaged_train=repair")
    assert "leave_out" in caught.value.fix and "repair" not in caught.value.fix


def test_a_class_that_has_no_row_left_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    for row in (0, 3, 6):
        damaged(root, row, "cut")
    with pytest.raises(InputError, match="no row has the class 'cat'"):
        registered(workspace, root, "damaged_train=leave_out")


def deep_png(path: Path, values: np.ndarray) -> None:
    """Write values (h, w), (h, w, 3) or grey and transparency (h, w, 2) as a PNG of 16 bits."""
    if values.ndim == 2:
        Image.fromarray(values.astype(np.uint16)).save(path)
        return
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2 if values.shape[2] == 3 else 4, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def deep_tiff(path: Path, values: np.ndarray, *, is_packed: bool) -> None:
    """Write values (h, w, 3) as a TIFF of 16 bits a colour, which Pillow cannot write."""
    height, width = values.shape[:2]
    data = values.astype("<u2").tobytes()
    data = zlib.compress(data) if is_packed else data
    place = 8 + 2 + 12 * 10 + 4
    tags = [(256, width), (257, height), (258, place), (259, 8 if is_packed else 1), (262, 2)]
    tags += [(273, place + 6), (277, 3), (278, height), (279, len(data)), (284, 1)]
    entries = [struct.pack("<HHII", tag, 3, 3, value) if tag == 258 else struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    path.write_bytes(
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + struct.pack("<HHH", 16, 16, 16) + data
    )


@pytest.mark.parametrize("is_packed", [False, True])
def test_colours_of_a_deep_tiff_are_scaled_as_those_of_a_png(tmp_path: Path, is_packed: bool) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (10, 12, 3))
    deep_tiff(tmp_path / "a.tif", values, is_packed=is_packed)
    assert check_image(tmp_path / "a.tif").most >= values.max()
    seen = np.asarray(open_image(tmp_path / "a.tif", white_level=4095))
    np.testing.assert_array_equal(seen, np.rint(values * (255 / 4095)))


def test_grey_with_transparency_that_would_be_black_is_said(tmp_path: Path) -> None:
    for most, said in ((4095, "read as black"), (65535, "")):
        deep_png(tmp_path / "a.png", np.stack([np.full((4, 4), most), np.full((4, 4), 65535)], axis=-1))
        assert said in (what := check_image(tmp_path / "a.png").what) and bool(what) == bool(said)


def test_images_with_another_suffix_are_not_left_out_in_silence(tmp_path: Path) -> None:
    for number, name in enumerate(["cat/1.png", "cat/2.jpg_large", "dog/1.png", "dog/notes.txt"]):
        (tmp_path / "c/train" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "one.png", number)
        (tmp_path / "c/train" / name).write_bytes(b"text" if name.endswith("txt") else (tmp_path / "one.png").read_bytes())
    found = [check for check in inspect_path(tmp_path / "c").checks if "another suffix" in check.value]
    assert [(check.level, check.value[:1]) for check in found] == [("warning", "1")] and "2.jpg_large" in found[0].detail
    for path in (tmp_path / "c").rglob("*.png"):
        path.rename(path.with_suffix(".photo"))
    with pytest.raises(InputError, match="no contest was recognised") as caught:
        inspect_path(tmp_path / "c")
    assert "is an image with another suffix" in caught.value.why


@pytest.mark.parametrize(("most", "level"), [(200, 255), (1000, 1023), (2047, 4095), (4095, 4095), (10_000, 16_383), (40_000, 65_535)])
@pytest.mark.parametrize("colours", [False, True])
def test_deep_images_are_scaled_by_the_bits_that_all_of_them_hold(
    workspace: Workspace, tmp_path: Path, most: int, level: int, colours: bool
) -> None:
    root = image_contest(tmp_path / "c")
    for row in range(13):
        ramp = np.linspace(0, most if row == 5 else most / 2, 12 * 10).reshape(10, 12).astype(int)
        deep_png(root / f"images/{row:03d}.png", np.stack([ramp] * 3, axis=-1) if colours else ramp)
    inspection = inspect_path(root)
    assert [check.value for check in inspection.checks if check.key == "white_level"] == [f"{level}"]
    contest, _ = registered(workspace, root)
    assert contest.spec.white_level == level
    table = load_table(workspace, contest)
    top = [
        int(np.asarray(open_image(table.image_path(table.train["input"].tolist()[row]), white_level=table.white_level)).max())
        for row in (0, 5)
    ]
    assert top == pytest.approx([most / 2 / level * 255, most / level * 255], abs=1.5)
    set_by_hand, _ = registered(workspace, root, "white_level=65535", name="full")
    assert set_by_hand.spec.white_level == 65535


def test_copies_are_said_with_their_labels(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    for row in (0, 1, 10):
        write_image(root / f"images/{row:03d}.png", 77)
    for row in (2, 5):
        write_image(root / f"images/{row:03d}.png", 78)
    contest, _ = registered(workspace, root)
    found = said(workspace, contest)
    assert "different labels: 2" in found and "000 (cat) = 001 (dog)" in found
    assert "equal labels: 2: 002 (owl) = 005 (owl)" in found
    assert "copies of training rows: 1: 010 = 000 (cat)" in found
    assert load_truth(workspace, contest).kept.all()
    without, _ = registered(workspace, root, "copies=leave_out", name="without")
    assert load_truth(workspace, without).kept.tolist() == [row > 1 for row in range(9)]


def test_copies_of_texts_are_said_before_registration(tmp_path: Path) -> None:
    root = text_contest(tmp_path / "c")
    write_csv(root / "train.csv", ("id", "review", "label"), [(f"t{row}", f"text {row // 2}", row % 4) for row in range(12)])
    write_csv(root / "test.csv", ("id", "review"), [(f"test_{row}", f"text {row}") for row in range(4)])
    found = "\n".join(check.value for check in inspect_path(root).checks if check.key == "copies")
    assert "different labels: 12" in found and "copies of training rows: 4" in found


@pytest.mark.parametrize("n", [0, 1, 25_000])
def test_the_fingerprint_of_rows_is_that_of_both_parts(n: int) -> None:
    train = pd.DataFrame({"id": [f'ü"{row}' for row in range(n)], "sha256": [f"{row:064x}" for row in range(n)]}, dtype="str")
    test = train.iloc[: n // 2]
    parts = {
        name: fingerprint({column: frame[column].tolist() for column in ("id", "sha256")})
        for name, frame in (("train", train), ("test", test))
    }
    assert rows_fingerprint("text", train, test) == fingerprint({"kind": "rows", "modality": "text", **parts})
