"""A submission has the sample's bytes around our numbers, or it is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from core.base.errors import AlignmentError, SubmissionError
from core.blend.ensemble import make_spec, save_blend
from core.metrics.scores import decide
from core.predictions.source import source_of
from core.specs.contest import ContestSpec
from core.submission.format import SubmissionFormat, parse_format
from core.submission.label_cells import CellStyle, read_cell, read_style, write_cell
from core.submission.write import Candidate, check_submission, make_submission, prepare, read_submission, write_submission
from core.workspace import Workspace
from tests.emotions import EMOTIONS as SIX, finish_emotions

CLASSES = ("개", "cat", "a,b")


def contest(kind: str, classes: tuple[str, ...] = CLASSES, *, several: bool = False, separator: str = "", **more: Any) -> Any:
    values = {
        "name": "c",
        "root": "/c",
        "modality": "text",
        "layout": "csv",
        "train": "train.csv",
        "metric": "accuracy" if kind == "label" else "log_loss",
    }
    column = {"labels": "several", "label_column": "labels" if separator else "", "label_separator": separator}
    values |= {"classes": classes, "submission": kind, **(column if several else {"label_column": "label"}), **more}
    return SimpleNamespace(spec=ContestSpec.model_validate(values))


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "sample_submission.csv"
    path.write_bytes(text.encode(encoding))
    return path


def softmax(n_rows: int, n_classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=n_rows).astype(np.float32)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_probabilities_follow_the_samples_columns_rows_and_bytes(tmp_path: Path, encoding: str, newline: str, delimiter: str) -> None:
    header = delimiter.join(["아이디", "cat", '"a,b"', "개"])
    sample = newline.join([header, delimiter.join(["0007", "0", "0", "0"]), delimiter.join(["T2", "0", "0", "0"])]) + newline
    form = parse_format(write(tmp_path, sample, encoding), contest("probabilities"))
    prob = softmax(2, 3)
    data = make_submission(form, ["T2", "0007"], prob)
    assert data.startswith((header + newline).encode(encoding))
    assert data.count(b"\r") == (3 if newline == "\r\n" else 0)
    frame = pd.read_csv(io.BytesIO(data), sep=delimiter, dtype={"아이디": str}, encoding=encoding)
    assert list(frame["아이디"]) == ["0007", "T2"]
    np.testing.assert_array_equal(frame[["개", "cat", "a,b"]].to_numpy(np.float32), prob[[1, 0]])
    assert all(check.is_ok for check in check_submission(form, data))


@pytest.mark.parametrize(
    ("sample", "written"),
    [
        ("\nid,ans\nb,x\na,x\n", "id,ans\nb,x\na,y\n"),
        ("id,ans,\nb,x,\na,x,\n", "id,ans,\nb,x,\na,y,\n"),
        (",id,ans\n0,b,x\n1,a,x\n", ",id,ans\n0,b,x\n1,a,y\n"),
        ("id,ans,Usage\nb,x,Public\na,x,Private\n", "id,ans,Usage\nb,x,Public\na,y,Private\n"),
        ("id|ans\nb|x\na|x\n\n", "id|ans\nb|x\na|y\n"),
        ('id,"ans\n(one)"\nb,x\na,x\n,\n', 'id,"ans\n(one)"\nb,x\na,y\n'),
        ("id,ans\nb,x\nid,ans\na,x\n", "id,ans\nb,x\na,y\n"),
        ("ans,id\nx,b\nx,a\n", "ans,id\nx,b\ny,a\n"),
        ("ans,Usage,id\nx,Public,b\nx,Private,a\n", "ans,Usage,id\nx,Public,b\ny,Private,a\n"),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_columns_beside_ids_and_answers_are_repeated_and_lines_that_hold_nothing_are_not(
    tmp_path: Path, sample: str, written: str, several: bool
) -> None:
    form = parse_format(write(tmp_path, sample), contest("label", ("x", "y"), several=several, separator="/" if several else ""))
    data = make_submission(form, ["a", "b"], np.array([[0.1, 0.9], [0.9, 0.1]], np.float32))
    assert data.decode() == written
    assert all(check.is_ok for check in check_submission(form, data))


@pytest.mark.parametrize(("header", "place"), [("x,y,id", 2), ("x,id,y", 1)])
def test_ids_behind_the_classes_are_written_where_the_sample_has_them(tmp_path: Path, header: str, place: int) -> None:
    rows = [["0.5", "0.5"], ["0.5", "0.5"]]
    for row, name in zip(rows, ("007", "7"), strict=True):
        row.insert(place, name)
    form = parse_format(write(tmp_path, "\n".join([header, *map(",".join, rows), ""])), contest("probabilities", ("x", "y")))
    data = make_submission(form, ["7", "007"], np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    rows[1] = ["0.25", "0.75"]
    rows[1].insert(place, "7")
    assert data.decode() == "\n".join([header, *map(",".join, rows), ""])
    assert all(check.is_ok for check in check_submission(form, data))


@pytest.mark.parametrize("first", ["0,5", "0.5", "1"])
def test_probabilities_have_the_decimal_sign_of_the_sample(tmp_path: Path, first: str) -> None:
    form = parse_format(write(tmp_path, f"id;y;x\nb;{first};{first}\na;0;0\n"), contest("probabilities", ("x", "y")))
    prob = np.array([[0.25, 0.75], [1e-5, 1 - 1e-5]], np.float32)
    data = make_submission(form, ["a", "b"], prob)
    mark = "," if "," in first else "."
    assert data.decode().splitlines()[2] == f"a;0{mark}75;0{mark}25"
    frame = pd.read_csv(io.BytesIO(data), sep=";", decimal=mark)
    np.testing.assert_array_equal(frame[["x", "y"]].to_numpy(np.float32), prob[[1, 0]])
    assert all(check.is_ok for check in check_submission(form, data)), check_submission(form, data)


def test_labels_are_class_names_in_the_samples_order(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "ImageID,ans\nb,cat\na,cat\n"), contest("label"))
    data = make_submission(form, ["a", "b"], np.array([[0.1, 0.2, 0.7], [0.9, 0.05, 0.05]], np.float32))
    assert data.decode() == 'ImageID,ans\n"b","개"\n"a","a,b"\n'
    assert all(check.is_ok for check in check_submission(form, data))


def test_plain_values_are_not_quoted(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "id,label\n1,x\n2,x\n"), contest("label", ("x", "y")))
    assert make_submission(form, ["1", "2"], np.array([[1, 0], [0, 1]], np.float32)) == b"id,label\n1,x\n2,y\n"


def test_made_again_it_is_the_same_bytes(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, 'id,개,cat,"a,b"\n1,0,0,0\n2,0,0,0\n'), contest("probabilities"))
    assert make_submission(form, ["1", "2"], softmax(2, 3)) == make_submission(form, ["1", "2"], softmax(2, 3))


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("id,개,cat\n1,0,0\n", "probabilities", "missing: a,b"),
        ("id,개,cat,dog\n1,0,0,0\n", "probabilities", "unknown: dog"),
        ("id,label,extra\n1,a,b\n", "label", "3 columns"),
    ],
)
def test_a_sample_of_another_contest_is_refused(tmp_path: Path, text: str, kind: str, said: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        parse_format(write(tmp_path, text), contest(kind))
    assert said in caught.value.why


def test_predictions_that_lack_an_id_are_refused(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "id,label\n1,x\n2,x\n"), contest("label", ("x", "y")))
    with pytest.raises(AlignmentError, match="do not cover"):
        make_submission(form, ["1"], softmax(1, 2))
    with pytest.raises(AlignmentError):
        make_submission(form, ["1", "1"], softmax(2, 2))


FORM = SubmissionFormat("utf-8", "\n", ",", "id,x,y", ("id", "x", "y"), ("1", "2"), ("x", "y"), (0, 1))


@pytest.mark.parametrize(
    ("text", "failing"),
    [
        ("id,y,x\n1,0.5,0.5\n2,0.5,0.5\n", "columns"),
        ("id,x,y\n1,0.5,0.5\n", "ids"),
        ("id,x,y\n1,0.5,0.5\n1,0.5,0.5\n", "ids"),
        ("id,x,y\n2,0.5,0.5\n1,0.5,0.5\n", "order"),
        ("id,x,y\n1,,0.5\n2,0.5,0.5\n", "numbers"),
        ("id,x,y\n1,nan,0.5\n2,0.5,0.5\n", "numbers"),
        ("id,x,y\n1,1.5,-0.5\n2,0.5,0.5\n", "numbers"),
        ("id,x,y\n1,0.5,0.4\n2,0.5,0.5\n", "sum"),
        ("", "readable"),
    ],
)
def test_a_file_the_contest_would_refuse_fails_the_check_that_says_why(text: str, failing: str) -> None:
    failed = [check.key for check in check_submission(FORM, text.encode()) if not check.is_ok]
    assert failing in failed


def test_an_unknown_label_fails_its_check() -> None:
    form = SubmissionFormat("utf-8", "\n", ",", "id,l", ("id", "l"), ("1",), ("x", "y"), ())
    assert [check.key for check in check_submission(form, b"id,l\n1,z\n") if not check.is_ok] == ["labels"]


@given(st.integers(1, 30), st.integers(2, 12), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_any_probabilities_pass_the_check_and_are_read_back_exactly(n_rows: int, n_classes: int, seed: int) -> None:
    classes = tuple(f"c{i}" for i in range(n_classes))
    ids = tuple(f"{i:04d}" for i in range(n_rows))
    order = tuple(np.random.default_rng(seed).permutation(n_classes).tolist())
    columns = ("id", *(classes[i] for i in order))
    form = SubmissionFormat("utf-8", "\n", ",", ",".join(columns), columns, ids, classes, order)
    prob = softmax(n_rows, n_classes, seed)
    data = make_submission(form, ids[::-1], prob[::-1])
    assert all(check.is_ok for check in check_submission(form, data)), check_submission(form, data)
    frame = pd.read_csv(io.BytesIO(data), dtype={"id": str})
    np.testing.assert_array_equal(frame[list(classes)].to_numpy(np.float32), prob)


def form_cells(sample: str) -> list[str]:
    """The cells of a sample's lines."""
    return [row[1] for row in csv.reader(sample.splitlines())]


EMOTIONS = ("기쁨", "슬픔", "분노")
SOME = np.array([[0.9, 0.1, 0.8], [0.2, 0.3, 0.4], [0.1, 0.9, 0.2]], np.float32)
"""First and last class, none, the middle one."""


@pytest.mark.parametrize(
    ("classes", "sample", "separator", "lines"),
    [
        (("0", "1", "2"), 'te0,"0,1"\nte1,"0,1"\nte2,"0,1"', ",", ['te0,"0,2"', "te1,", "te2,1"]),
        (("0", "1", "2"), 'te0,0\nte1,"1, 2"\nte2,', ",", ['te0,"0, 2"', "te1,", "te2,1"]),
        (EMOTIONS, "te0,기쁨 슬픔\nte1,\nte2,", "", ["te0,기쁨 분노", "te1,", "te2,슬픔"]),
        (EMOTIONS, "te0,기쁨|분노\nte1,\nte2,", ",", ["te0,기쁨|분노", "te1,", "te2,슬픔"]),
        (EMOTIONS, "te0,기쁨;슬픔\nte1,\nte2,", "", ["te0,기쁨;분노", "te1,", "te2,슬픔"]),
        (EMOTIONS, 'te0,"[기쁨, 슬픔]"\nte1,[]\nte2,[]', "", ['te0,"[기쁨, 분노]"', "te1,[]", "te2,[슬픔]"]),
        (EMOTIONS, "te0,\"['기쁨', '슬픔']\"\nte1,[]\nte2,[]", "", ["te0,\"['기쁨', '분노']\"", "te1,[]", "te2,['슬픔']"]),
        (EMOTIONS, 'te0,"[""기쁨"",""슬픔""]"\nte1,[]\nte2,[]', "", ['te0,"[""기쁨"",""분노""]"', "te1,[]", 'te2,"[""슬픔""]"']),
        (EMOTIONS, "te0,기쁨\nte1,기쁨\nte2,기쁨", ",", ['te0,"기쁨,분노"', "te1,", "te2,슬픔"]),
        (EMOTIONS, "te0,\nte1,\nte2,", "", ["te0,기쁨 분노", "te1,", "te2,슬픔"]),
        (EMOTIONS, "te0,['기쁨']\nte1,[]\nte2,[]", "", ["te0,\"['기쁨', '분노']\"", "te1,[]", "te2,['슬픔']"]),
        (EMOTIONS, "te0,기쁨|슬픔|\nte1,\nte2,", "|", ["te0,기쁨|분노|", "te1,", "te2,슬픔|"]),
        (EMOTIONS, "te0,\"('기쁨', '슬픔')\"\nte1,()\nte2,()", ",", ["te0,\"('기쁨', '분노')\"", "te1,()", "te2,\"('슬픔',)\""]),
        (EMOTIONS, "te0,[]\nte1,[]\nte2,[]", "|", ["te0,[기쁨|분노]", "te1,[]", "te2,[슬픔]"]),
        (("큰 기쁨", "슬픔", "큰 분노"), "te0,\nte1,\nte2,", "", ['te0,"큰 기쁨,큰 분노"', "te1,", "te2,슬픔"]),
    ],
)
def test_all_labels_of_a_row_stand_in_one_cell_as_in_the_sample(
    tmp_path: Path, classes: tuple[str, ...], sample: str, separator: str, lines: list[str]
) -> None:
    told = contest("label", classes, several=True, separator=separator)
    form = parse_format(write(tmp_path, f"ID,labels\n{sample}\n"), told)
    data = make_submission(form, ["te0", "te1", "te2"], SOME)
    assert data.decode().splitlines() == ["ID,labels", *lines]
    checks = {check.key: check for check in check_submission(form, data)}
    assert all(check.is_ok for check in checks.values()), checks
    assert checks["empty"].detail == "1 of 3 rows have no label"
    assert ("no sample shows" in checks["labels"].detail) == form.cells.is_guess
    assert form.cells.is_guess == (not any(len(read_cell(cell, form.cells)) > 1 for cell in form_cells(sample)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_cells_follow_the_samples_encoding_line_ends_and_delimiter(tmp_path: Path, encoding: str) -> None:
    form = parse_format(write(tmp_path, "아이디\t감정\r\n02\t기쁨, 슬픔\r\n01\t\r\n", encoding), contest("label", EMOTIONS, several=True))
    data = make_submission(form, ["01", "02"], SOME[:2])
    assert data == "아이디\t감정\r\n02\t\r\n01\t기쁨, 분노\r\n".encode(encoding)


def test_thresholds_of_a_blend_decide_which_labels_are_written(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "ID,labels\nte0,기쁨 슬픔\n"), contest("label", EMOTIONS, several=True))
    assert make_submission(form, ["te0"], SOME[1:2]) == b"ID,labels\nte0,\n"
    assert make_submission(form, ["te0"], SOME[1:2], (0.1, 0.35, 0.35)).decode() == "ID,labels\nte0,기쁨 분노\n"


def test_flags_are_columns_of_0_and_1_in_the_samples_order(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "ID,분노,기쁨,슬픔\nb,0,0,0\na,0,0,0\nc,0,0,0\n"), contest("flags", EMOTIONS, several=True))
    data = make_submission(form, ["a", "b", "c"], SOME)
    assert data.decode() == "ID,분노,기쁨,슬픔\nb,0,0,0\na,1,1,0\nc,0,0,1\n"
    assert [(check.key, check.is_ok) for check in check_submission(form, data)][-2:] == [("flags", True), ("empty", True)]
    wrong = {check.key: check for check in check_submission(form, data.replace(b",1,1,0", b",1,0.9,0"))}
    assert not wrong["flags"].is_ok and wrong["flags"].detail.startswith("1 row ")


def test_probabilities_of_several_labels_need_not_sum_to_one(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "ID,분노,기쁨,슬픔\na,0,0,0\nb,0,0,0\nc,0,0,0\n"), contest("probabilities", EMOTIONS, several=True))
    data = make_submission(form, ["a", "b", "c"], SOME)
    checks = check_submission(form, data)
    assert [check.key for check in checks] == ["columns", "ids", "order", "numbers"] and all(check.is_ok for check in checks)
    frame = pd.read_csv(io.BytesIO(data))
    np.testing.assert_array_equal(frame[list(EMOTIONS)].to_numpy(np.float32), SOME)
    assert [check.key for check in check_submission(form, data.replace(b"0.8", b"1.8")) if not check.is_ok] == ["numbers"]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("기쁨 공포", "unknown: 공포"),
        ("기쁨,슬픔", "unknown: 기쁨,슬픔"),
        ("기쁨 슬픔 기쁨", "twice in a row: 기쁨"),
        ("[]", "unknown: []"),
    ],
)
def test_a_cell_the_contest_could_not_take_apart_fails_its_check(tmp_path: Path, cell: str, said: str) -> None:
    form = parse_format(write(tmp_path, "ID,labels\na,기쁨 슬픔\n"), contest("label", EMOTIONS, several=True))
    (failed,) = [check for check in check_submission(form, f'ID,labels\na,"{cell}"\n'.encode()) if not check.is_ok]
    assert (failed.key, failed.detail) == ("labels", said)


def test_a_class_that_holds_the_separator_is_refused_rather_than_written_ambiguously(tmp_path: Path) -> None:
    form = parse_format(write(tmp_path, "ID,labels\na,x y\n"), contest("label", ("x", "y", "a b"), several=True))
    data = make_submission(form, ["a"], np.array([[0.9, 0.1, 0.9]], np.float32))
    assert [check.detail for check in check_submission(form, data) if not check.is_ok] == ["unknown: a, b"]


def test_a_sample_with_a_column_per_class_is_no_cell_of_labels(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError) as caught:
        parse_format(write(tmp_path, "ID,기쁨,슬픔,분노\na,0,0,0\n"), contest("label", EMOTIONS, several=True))
    assert "'flags'" in caught.value.fix


NAME = st.text(st.sampled_from("가나다ab01'\"\\ -_."), min_size=1, max_size=6).map(str.strip).filter(bool)
STYLES = [
    CellStyle(opening, closing, separator, quote)
    for opening, closing in (("", ""), ("[", "]"), ("(", ")"))
    for separator in (",", ", ", " ", "|", ";", " | ")
    for quote in ("", "'", '"')
]


@given(st.lists(NAME, min_size=2, max_size=6, unique=True), st.sampled_from(STYLES), st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read_back_as_the_sets_that_were_decided(names: list[str], style: CellStyle, seed: int) -> None:
    """Quoted, any names; without quotes, those that a contest could tell apart."""
    if not style.quote:
        names = [f"c{number}_{''.join(filter(str.isalnum, name))}" for number, name in enumerate(names)]
    rng = np.random.default_rng(seed)
    ids = tuple(f"{number:03d}" for number in range(8))
    prob = rng.random((8, len(names)), dtype=np.float32)
    thresholds = tuple(rng.random(len(names)).tolist())
    form = SubmissionFormat("utf-8", "\n", ",", "id,labels", ("id", "labels"), ids, tuple(names), (), True, False, style)
    data = make_submission(form, ids, prob, thresholds)
    assert all(check.is_ok for check in check_submission(form, data)), check_submission(form, data)
    frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    read = [[int(name in read_cell(cell, style)) for name in names] for cell in frame["labels"]]
    np.testing.assert_array_equal(read, decide(prob, multilabel=True, thresholds=thresholds))
    assert read_style([write_cell(names, style)], names) == style


@pytest.mark.parametrize(
    ("layout", "changes", "header"),
    [
        ("cells", {}, "ID,labels"),
        ("cells", {"sample_submission": ""}, "ID,labels"),
        ("columns", {"submission": "label", "sample_submission": ""}, "ID,labels"),
        ("columns", {"submission": "flags"}, ",".join(("ID", *SIX))),
        ("columns", {"submission": "flags", "sample_submission": ""}, ",".join(("ID", *SIX))),
        ("columns", {}, ",".join(("ID", *SIX))),
    ],
)
def test_a_blend_with_thresholds_is_submitted_as_it_decides(
    workspace: Workspace, tmp_path: Path, layout: Any, changes: dict[str, Any], header: str
) -> None:
    made, runs = finish_emotions(workspace, tmp_path / "emotions", layout=layout, **changes)
    plain = save_blend(workspace, made, make_spec([run.id for run in runs]), name="plain")
    thresholds = (0.2, 0.3, 0.4, 0.6, 0.7, 0.8)
    cut = save_blend(workspace, made, make_spec([run.id for run in runs]).model_copy(update={"thresholds": thresholds}), name="cut")
    candidate = prepare(source_of(workspace, cut))
    expected = decide(source_of(workspace, cut).test(), multilabel=True, thresholds=thresholds)
    assert candidate.is_valid, candidate.checks
    assert candidate.data.decode().splitlines()[0] == header
    np.testing.assert_array_equal(candidate.predicted, expected)
    assert not np.array_equal(candidate.predicted, prepare(source_of(workspace, plain)).predicted)
    frame, by_class = candidate.frame, made.spec.submission != "label"
    if made.spec.submission == "flags":
        np.testing.assert_array_equal(frame[list(made.spec.classes)].astype(int), expected)
    if not by_class:
        separator = made.spec.label_separator or " "
        read = [[int(name in cell.split(separator)) for name in made.spec.classes] for cell in frame["labels"]]
        np.testing.assert_array_equal(read, expected)
    submissions = [write_submission(source_of(workspace, source)) for source in (cut, cut, plain)]
    assert submissions[0].sha256 == submissions[1].sha256 and read_submission(workspace, submissions[0]) == candidate.data
    assert (submissions[0].sha256 == submissions[2].sha256) == (made.spec.submission == "probabilities")
    assert submissions[0].lineage.fingerprint != submissions[2].lineage.fingerprint
    assert submissions[0].hidden_scores is None


@pytest.mark.parametrize(
    ("values", "n_rows", "is_doubtful"),
    [("label", 10, True), ("probabilities", 10, True), ("label", 9, False), ("several", 10, False)],
)
def test_one_class_for_many_rows_is_doubted(tmp_path: Path, values: str, n_rows: int, is_doubtful: bool) -> None:
    ids = [str(row) for row in range(n_rows)]
    header, cell = ("id,x,y", "0.5,0.5") if values == "probabilities" else ("id,label", "x")
    sample = "\n".join([header, *(f"{name},{cell}" for name in ids)]) + "\n"
    kind = "probabilities" if values == "probabilities" else "label"
    form = parse_format(
        write(tmp_path, sample), contest(kind, ("x", "y"), several=values == "several", separator="|" * (values == "several"))
    )
    prob = np.tile(np.array([0.75, 0.25], dtype=np.float32), (n_rows, 1))
    same = make_submission(form, ids, prob)
    prob[-1] = [0.25, 0.75]
    other = make_submission(form, ids, prob)
    assert [[check.key for check in check_submission(form, data) if check.is_doubtful] for data in (same, other)] == [
        ["variety"] * is_doubtful,
        [],
    ]


@pytest.mark.parametrize(("shown", "is_ok"), [("0", False), ("BAD", False), ("?", True), ("", True), ("good", True)])
def test_labels_that_the_sample_contradicts_fail_a_check(tmp_path: Path, shown: str, is_ok: bool) -> None:
    """A contest of an older version, which nobody asked what its submission calls the classes."""
    form = parse_format(write(tmp_path, f"id,label\n1,{shown}\n2,{shown}\n"), contest("label", ("bad", "good")))
    checks = {check.key: check for check in check_submission(form, make_submission(form, ["1", "2"], np.eye(2, dtype=np.float32)))}
    assert ("sample" not in checks) == is_ok
    if not is_ok:
        assert not checks["sample"].is_ok and "submission_names" in checks["sample"].detail
        with pytest.raises(SubmissionError) as refused:
            Candidate(form, b"", tuple(checks.values()), np.zeros(2, dtype=np.int64)).raise_if_refused("r1")
        assert "contest correct" in refused.value.fix
        named = parse_format(tmp_path / "sample_submission.csv", contest("label", ("bad", "good"), submission_names=("bad", "good")))
        again = {check.key: check for check in check_submission(named, make_submission(named, ["1", "2"], np.eye(2)))}
        assert "sample" not in again or (again["sample"].is_ok and again["sample"].is_doubtful)


def test_names_that_a_person_gave_against_the_sample_are_a_doubt(tmp_path: Path) -> None:
    spec = contest("label", ("bad", "good"), submission_names=("a", "b"))
    for shown, is_doubtful in (("bad", True), ("a", False), ("?", False)):
        form = parse_format(write(tmp_path, f"id,label\n1,{shown}\n2,{shown}\n"), spec)
        checks = {check.key: check for check in check_submission(form, make_submission(form, ["1", "2"], np.eye(2, dtype=np.float32)))}
        assert all(check.is_ok for check in checks.values()) and ("sample" in checks) == is_doubtful


@pytest.mark.parametrize("several", [False, True])
def test_a_label_and_all_probabilities_as_a_list_are_written_and_read_back(tmp_path: Path, several: bool) -> None:
    """KLUE's relations: id, pred_label, probs; here with a class that has the delimiter in its name."""
    shown = "개 cat" if several else "개"
    sample = f'id,pred_label,probs\n7,{shown},"[1.0, 0.0, 0.0]"\nx,cat,"[0.3, 0.4, 0.3]"\n'
    where = contest("label", ("개", "cat", "no_relation"), several=several, separator=" " if several else "", metric="macro_f1")
    form = parse_format(write(tmp_path, sample), where)
    prob = np.random.default_rng(0).dirichlet(np.ones(3), 2).astype(np.float32)
    data = make_submission(form, ["x", "7"], prob)
    frame = pd.read_csv(io.BytesIO(data))
    assert frame.columns.tolist() == ["id", "pred_label", "probs"] and frame["id"].tolist() == ["7", "x"]
    lists = np.array([json.loads(cell) for cell in frame["probs"]], dtype=np.float32)
    assert lists.tobytes() == np.ascontiguousarray(prob[::-1]).tobytes(), "in the order of the classes, to the last digit"
    checks = check_submission(form, data)
    assert all(check.is_ok for check in checks), checks
    assert not any(check.is_doubtful for check in checks), "these classes stand in an order that a person gave"
    spoiled = data.replace(b", ", b"; ", 1)
    assert [check.key for check in check_submission(form, spoiled) if not check.is_ok] == ["lists"]


@pytest.mark.parametrize(
    ("classes", "said"), [(("a", "b"), "3 values for 2 classes"), (("b", "a", "c"), "greatest at place 1, which is 'b'")]
)
def test_lists_of_another_order_or_length_than_the_classes_are_refused(tmp_path: Path, classes: tuple[str, ...], said: str) -> None:
    sample = 'id,pred_label,probs\n1,a,"[0.8, 0.1, 0.1]"\n'
    form = parse_format(write(tmp_path, sample), contest("label", classes))
    failed = [check for check in check_submission(form, make_submission(form, ["1"], softmax(1, len(classes)))) if not check.is_ok]
    assert [check.key for check in failed] == ["list_order"] and said in failed[0].detail and "classes=[…]" in failed[0].detail


def test_lists_in_the_order_that_classes_have_by_themselves_are_doubted(tmp_path: Path) -> None:
    sample = 'id,pred_label,probs\n1,a,"[0.8, 0.1, 0.1]"\n'
    form = parse_format(write(tmp_path, sample), contest("label", ("a", "b", "c")))
    (doubt,) = [check for check in check_submission(form, make_submission(form, ["1"], softmax(1, 3))) if check.is_doubtful]
    assert doubt.is_ok and "a, b, c" in doubt.detail


def test_44_columns_of_flags_or_probabilities_come_back(tmp_path: Path) -> None:
    names = tuple(f"감정 {number}" for number in range(44))
    prob = np.random.default_rng(3).random((50, 44)).astype(np.float32)
    ids, shuffled = [f"r{row}" for row in range(50)], tuple(np.random.default_rng(4).permutation(names))
    for kind in ("flags", "probabilities"):
        sample = (
            "\n".join([",".join(["ID", *shuffled]), *(",".join([name, *["0" if kind == "flags" else "0.5"] * 44]) for name in ids)]) + "\n"
        )
        form = parse_format(write(tmp_path, sample), contest(kind, names, several=True, metric="macro_f1"))
        frame = pd.read_csv(io.BytesIO(make_submission(form, ids, prob)))
        expected = (prob > 0.5).astype(np.int8) if kind == "flags" else prob
        np.testing.assert_array_equal(frame[list(names)].to_numpy(dtype=expected.dtype), expected)
