"""Classes have one order wherever they are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.base.errors import InputError
from core.contest.inspect.draft import inspect_path
from core.contest.labels import SeenLabels, class_warnings, names_of_cells, order_classes, split_cell
from core.contest.register import add_contest
from core.contest.table import load_table, load_truth
from core.specs.contest import ContestSpec
from core.workspace import Workspace
from tests.emotions import EMOTIONS, Layout, add_emotions, emotion_sets, emotions_spec, write_emotions


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "0", "9"], ("0", "9", "10")),
        (["-1", "1", "0"], ("-1", "0", "1")),
        (["01", "1"], ("01", "1")),
        (["b", "a", "B"], ("B", "a", "b")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1.5", "1"], ("1", "1.5")),
        (["나", "가"], ("가", "나")),
        (["²", "1"], ("1", "²")),
    ],
)
def test_whole_numbers_are_ordered_as_numbers_all_else_by_code_point(labels: list[str], classes: tuple[str, ...]) -> None:
    assert order_classes(labels) == classes


def test_both_unicode_forms_are_one_class_and_empty_cells_are_none() -> None:
    labels = SeenLabels(names_of_cells(pd.Series(["\u1100\u1161", "가", "", "nan", "none"], dtype="str")), is_several=False, source="label")
    assert labels.classes() == ("none", "가")
    assert labels.counts(("none", "가", "x")) == {"none": 1, "가": 2, "x": 0}


def test_decimal_labels_are_questioned() -> None:
    assert any("decimal numbers" in said for said in class_warnings({f"{number}.5": 2 for number in range(30)}, 60))
    assert class_warnings({"a": 5, "b": 6}, 11) == []


@pytest.mark.parametrize(
    ("cell", "separator", "names"),
    [
        ("0,3,17", ",", ["0", "3", "17"]),
        (" 0, 3 ,17 ", ",", ["0", "3", "17"]),
        ("[0, 3]", ",", ["0", "3"]),
        ("['기쁨', \"슬픔\"]", ",", ["기쁨", "슬픔"]),
        ("기쁨 슬픔", " ", ["기쁨", "슬픔"]),
        ("기쁨  슬픔", " ", ["기쁨", "슬픔"]),
        ("a|b", "|", ["a", "b"]),
        ("[]", ",", []),
        ("", ",", []),
        ("\u1100\u1175\u1108\u1173\u11b7", ",", ["기쁨"]),
    ],
)
def test_a_cell_is_split(cell: str, separator: str, names: list[str]) -> None:
    assert split_cell(cell, separator) == names


@pytest.mark.parametrize("layout", ["cells", "columns"])
def test_what_was_written_is_what_is_loaded(workspace: Workspace, tmp_path: Path, layout: Layout) -> None:
    contest = add_emotions(workspace, tmp_path / "e", layout=layout)
    truth = load_truth(workspace, contest).labels
    assert truth.dtype == np.int8
    assert (truth == emotion_sets(240, 0)).all()
    assert (truth.sum(axis=1) == 0).any()
    assert "label" not in load_table(workspace, contest).train


def test_what_is_no_class_is_told_by_line(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e")
    lines = (folder / "train.tsv").read_text(encoding="utf-8").splitlines()
    lines[3] = "\t".join([*lines[3].split("\t")[:2], "1,9"])
    (folder / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be registered") as refused:
        add_contest(workspace, emotions_spec(folder))
    assert "'9' is not one of the 6 classes" in str(refused.value)
    assert "line 4" in str(refused.value)


def test_what_is_neither_0_nor_1_is_told_by_column(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    lines = (folder / "train.csv").read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:2], "2", *cells[3:]])
    (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        add_contest(workspace, emotions_spec(folder, "columns"))
    assert "'2' is neither 0 nor 1" in str(refused.value)
    assert EMOTIONS[0] in str(refused.value)


def test_a_column_without_a_1_is_left_out_by_naming_the_others(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    header, *lines = (folder / "train.csv").read_text(encoding="utf-8").splitlines()
    rows = [",".join([*line.split(",")[:-1], "0"]) for line in lines]
    (folder / "train.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"no row has the class '{EMOTIONS[-1]}'") as refused:
        add_contest(workspace, emotions_spec(folder, "columns"))
    assert f"column '{EMOTIONS[-1]}'" in str(refused.value)
    assert "name only the other columns" in str(refused.value)
    others = inspect_path(folder, sets=[f"classes=[{', '.join(EMOTIONS[:-1])}]", "sample_submission=", "submission=flags"]).draft
    assert load_truth(workspace, add_contest(workspace, others)).labels.shape == (240, 5)


def test_what_rows_have_is_their_truth_and_not_their_identity(workspace: Workspace, tmp_path: Path) -> None:
    one = add_emotions(workspace, tmp_path / "a", name="one")
    same = add_emotions(workspace, tmp_path / "b", name="same")
    assert (one.fingerprint, one.truth.fingerprint) == (same.fingerprint, same.truth.fingerprint)
    lines = (tmp_path / "b" / "train.tsv").read_text(encoding="utf-8").splitlines()
    lines[1] = "\t".join([*lines[1].split("\t")[:2], "0,1,2,3,4,5"])
    (tmp_path / "b" / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    other = add_contest(workspace, emotions_spec(tmp_path / "b", name="other"))
    assert other.fingerprint == one.fingerprint and other.truth.fingerprint != one.truth.fingerprint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layout": "folders"}, "class folder"),
        ({"label_separator": ""}, "label_separator"),
        ({"label_column": ""}, "label_separator"),
        ({"labels": "one"}, "label_separator"),
        ({"labels": "one", "label_separator": "", "submission": "flags"}, "0 and 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ContestSpec.model_validate(emotions_spec(tmp_path).to_dict() | changes)
