"""Rows with several classes are recognised however they are written; ordinary labels with commas and blanks stay one."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.base.errors import InputError
from core.base.messages import corrections
from core.contest.inspect.draft import Inspection, inspect_path
from core.contest.inspect.labels import find_separation
from core.contest.labels import split_cell
from core.contest.register import add_contest
from core.contest.table import load_truth
from core.specs.contest import ContestSpec
from core.submission.format import read_format
from core.submission.write import make_submission
from core.workspace import Workspace
from tests.contest.contest_folders import folder_contest, registered, text_contest, write_csv
from tests.emotions import EMOTIONS, Layout, emotion_sets, emotions_spec, write_emotions
from tests.inputs.spoiled_contests import edit

NAMES = st.text(alphabet="가나다라마바사아자차카타파하abcdefghij0123456789_", min_size=1, max_size=6)
BRACKETS = ("", "[]", "()", "{}")
QUOTES = ("", "'", '"')


def details(inspection: Inspection, key: str) -> str:
    return " | ".join(f"{check.level} {check.value}: {check.detail}" for check in inspection.checks if check.key == key)


def is_several(cells: Sequence[str]) -> bool:
    best = find_separation(pd.Series(cells, dtype="str"))
    return best is not None and best.is_likely


def random_sets(classes: Sequence[str], rng: random.Random, n: int = 80) -> list[list[str]]:
    """Rows of none to four classes in any order; each class also stands alone in a row."""
    return [*([name] for name in classes), *(rng.sample(classes, rng.randrange(min(4, len(classes)) + 1)) for _ in range(n))]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(NAMES, min_size=4, max_size=12, unique=True),
    st.sampled_from([",", ", ", "|", " | ", ";", "/", "+", "#", " "]),
    st.sampled_from(BRACKETS),
    st.sampled_from(QUOTES),
    st.integers(0, 2**32),
)
def test_cells_with_several_names_are_taken_apart(classes: list[str], separator: str, brackets: str, quote: str, seed: int) -> None:
    sets = random_sets(classes, random.Random(seed))
    left, right = brackets or ("", "")
    cells = [left + separator.join(f"{quote}{name}{quote}" for name in names) + right for names in sets]
    best = find_separation(pd.Series(cells, dtype="str"))
    assert best is not None and best.is_likely
    assert best.separator == (separator.strip() or " ")
    assert [split_cell(cell, best.separator) for cell in cells] == sets


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=4), min_size=3, max_size=30, unique_by=tuple),
    st.sampled_from([", ", ",", " ", "/"]),
    st.integers(0, 2**32),
)
def test_names_made_of_words_of_their_own_stay_whole(words: list[list[str]], joint: str, seed: int) -> None:
    names = [joint.join(f"{word}{number}{place}" for place, word in enumerate(name)) for number, name in enumerate(words)]
    rng = random.Random(seed)
    assert not is_several([rng.choice(names) for _ in range(200)])


@pytest.mark.parametrize(
    "names",
    [
        [
            f"{maker} {model} {year}"
            for maker, model in (("현대", "그랜저"), ("현대", "아반떼 N"), ("기아", "K5"))
            for year in range(2017, 2021)
        ],
        ["very negative", "negative", "neutral", "positive", "very positive"],
        ["sports", "politics", "sports, other", "business", "business, other"],
        ["Seoul, Korea", "Busan, Korea", "Paris, France", "Lyon, France"],
        ["red wine", "white wine", "wine", "beer", "dark beer"],
        ["New York", "York", "New Jersey", "Jersey City", "City"],
        ["빨강, 대", "빨강, 소", "파랑, 대", "파랑, 소"],
        ["불평/불만", "안타까움/실망", "슬픔", "불안/걱정"],
        ["1,000", "2,000", "500", "1,500"],
        ["[0, 1, 0, 1]", "[1, 1, 0, 0]", "[0, 0, 0, 1]"],
        ["2020/01/03", "2020/02/01", "2020/03/02"],
    ],
)
def test_ordinary_labels_stay_one(tmp_path: Path, names: list[str]) -> None:
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), [(row, f"글 {row}", names[row % len(names)]) for row in range(60)])
    found = inspect_path(tmp_path, name="x")
    assert (found.draft.labels, found.draft.label_separator) == ("one", "")
    assert set(found.draft.classes) == set(names)
    assert found.rows_by_size == ()


def test_doubt_is_said_and_can_be_resolved(tmp_path: Path) -> None:
    rows = [(row, f"글 {row}", ("빨강,대", "빨강,소", "파랑,대", "파랑,소")[row % 4]) for row in range(24)]
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), rows)
    assert "warning one: in 24 of 24 rows ','" in details(inspect_path(tmp_path, name="x"), "labels")
    found = inspect_path(tmp_path, name="x", sets=["labels=several"])
    assert (found.draft.label_separator, found.draft.classes) == (",", ("대", "빨강", "소", "파랑"))
    assert found.class_counts == dict.fromkeys(("대", "빨강", "소", "파랑"), 12)
    assert inspect_path(tmp_path, name="x", sets=["labels=one"]).draft.classes == ("빨강,대", "빨강,소", "파랑,대", "파랑,소")


@pytest.mark.parametrize("layout", ["cells", "columns"])
def test_a_folder_is_understood_as_a_person_would(workspace: Workspace, tmp_path: Path, layout: Layout) -> None:
    folder = write_emotions(tmp_path / "emotions", layout=layout)
    found = inspect_path(folder)
    meant = emotions_spec(folder, layout)
    by_order = {"classes": tuple(sorted(meant.classes)), "metric": "macro_f1" if layout == "cells" else "log_loss"}
    assert found.draft.to_dict() == meant.model_copy(update=by_order).to_dict()
    assert found.problems == ()
    truth = emotion_sets(240, 0)
    named = dict(zip(meant.classes, truth.sum(axis=0).tolist(), strict=True))
    assert found.class_counts == named
    assert sum(found.rows_by_size) == 240
    assert found.rows_by_size[0] == int((truth.sum(axis=1) == 0).sum())
    assert any(", " in text for text in found.preview["label"])
    assert "63 rows have none" in details(found, "labels")
    order = [meant.classes.index(name) for name in found.draft.classes]
    assert (load_truth(workspace, add_contest(workspace, found.draft)).labels == truth[:, order]).all()


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("TRUE", "FALSE"), ("true", "false"), ("1.0", "0.0")])
def test_flags_may_be_words(workspace: Workspace, tmp_path: Path, yes: str, no: str) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    header, *lines = (folder / "train.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines]
    words = [",".join([*row[:2], *(yes if flag == "1" else no for flag in row[2:])]) for row in rows]
    (folder / "train.csv").write_text("\n".join([header, *words]) + "\n", encoding="utf-8")
    found = inspect_path(folder)
    assert (found.draft.labels, found.draft.submission, found.problems) == ("several", "probabilities", ())
    order = [EMOTIONS.index(name) for name in found.draft.classes]
    assert (load_truth(workspace, add_contest(workspace, found.draft)).labels == emotion_sets(240, 0)[:, order]).all()


def test_flags_to_submit_are_a_guess_and_said_so(tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    sample = folder / "sample_submission.csv"
    sample.write_text(sample.read_text(encoding="utf-8").replace("0.5", "0"), encoding="utf-8")
    found = inspect_path(folder)
    assert (found.draft.submission, found.draft.metric) == ("flags", "macro_f1")
    assert "note flags" in details(found, "submission") and "a guess" in details(found, "submission")
    right = inspect_path(folder, sets=["submission=probabilities"])
    assert (right.draft.submission, right.draft.metric) == ("probabilities", "log_loss")


def test_columns_that_only_the_training_table_has_are_classes(tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    (folder / "sample_submission.csv").unlink()
    found = inspect_path(folder)
    assert (found.draft.labels, found.draft.label_column, set(found.draft.classes)) == ("several", "", set(EMOTIONS))
    assert found.draft.submission == "probabilities"
    (folder / "test.csv").unlink()
    assert inspect_path(folder, sets=["label_column="]).draft.labels == "several"


def test_columns_beside_a_label_are_no_classes(tmp_path: Path) -> None:
    rows = [(row, f"글 {row}", row % 2, row % 3 % 2, "ab"[row % 2]) for row in range(20)]
    write_csv(tmp_path / "train.csv", ("id", "text", "is_long", "is_new", "label"), rows)
    write_csv(tmp_path / "test.csv", ("id", "text"), [(row, "글") for row in range(3)])
    assert inspect_path(tmp_path, name="x").draft.label_column == "label"
    chosen = inspect_path(tmp_path, name="x", sets=["labels=several", "classes=[is_long, is_new]"])
    assert (chosen.draft.label_column, chosen.draft.classes) == ("", ("is_long", "is_new"))


def test_one_class_per_row_in_columns_is_questioned(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", ("id", "text", "a", "b"), [(row, f"글 {row}", row % 2, 1 - row % 2) for row in range(20)])
    write_csv(tmp_path / "test.csv", ("id", "text"), [(row, "글") for row in range(3)])
    assert "warning : every row has exactly one" in details(inspect_path(tmp_path, name="x"), "labels")


@pytest.mark.parametrize(
    ("sets", "changed"),
    [
        (["label_separator=space"], {"label_separator": " "}),
        (["label_separator=' '"], {"label_separator": " "}),
        (["label_separator=;"], {"label_separator": ";"}),
        (["classes=['3', '1', '0', '2', '5', '4']"], {"classes": ["3", "1", "0", "2", "5", "4"]}),
        (["metric=accuracy"], {"metric": "accuracy"}),
    ],
)
def test_every_point_can_be_corrected(tmp_path: Path, sets: list[str], changed: dict[str, object]) -> None:
    found = inspect_path(write_emotions(tmp_path / "e"), sets=sets).draft.to_dict()
    assert {name: found[name] for name in changed} == changed
    assert found["labels"] == "several"


def test_rows_can_be_taken_for_one_label(tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    found = inspect_path(folder, sets=["labels=one", f"label_column={EMOTIONS[0]}", "sample_submission="])
    assert (found.draft.labels, found.draft.classes) == ("one", ("0", "1"))


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["labels=many"], "several"),
        (["label_separator=,", "labels=one"], "label_separator"),
        (["labels=several", "label_separator="], "label_separator"),
        (["label_column="], "columns of 0 and 1"),
        (["label_column=", "classes=[x, y]"], "columns of 0 and 1"),
        (["label_column=emotion"], "there is no column 'emotion'"),
        (["label_separator=,,,,,,"], "label_separator"),
    ],
)
def test_answers_that_do_not_fit_are_refused(tmp_path: Path, sets: list[str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        inspect_path(write_emotions(tmp_path / "e"), sets=sets)
    assert said in str(refused.value)
    assert refused.value.fix


def test_class_folders_have_one_class_per_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class folder"):
        inspect_path(folder_contest(tmp_path / "cars"), sets=["labels=several"])


def test_what_is_no_class_and_what_is_no_flag_is_told_by_line(tmp_path: Path) -> None:
    cells = write_emotions(tmp_path / "cells")
    found = inspect_path(cells, sets=["classes=['0', '1', '2', '3', '4']"])
    assert found.problems and "train.tsv line" in found.problems[0] and "'5' is not one of the 5 classes" in found.problems[0]
    columns = write_emotions(tmp_path / "columns", layout="columns")
    line = (columns / "train.csv").read_text(encoding="utf-8").splitlines()[4]
    edit(columns, "train.csv", line, line[: line.rindex(",")] + ",maybe")
    (problem,) = inspect_path(columns).problems
    assert problem.startswith("train.csv line 5, column '지루함': 'maybe' is neither 0 nor 1")


def test_a_missing_column_of_a_class_is_told(tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    edit(folder, "train.csv", EMOTIONS[2], "화남")
    found = inspect_path(folder)
    assert EMOTIONS[2] not in found.draft.classes
    assert any(EMOTIONS[2] in problem for problem in found.problems)


def test_tables_without_a_header_are_questioned_or_refused(tmp_path: Path) -> None:
    """KOTE as it is published: id, text and labels by tabs, and no line of names."""
    folder = write_emotions(tmp_path / "kote")
    (folder / "sample_submission.csv").unlink()
    for name in ("train.tsv", "test.tsv"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()[1:]
        (folder / name).write_text("\n".join(line.replace("tr", "1").replace("te", "2") for line in lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="no line of column names") as refused:
        inspect_path(folder)
    assert "train.tsv line 1" in refused.value.where
    (folder / "test.tsv").unlink()
    found = inspect_path(folder)
    assert "warning" in details(found, "train")
    assert found.draft.labels == "several"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet="ab가,;|/ []'\"01", max_size=8), min_size=4, max_size=12), st.sampled_from([[], ["labels=several"]]))
def test_any_cells_are_understood_or_refused(tmp_path: Path, cells: list[str], sets: list[str]) -> None:
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), [(row, f"글 {row}", cell) for row, cell in enumerate(cells)])
    try:
        found = inspect_path(tmp_path, name="x", sets=sets)
    except InputError as refusal:
        assert refusal.fix
    else:
        assert found.n_train == len(cells)
        assert sum(found.rows_by_size) == (len(cells) if found.draft.is_multilabel else 0)


def test_ordinary_reviews_say_that_a_cell_is_one_class(tmp_path: Path) -> None:
    assert details(inspect_path(text_contest(tmp_path / "reviews")), "labels") == "ok one: each cell of 'label' names one class"


NEW_SIGNS = (":", "&", "、", "，", "·", "-", "_", ">", "\n", "\t", "||", " and ", " 및 ")


@pytest.mark.parametrize("sign", NEW_SIGNS)
def test_whatever_stands_between_labels_is_written_between_them(tmp_path: Path, workspace: Workspace, sign: str) -> None:
    cells = [cell.replace("#", sign) for cell in ["a b", "b", "a b#b", "c", "b#a b#c", "b", "c#b", "a b#c"] * 2]
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), [(f"t{row}", f"some words {row}", cell) for row, cell in enumerate(cells)])
    write_csv(tmp_path / "test.csv", ("id", "text"), [("s0", "words")])
    write_csv(tmp_path / "sample_submission.csv", ("id", "label"), [("s0", f"a b{sign}c")])
    contest, found = registered(workspace, tmp_path)
    assert (found.draft.classes, found.draft.label_separator) == (("a b", "b", "c"), sign)
    data = make_submission(read_format(workspace, contest), ["s0"], np.array([[0.1, 0.9, 0.8]]))
    assert list(csv.reader(io.StringIO(data.decode(), newline="")))[1] == ["s0", f"b{sign}c"]


@pytest.mark.parametrize(
    ("cells", "labels", "level"),
    [
        (["a", "b", "a#b", "c", "a#c", "b", "a#b#c"] * 4, "several", "ok"),
        ([*(["joy", "fear", "joy|calm", "fear|calm"] * 6), "fear|rare|calm"], "several", "ok"),
        (["1|2", "9|9", "3", "1|3", "2", "9|3"] * 5, "one", "warning"),
        *(
            ([cell.replace("#", sign) for cell in ["a", "b", "a#b", "c", "b#a#c", "b", "c#b", "a#c"] * 4], "several", "ok")
            for sign in NEW_SIGNS
        ),
        (["male_20s", "female_20s", "male_30s", "female_30s"] * 5, "one", "ok"),
        (["t-shirt", "x-ray", "shirt"] * 8, "one", "ok"),
        (["C#", "F#", "Java"] * 8, "one", "ok"),
        (["C/C++", "Java", "Go"] * 8, "one", "ok"),
        (["#1", "#2", "#3"] * 8, "one", "ok"),
    ],
)
def test_labels_that_a_sign_joins_are_several_or_the_doubt_is_said(tmp_path: Path, cells: list[str], labels: str, level: str) -> None:
    write_csv(tmp_path / "train.csv", ("id", "text", "label"), [(f"t{row}", f"some words {row}", cell) for row, cell in enumerate(cells)])
    found = inspect_path(tmp_path)
    assert found.draft.labels == labels
    assert details(found, "labels").split()[0] == level
    asked = inspect_path(tmp_path, sets=["labels=several"])
    assert asked.draft.labels == "several"


@pytest.mark.parametrize("values", [("Y", "N"), ("1", ""), ("0.3", "0.7"), ("x", "y")])
def test_columns_of_the_sample_that_hold_no_flags_are_refused_with_what_to_write(tmp_path: Path, values: tuple[str, str]) -> None:
    write_csv(
        tmp_path / "train.csv", ("id", "text", "joy", "calm"), [(f"t{n}", f"some words {n}", values[n % 2], values[0]) for n in range(6)]
    )
    write_csv(tmp_path / "sample_submission.csv", ("id", "calm", "joy"), [("s0", "0.5", "0.5")])
    with pytest.raises(InputError, match="do not hold 0 and 1") as caught:
        inspect_path(tmp_path)
    assert "write 1 where a row has the class" in caught.value.fix and repr(values[0]) in caught.value.why
    assert corrections(caught.value.fix, ContestSpec.model_fields) == ["--set label_column=calm", "--set label_column=joy"]
    if all(values):
        one = inspect_path(tmp_path, sets=["label_column=joy"])
        assert one.draft.label_column == "joy" and one.refusal is not None
        (way_out,) = corrections(one.refusal.fix, ContestSpec.model_fields)
        alone = inspect_path(tmp_path, sets=["label_column=joy", way_out.removeprefix("--set ")])
        assert alone.draft.sample_submission == "" and not alone.problems


@pytest.mark.parametrize(
    ("names", "is_possible"), [(["org:political/religious", "per:city/province"], False), (["class 1/class 2", "class 3/class 4"], True)]
)
def test_slashes_inside_of_a_few_class_names_are_no_combinations_where_their_parts_stand_nowhere_else(
    names: list[str], is_possible: bool
) -> None:
    found = find_separation(pd.Series([*(f"class {number}" for number in range(28)), *names] * 5))
    assert found is not None and found.is_possible == found.is_likely == is_possible
