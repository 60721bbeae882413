"""A file of predictions is read in whatever form people have it, and everything in it that does not fit is told at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.base.errors import InputError
from core.contest.ids import tell_apart
from core.exchange.files import Reading, read_predictions, write_predictions
from core.exchange.sheet import Expected
from tests.inputs.spoiled_predictions import ARRAYS, CLASSES, EXPECTED, FOLD_OF, IDS, OF_SETS, PROB, TABLES_OF_SETS, frame


def read_whole(path: Path, expected: Expected = EXPECTED) -> np.ndarray:
    """What is in a file that fits."""
    reading = read_predictions(path, expected)
    assert reading.prob is not None and reading.problems == ()
    return reading.prob


def said(reading: Reading) -> str:
    assert reading.prob is None
    return "\n".join(str(problem) for problem in reading.problems)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_what_is_written_is_read_to_the_same_bits(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.exchange.files.CHUNK_VALUES", 12)  # several parts
    path = tmp_path / f"예측{suffix}"
    write_predictions(path, IDS, PROB, CLASSES, FOLD_OF)
    np.testing.assert_array_equal(read_whole(path), PROB)


def test_a_class_named_as_a_column_of_ours_is_still_a_class(tmp_path: Path) -> None:
    classes = ("id", "fold", "x")
    write_predictions(tmp_path / "a.csv", IDS, PROB, classes, FOLD_OF)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[0].replace('"', "") == "row_id,id,fold,x"
    np.testing.assert_array_equal(read_whole(tmp_path / "a.csv", Expected(IDS, classes, FOLD_OF)), PROB)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_of_korean_spreadsheets_are_read(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / unicodedata.normalize("NFD", "민수 예측.csv")
    frame().sample(frac=1, random_state=1).to_csv(path, index=False, encoding=encoding, sep=delimiter, lineterminator="\r\n")
    np.testing.assert_allclose(read_whole(path), PROB, rtol=1e-6)


@pytest.mark.parametrize(("classes", "encoding"), [(("été", "où"), "cp1252"), (("쨈", "갹"), "cp949"), (("好", "坏"), "gb18030")])
def test_names_of_the_contest_say_the_encoding_of_a_table(tmp_path: Path, classes: tuple[str, ...], encoding: str) -> None:
    path, prob = tmp_path / "a.csv", np.tile(np.array([0.25, 0.75], dtype=np.float32), (30, 1))
    ids = [f"{number:02d}" for number in range(30)]
    pd.DataFrame({"id": ids} | {name: prob[:, place] for place, name in enumerate(classes)}).to_csv(path, index=False, encoding=encoding)
    np.testing.assert_array_equal(read_whole(path, Expected(ids, classes)), prob)
    strange = read_predictions(path, Expected(ids, ("a", "b")))
    assert strange.problems[0].fix.startswith("convert it: iconv -f ")
    other = read_predictions(path, Expected(ids, ("a", "b"), encoding=encoding))  # that of the contest's tables
    assert "2 unknown: " + ", ".join(sorted(classes)) in str(other.problems[0])


def test_names_in_either_unicode_form_are_one_name(tmp_path: Path) -> None:
    table = frame()
    table["id"] = [unicodedata.normalize("NFD", name) for name in table["id"]]
    table.columns = [unicodedata.normalize("NFD", name) for name in table.columns]
    table.to_parquet(tmp_path / "mac.parquet", index=False)
    table.to_csv(tmp_path / "mac.csv", index=False)
    for name in ("mac.parquet", "mac.csv"):
        np.testing.assert_array_equal(read_whole(tmp_path / name), PROB)


def test_the_id_is_the_column_that_is_no_class_wherever_it_stands(tmp_path: Path) -> None:
    frame().set_index("id").to_parquet(tmp_path / "indexed.parquet")
    np.testing.assert_array_equal(read_whole(tmp_path / "indexed.parquet"), PROB)


def test_cells_with_quotes_and_line_breaks_are_read_by_the_careful_way(tmp_path: Path) -> None:
    ids = [f'a "quoted"\nname {number}' for number in range(30)]
    frame().assign(id=ids).to_csv(tmp_path / "odd.csv", index=False)
    np.testing.assert_array_equal(read_whole(tmp_path / "odd.csv", Expected(ids, CLASSES, FOLD_OF)), PROB)


def test_everything_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    table = frame().iloc[1:].copy()
    table.loc[3, CLASSES[0]] = -1.0
    table.loc[5, "fold"] = 7
    table.loc[29, "id"] = "낯선 차"
    table.to_csv(tmp_path / "a.csv", index=False)
    reading = read_predictions(tmp_path / "a.csv", EXPECTED)
    text = said(reading)
    assert len(reading.problems) == 3
    for words in ("2 missing: 차량_00, 차량_29; 1 unknown: 낯선 차", "a.csv, 차량_03", "차량_05 in fold 7 instead of 2"):
        assert words in text


def test_columns_that_are_not_the_classes_are_named(tmp_path: Path) -> None:
    frame().rename(columns={CLASSES[0]: "현대 소나타"}).to_csv(tmp_path / "a.csv", index=False)
    assert "1 missing: 현대 그랜저; 1 unknown: 현대 소나타" in said(read_predictions(tmp_path / "a.csv", EXPECTED))
    frame().drop(columns="id").to_csv(tmp_path / "b.csv", index=False)
    assert "no column with ids" in said(read_predictions(tmp_path / "b.csv", EXPECTED))


@pytest.mark.parametrize("spoil", ["much", "", "1e400", "nan"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_value_that_is_no_number_is_named_by_its_row(tmp_path: Path, spoil: str, suffix: str) -> None:
    table = frame().astype({CLASSES[1]: object})
    table.loc[4, CLASSES[1]] = spoil
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.astype({CLASSES[1]: str}).to_parquet(path, index=False)
    reading = read_predictions(path, EXPECTED)
    assert "차량_04" in said(reading) and len(reading.problems) == 1


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    lines = frame().to_csv(index=False).splitlines()
    lines[7] += ",0.5"
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    assert "line 8" in said(read_predictions(tmp_path / "a.csv", EXPECTED))


def test_an_array_may_have_its_classes_in_an_order_that_is_told(tmp_path: Path) -> None:
    order = (2, 0, 1)
    np.save(tmp_path / "a.npy", np.asfortranarray(PROB[:, order].astype(">f8")))
    told = Expected(IDS, CLASSES, FOLD_OF, [unicodedata.normalize("NFD", CLASSES[place]) for place in order])
    np.testing.assert_array_equal(read_whole(tmp_path / "a.npy", told), PROB)
    wrong = Expected(IDS, CLASSES, FOLD_OF, (CLASSES[0], CLASSES[0], "모름"))
    text = said(read_predictions(tmp_path / "a.npy", wrong))
    assert "2 missing: 기아 쏘렌토, 르노 XM3; 1 unknown: 모름; 1 twice: 현대 그랜저" in text


def test_a_bad_row_of_an_array_is_named_by_its_number(tmp_path: Path) -> None:
    bad = PROB.copy()
    bad[17] *= 2
    np.save(tmp_path / "a.npy", bad)
    assert "row 17" in said(read_predictions(tmp_path / "a.npy", EXPECTED))


@pytest.mark.parametrize("make", ARRAYS)
def test_an_array_that_is_none_is_refused_unopened(
    tmp_path: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a.npy")
    reading = read_predictions(tmp_path / "a.npy", EXPECTED)
    assert len(reading.problems) == 1 and "a.npy" in said(reading)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1 this is nothing PAR1", b"\xff\xfe\x00", b"id,x\n"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert len(read_predictions(tmp_path / name, EXPECTED).problems) == 1


def test_what_is_not_there_or_too_large_or_of_no_known_form_is_refused(tmp_path: Path) -> None:
    for name in ("gone.npy", "gone.csv", "gone.parquet", "a.xlsx", "noending"):
        assert isinstance(read_predictions(tmp_path / name, EXPECTED).problems[0], InputError)
    (tmp_path / "a.csv").write_bytes(b"x" * (EXPECTED.most_bytes + 1))
    assert "too large" in said(read_predictions(tmp_path / "a.csv", EXPECTED))
    pd.concat([frame()] * 4).to_parquet(tmp_path / "a.parquet", index=False)
    assert "120 rows, the contest has 30" in said(read_predictions(tmp_path / "a.parquet", EXPECTED))
    with pytest.raises(InputError):
        write_predictions(tmp_path / "no" / "a.csv", IDS, PROB, CLASSES, FOLD_OF)
    with pytest.raises(InputError):
        write_predictions(tmp_path / "a.xlsx", IDS, PROB, CLASSES, FOLD_OF)


SETS = np.random.default_rng(3).random((30, 3), dtype=np.float32)
HARD = (SETS > 0.7).astype(np.float32)


@pytest.mark.parametrize("prob", [SETS, HARD, np.zeros_like(SETS), np.ones_like(SETS)], ids=["sigmoid", "hard", "nothing", "everything"])
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_rows_of_several_classes_need_not_sum_to_one(tmp_path: Path, suffix: str, prob: np.ndarray) -> None:
    write_predictions(tmp_path / f"a{suffix}", IDS, prob, CLASSES, FOLD_OF)
    np.testing.assert_array_equal(read_whole(tmp_path / f"a{suffix}", OF_SETS), prob)
    assert "sum to one" in said(read_predictions(tmp_path / f"a{suffix}", EXPECTED))


def test_hard_labels_of_several_classes_are_read_as_whole_numbers_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", HARD.astype(np.int8))
    frame().assign(**dict(zip(CLASSES, HARD.astype(int).T, strict=True))).to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.npy", "a.csv"):
        np.testing.assert_array_equal(read_whole(tmp_path / name, OF_SETS), HARD)


@pytest.mark.parametrize("name", TABLES_OF_SETS)
def test_what_is_no_prediction_of_several_classes_is_named(tmp_path: Path, name: str) -> None:
    spoil, words = TABLES_OF_SETS[name]
    spoil(frame(), 4).to_csv(tmp_path / "a.csv", index=False)
    assert words.format(row=4) in said(read_predictions(tmp_path / "a.csv", OF_SETS))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
@pytest.mark.parametrize(("decimals", "is_scaled"), [(2, True), (3, True), (6, False)])
def test_rounded_rows_are_scaled_and_that_is_said(tmp_path: Path, suffix: str, decimals: int, is_scaled: bool) -> None:
    rounded, path = np.round(PROB.astype(np.float64), decimals), tmp_path / f"a{suffix}"
    table = frame()
    table[list(CLASSES)] = rounded
    np.save(path, rounded) if suffix == ".npy" else table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    reading = read_predictions(path, EXPECTED)
    assert reading.prob is not None
    np.testing.assert_allclose(reading.prob.sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(reading.prob, PROB, atol=10.0**-decimals)
    assert ("scaled" in reading.unchecked) == is_scaled


def test_a_trace_below_zero_is_zero(tmp_path: Path) -> None:
    table = frame()
    table.loc[3, list(CLASSES)] = [-1e-9, 0.25, 0.75]
    table.to_csv(tmp_path / "a.csv", index=False)
    assert read_whole(tmp_path / "a.csv")[3].tolist() == [0, 0.25, 0.75]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([0.5, 0.5, 0.43], "within 0.02, and 차량_03 sums to 1.43"),
        ([-0.1, 0.5, 0.6], "차량_03 has -0.1"),
        ([3.1, -2.0, 0.2], "차량_03 has -2"),
        ([float("nan"), 0.5, 0.5], "차량_03 does not"),
    ],
)
def test_what_is_no_rounding_names_the_number_and_the_tolerance(tmp_path: Path, row: list[float], words: str) -> None:
    table = frame()
    table.loc[3, list(CLASSES)] = row
    table.to_csv(tmp_path / "a.csv", index=False)
    assert words in said(read_predictions(tmp_path / "a.csv", EXPECTED))


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_decimal_commas_are_read(tmp_path: Path, delimiter: str) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False, sep=delimiter, decimal=",", float_format="%.7f")
    np.testing.assert_allclose(read_whole(tmp_path / "a.csv"), PROB, atol=1e-6)


@pytest.mark.parametrize("name_of", [lambda fold: fold + 1, lambda fold: f"part {fold}", lambda fold: f"{fold}.0", lambda fold: 9 - fold])
def test_folds_are_the_same_whatever_they_are_called(tmp_path: Path, name_of: Callable[[int], object]) -> None:
    table = frame()
    table["fold"] = [name_of(fold) for fold in FOLD_OF.tolist()]
    table.to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_allclose(read_whole(tmp_path / "a.csv"), PROB, rtol=1e-6)
    other = next(row for row in range(len(IDS)) if FOLD_OF[row] != FOLD_OF[0])
    table.loc[0, "fold"] = table.loc[other, "fold"]
    table.to_csv(tmp_path / "b.csv", index=False)
    assert "1 row was predicted on other folds" in said(read_predictions(tmp_path / "b.csv", EXPECTED))
    table["fold"] = name_of(0)
    table.to_csv(tmp_path / "c.csv", index=False)
    assert "predicted on other folds" in said(read_predictions(tmp_path / "c.csv", EXPECTED))


@pytest.mark.parametrize("spell", [lambda name: f" {name} ", lambda name: f"prob_{name}", lambda name: name.upper()])
def test_columns_of_classes_are_known_in_other_spellings(tmp_path: Path, spell: Callable[[str], str]) -> None:
    expected = Expected(IDS, ("bad", "good", "odd"), FOLD_OF)
    names = dict(zip(CLASSES, expected.classes, strict=True))
    table = frame().rename(columns={own: spell(name) for own, name in names.items()})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet", index=False)
    for name in ("a.csv", "a.parquet"):
        np.testing.assert_allclose(read_whole(tmp_path / name, expected), PROB, rtol=1e-6)


def test_rows_of_one_id_stand_in_their_order(tmp_path: Path) -> None:
    expected = Expected(tell_apart([f"p{row // 2}" for row in range(len(IDS))]), CLASSES, FOLD_OF)
    frame().assign(id=[f"p{row // 2}" for row in range(len(IDS))]).to_csv(tmp_path / "a.csv", index=False)
    reading = read_predictions(tmp_path / "a.csv", expected)
    assert reading.prob is not None and reading.unchecked == ("repeated",)
    np.testing.assert_allclose(reading.prob, PROB, rtol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda table: table.assign(id=[f"{row}{'a' * 500_000}" for row in range(len(table))]), "too large"),
        (lambda table: table.assign(id="a" * 900_000), "too long"),
        (lambda table: table.assign(fold=[[0.5] * 100_000] * len(table)), "neither text nor numbers"),
    ],
)
def test_what_a_parquet_file_unpacks_to_is_bounded(tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], words: str) -> None:
    path = tmp_path / "a.parquet"
    spoil(frame()).to_parquet(path, compression="zstd")
    assert path.stat().st_size < EXPECTED.most_bytes
    text = said(read_predictions(path, EXPECTED))
    assert words in text and len(text) < 1000


def test_long_ids_are_cut_in_errors(tmp_path: Path) -> None:
    frame().assign(id=["a" * 20_000 + str(row) for row in range(len(IDS))]).to_csv(tmp_path / "a.csv", index=False)
    assert len(said(read_predictions(tmp_path / "a.csv", EXPECTED))) < 2000
