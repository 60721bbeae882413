"""A class has many spellings, and a sample submission has names of its own for it: what is understood is said, and what is written is what the sample has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.base.errors import InputError
from core.contest.inspect.draft import Inspection, inspect_path
from core.contest.names import class_finder, naming_of_columns, naming_of_values
from core.contest.register import add_contest
from core.contest.table import load_table, load_truth
from core.submission.format import read_format
from core.submission.write import SubmissionCheck, check_submission, make_submission
from core.workspace import Workspace
from tests.contest.contest_folders import registered, write_csv

BAD_GOOD = ("bad", "good")


def make(
    root: Path,
    labels: Sequence[str],
    sample: Sequence[Sequence[str]],
    *,
    header: Sequence[str] = ("id", "text", "label"),
    more: Sequence[Sequence[str]] = (),
    ids: Sequence[str] = (),
    test_ids: Sequence[str] | None = None,
    encoding: str = "utf-8",
) -> Path:
    """Twelve training texts with these labels in turn, `more` columns behind them, and a sample submission of a header and its rows."""
    rows = [
        (
            ids[number] if ids else f"t{number:03d}",
            f"a text of some words {number}",
            labels[number % len(labels)],
            *(column[number % len(column)] for column in more),
        )
        for number in range(12)
    ]
    write_csv(root / "train.csv", (*header, *(f"more{number}" for number in range(len(more)))), rows)
    named = [row[0].strip() for row in sample[1:]] if test_ids is None else test_ids
    texts = [f"a text to judge {number}" for number in range(len(named) or 4)]
    if named:
        write_csv(root / "test.csv", (header[0], header[1]), list(zip(named, texts, strict=True)))
    else:
        write_csv(root / "test.csv", (header[1],), [(text,) for text in texts])
    write_csv(root / "sample_submission.csv", sample[0], sample[1:], encoding=encoding)
    return root


def rows(*values: Sequence[str]) -> list[Sequence[str]]:
    """Sample rows s0, s1 … with these values."""
    return [(f"s{number}", *each) for number, each in enumerate(values)]


@dataclass(frozen=True)
class Written:
    """What became of a contest: its inspection, and the lines and the checks of the file that would be written."""

    found: Inspection
    lines: list[str]
    checks: tuple[SubmissionCheck, ...]

    def said(self, key: str) -> list[tuple[str, str]]:
        return [(check.level, f"{check.value} {check.detail}") for check in self.found.checks if check.key == key]


GA_D, NA_D = "\u1100\u1161", "\u1102\u1161"
"""Two syllables as macOS decomposes them."""


def written(workspace: Workspace, root: Path, *sets: str) -> Written:
    """Register, and write the classes in turn for the test rows."""
    contest, found = registered(workspace, root, *sets, name="c")
    form, test = read_format(workspace, contest), load_table(workspace, contest).test
    prob = np.eye(len(contest.spec.classes), dtype=np.float32)[np.arange(len(test)) % len(contest.spec.classes)]
    data = make_submission(form, list(test["id"]), prob)
    return Written(found, data.decode(form.encoding).splitlines(), check_submission(form, data))


@pytest.mark.parametrize(
    ("labels", "sample", "more", "classes", "lines", "level"),
    [
        (("0.0", "1.0"), rows(["0"], ["0"]), [], ("0.0", "1.0"), ["s0,0", "s1,1"], "note"),
        (("0", "1"), rows(["0.0"], ["1.0"]), [], ("0", "1"), ["s0,0.0", "s1,1.0"], "note"),
        (BAD_GOOD, rows(["0"], ["0"]), [], BAD_GOOD, ["s0,0", "s1,1"], "warning"),
        (BAD_GOOD, rows(["1"], ["2"]), [], BAD_GOOD, ["s0,1", "s1,2"], "warning"),
        (BAD_GOOD, rows(["7"], ["7"]), [("7", "3")], BAD_GOOD, ["s0,7", "s1,3"], "note"),
        (BAD_GOOD, rows(["Bad"], ["Bad"]), [], BAD_GOOD, ["s0,Bad", "s1,Good"], "note"),
        (BAD_GOOD, rows(["bad"], ["good"]), [], BAD_GOOD, ["s0,bad", "s1,good"], None),
        ((" bad", " good"), rows(["bad"], ["bad"]), [], BAD_GOOD, ["s0,bad", "s1,good"], None),
        (("0.0", "1", "0", "1.0"), rows(["0"], ["0"]), [], ("0", "1"), ["s0,0", "s1,1"], None),
        (("1", "2"), rows(["0"], ["0"]), [], ("1", "2"), ["s0,1", "s1,2"], "warning"),
        (BAD_GOOD, rows(["?"], ["?"]), [], BAD_GOOD, ["s0,bad", "s1,good"], "warning"),
        (BAD_GOOD, rows(["bad"], ["odd"]), [], BAD_GOOD, ["s0,bad", "s1,good"], "warning"),
        (BAD_GOOD, rows([""], [""]), [], BAD_GOOD, ["s0,bad", "s1,good"], None),
        (("bad", "good", "bad\u200b", "\ufeffgood"), rows(["bad"], ["good"]), [], BAD_GOOD, ["s0,bad", "s1,good"], None),
        ((GA_D, NA_D), rows([GA_D], [NA_D]), [], ("\uac00", "\ub098"), [f"s0,{GA_D}", f"s1,{NA_D}"], "note"),
        ((GA_D, NA_D), rows(["0"], ["0"]), [], ("\uac00", "\ub098"), ["s0,0", "s1,1"], "warning"),
        ((GA_D, NA_D), rows([""], [""]), [], ("\uac00", "\ub098"), [f"s0,{GA_D}", f"s1,{NA_D}"], "note"),
        ((GA_D, NA_D), rows(["\uac00"], ["\uac00"]), [], ("\uac00", "\ub098"), ["s0,\uac00", "s1,\ub098"], None),
    ],
)
def test_labels_are_written_as_the_sample_has_them_and_what_was_understood_is_said(
    tmp_path: Path,
    workspace: Workspace,
    labels: Sequence[str],
    sample: list[Sequence[str]],
    more: Sequence[Sequence[str]],
    classes: tuple[str, ...],
    lines: list[str],
    level: str | None,
) -> None:
    made = written(workspace, make(tmp_path / "c", labels, [("id", "label"), *sample], more=more))
    assert made.found.draft.classes == classes
    assert made.lines[1:] == lines
    assert all(check.is_ok for check in made.checks)
    assert [each for each, _ in made.said("submission_names")] == ([level] if level else [])


def test_a_guess_about_names_is_corrected(tmp_path: Path, workspace: Workspace) -> None:
    root = make(tmp_path / "c", BAD_GOOD, [("id", "label"), *rows(["0"], ["0"])])
    assert written(workspace, root, "submission_names=['1', '0']").lines[1:] == ["s0,1", "s1,0"]
    with pytest.raises(InputError, match="submission_names"):
        inspect_path(root, sets=["submission_names=[bad]"])


def test_a_sample_whose_labels_are_no_classes_is_refused_with_a_way_out(tmp_path: Path, workspace: Workspace) -> None:
    root = make(tmp_path / "c", BAD_GOOD, [("id", "label"), *rows(["x"], ["y"], ["z"])])
    found = inspect_path(root, name="c")
    assert any("none of its values is a class" in problem and "submission_names" in problem for problem in found.problems)
    with pytest.raises(InputError, match="none of its values is a class"):
        add_contest(workspace, found.draft)
    assert written(workspace, root, "submission_names=[bad, good]").lines[1:] == ["s0,bad", "s1,good", "s2,bad"]


@pytest.mark.parametrize(
    ("labels", "header"),
    [
        (BAD_GOOD, ("id", " bad", "good ")),
        ((" bad", " good"), ("id", "bad", "good")),
        (BAD_GOOD, ("id", "prob_bad", "prob_good")),
        (BAD_GOOD, ("id", "P(good)", "P(bad)")),
        (BAD_GOOD, ("id", "Good", "Bad")),
        (BAD_GOOD, ("id", "class_0", "class_1")),
        (("0.0", "1.0"), ("id", "1", "0")),
        (("0", "1"), ("id", "target_1", "target_0")),
    ],
)
def test_columns_of_the_sample_are_found_however_they_are_named_and_written_to_the_letter(
    tmp_path: Path, workspace: Workspace, labels: Sequence[str], header: Sequence[str]
) -> None:
    made = written(workspace, make(tmp_path / "c", labels, [header, *rows(["0.5", "0.5"], ["0.5", "0.5"])]))
    assert made.found.draft.submission == "probabilities"
    assert made.lines[0] == ",".join(header)
    is_first = header[1].strip().lower().rstrip(")").endswith(("bad", "0"))
    first = 1 if is_first else 2
    assert [line.split(",")[first] for line in made.lines[1:]] == ["1", "0"]
    assert all(check.is_ok for check in made.checks)
    guessed = header[1] == "class_0"
    assert ("warning" in [level for level, _ in made.said("submission_names")]) == guessed


def test_a_class_without_training_rows_gets_a_floor(tmp_path: Path, workspace: Workspace) -> None:
    made = written(
        workspace, make(tmp_path / "c", BAD_GOOD, [("id", "bad", "good", "odd"), *rows(["0.3", "0.3", "0.4"], ["0.3", "0.3", "0.4"])])
    )
    assert made.found.draft.untrained_classes == ("odd",)
    assert [level for level, _ in made.said("untrained_classes")] == ["warning"]
    values = np.array([line.split(",")[1:] for line in made.lines[1:]], dtype=np.float64)
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)
    assert (values[:, 2] > 0).all() and (values[:, 2] < 1e-3).all()
    assert all(check.is_ok for check in made.checks)


def test_a_column_of_words_is_no_class(tmp_path: Path) -> None:
    root = make(tmp_path / "c", BAD_GOOD, [("id", "bad", "good", "note"), *rows(["0.5", "0.5", "x"], ["0.5", "0.5", "y"])])
    found = inspect_path(root)
    assert found.draft.untrained_classes == ()
    assert any("'note' is not one of the 2 classes" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("labels", "sample", "sets", "classes", "n_train"),
    [
        (("bad", "good", "NA"), "bad", ["missing_labels=drop"], BAD_GOOD, 8),
        (("bad", "good", "NA"), "bad", ["missing_labels=class"], ("NA", "bad", "good"), 12),
        (("bad", "good", ""), "bad", ["missing_labels=drop"], BAD_GOOD, 8),
        (("nan", "roti"), "nan", [], ("nan", "roti"), 12),
        (("bad", "good", "NA"), "bad", ["classes=[NA, bad, good]"], ("NA", "bad", "good"), 12),
        (("none", "some"), "none", [], ("none", "some"), 12),
        (("N/A", "some"), "some", [], ("N/A", "some"), 12),
    ],
)
def test_a_word_for_a_missing_label_is_said_and_can_be_kept_or_left_out(
    tmp_path: Path, workspace: Workspace, labels: Sequence[str], sample: str, sets: list[str], classes: tuple[str, ...], n_train: int
) -> None:
    root = make(tmp_path / "c", labels, [("id", "label"), *rows([sample], [sample])])
    contest, found = registered(workspace, root, *sets)
    assert (found.draft.classes, contest.n_train) == (classes, n_train)
    assert len(load_truth(workspace, contest).labels) == n_train
    assert set(load_table(workspace, contest).train["col.label"]) == set(classes)
    if "NA" in labels or "" in labels:
        refused = inspect_path(root)
        assert [check.level for check in refused.checks if check.key == "missing_labels"] == ["warning"]
        assert all("missing_labels=drop" in problem for problem in refused.problems) and len(refused.problems) == 4


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_a_class_that_the_samples_encoding_cannot_write_is_said_and_the_file_is_utf_8(
    tmp_path: Path, workspace: Workspace, encoding: str
) -> None:
    sample = [("아이디", "감정"), *[(f"s{number}", "") for number in range(3)]]
    made = written(workspace, make(tmp_path / "c", ("😀", "😡"), sample, header=("아이디", "문장", "감정"), encoding=encoding))
    assert made.lines == ["아이디,감정", "s0,😀", "s1,😡", "s2,😀"]
    assert any("UTF-8" in said for _, said in made.said("sample_submission")) == (encoding == "cp949")
    assert [check.key for check in made.checks if check.is_doubtful] == (["encoding"] if encoding == "cp949" else [])


@pytest.mark.parametrize(
    ("sample_ids", "test_ids", "written_ids", "doubt"),
    [
        (["사진0", "사진1"], ["\u1109\u1161\u110c\u1175\u11ab0", "\u1109\u1161\u110c\u1175\u11ab1"], None, ""),
        (["\u1109\u1161\u110c\u1175\u11ab0", "\u1109\u1161\u110c\u1175\u11ab1"], ["사진0", "사진1"], None, ""),
        ([" s0", "s1 "], ["s0", "s1"], None, ""),
        (["7", "008"], ["7.0", "008.0"], None, ""),
        (["7.0", "8.0"], ["7", "8"], None, ""),
        (["s1"], ["s0", "s1", "s2"], None, "names 1 of the 3 test rows"),
        (["1", "2", "3", "4"], [], None, ""),
        (["0004", "0003", "0002", "0001"], [], None, ""),
        (["d", "a", "b", "c"], [], None, "in the order of the sample submission"),
        (["1", "2"], [], None, "names 2 of the 4 test rows"),
    ],
)
def test_ids_of_the_sample_are_those_of_the_test_in_any_spelling(
    tmp_path: Path, workspace: Workspace, sample_ids: list[str], test_ids: list[str], written_ids: None, doubt: str
) -> None:
    root = make(tmp_path / "c", BAD_GOOD, [("id", "label"), *[(name, "bad") for name in sample_ids]], test_ids=test_ids)
    made = written(workspace, root)
    assert [line.split(",")[0].strip('"') for line in made.lines[1:]] == sample_ids
    doubts = [said for key in ("sample_submission", "test") for level, said in made.said(key) if level == "warning"]
    assert [doubt in said for said in doubts] == ([True] if doubt else [])
    assert all(check.is_ok for check in made.checks)
    if sample_ids[0] == "1":
        assert made.lines[1] == "1,bad"
    if sample_ids[0] == "0004":  # counted from 1: the sample's first row is the fourth of the test, which has the second class
        assert made.lines[1] == "0004,good"


def test_training_ids_may_repeat(tmp_path: Path, workspace: Workspace) -> None:
    root = make(tmp_path / "c", BAD_GOOD, [("id", "label"), *rows(["bad"], ["bad"])], ids=[f"t{number // 2}" for number in range(12)])
    contest, found = registered(workspace, root)
    assert list(load_table(workspace, contest).train["id"])[:3] == ["t0", "t0 (2)", "t1"]
    assert any("'t0 (2)'" in check.detail and check.level == "warning" for check in found.checks if check.key == "id_column")


@pytest.mark.parametrize(
    ("classes", "values", "names"),
    [
        (("bad", "good"), ("1", "0"), ("0", "1")),
        (("Bad", "bad"), ("BAD",), None),
        (("1", "2", "3"), ("0",), None),
        (("1", "2", "3"), ("0", "1", "2"), ("0", "1", "2")),
    ],
)
def test_names_of_values(classes: tuple[str, ...], values: tuple[str, ...], names: tuple[str, ...] | None) -> None:
    found = naming_of_values(values, classes, {})
    assert (found and found.names) == names


def test_columns_whose_classes_differ_only_in_case_are_told_apart() -> None:
    found = naming_of_columns(["bad", "Bad"], ("Bad", "bad"), {})
    assert found is not None
    assert found.names == ("Bad", "bad")
    find = class_finder(("bad", " bad", "1"))
    assert [find(text) for text in ("bad", " bad", "bad ", "1.0", "x")] == [0, 1, -1, 2, -1]
