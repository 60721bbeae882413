"""A submission has the sample's bytes around our numbers, or it is refused."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AlignmentError, SubmissionError
from core.submission import SubmissionFormat, check_submission, make_submission, parse_format

CLASSES = ("개", "cat", "a,b")


def contest(kind: str, classes: tuple[str, ...] = CLASSES) -> Any:
    return SimpleNamespace(spec=SimpleNamespace(classes=classes, submission=kind))


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
