"""Rows beside a contest's own: augmented ones follow their source's fold, none is ever validated, and a set never changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.base.errors import AlignmentError, CheckpointError, InputError, NotFoundError, RecipeError
from core.contest.extra_rows import FILE, add_rows, count_labels, get_rows, list_rows, rows_of_recipe
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import add_truth
from core.folds import load_folds, save_folds
from core.jobs.fold import load_task
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest, get_contest
from core.store.folds import Folds
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import write_csv

N = 30
CLASSES = ("good", "poor")


@pytest.fixture
def reviews(tmp_path: Path) -> tuple[Workspace, Contest, Folds]:
    """A contest of 30 rows whose text is made of two columns, and three folds."""
    rows = [(f"r{number}", f"title {number}", f"body {number} of a review", CLASSES[number % 2]) for number in range(N)]
    write_csv(tmp_path / "reviews" / "train.csv", ("id", "title", "body", "label"), rows)
    write_csv(tmp_path / "reviews" / "test.csv", ("id", "title", "body"), [(f"t{n}", "a", "b") for n in range(4)])
    workspace = open_workspace(tmp_path / "workspace")
    sets = ["label_column=label", "input_columns=[title, body]", "metric=accuracy", "id_column=id"]
    contest = add_contest(workspace, inspect_path(tmp_path / "reviews", sets=sets).draft)
    return workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3))


def write(folder: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]], name: str = "more.csv") -> Path:
    write_csv(folder / name, columns, rows)
    return folder / name


def recipe(**train: object) -> Recipe:
    return Recipe.model_validate({"modality": "text", "model": {"backbone": "tiny_transformer", "pretrained": False}, "train": train})


def test_an_augmented_row_is_trained_on_where_its_source_is(reviews: tuple[Workspace, Contest, Folds], tmp_path: Path) -> None:
    workspace, contest, folds = reviews
    sources = [f"r{number}" for number in range(0, N, 2)] * 2
    file = write(tmp_path, ("source", "body"), [(source, f"other words {place}") for place, source in enumerate(sources)])
    rows = add_rows(workspace, contest, file, kind="augmented", weight=0.5, origin="back-translation")
    assert (rows.name, rows.n_rows, rows.weight, rows.origin) == ("more", 30, 0.5, "back-translation")
    pairs = load_folds(workspace, folds)
    for fold in range(3):
        plain = load_task(workspace, contest, folds, recipe(), fold, device="cpu", out_dir=tmp_path)
        task = load_task(workspace, contest, folds, recipe(extra_rows="more"), fold, device="cpu", out_dir=tmp_path)
        n_own = len(plain.train_idx)
        np.testing.assert_array_equal(task.train_idx[:n_own], plain.train_idx)
        np.testing.assert_array_equal(task.valid_idx, plain.valid_idx)
        more = task.train_idx[n_own:]
        expected = [place for place, source in enumerate(sources) if int(source[1:]) in set(pairs.train_idx(fold).tolist())]
        assert (more - N).tolist() == expected and 0 < len(expected) < 30
        for row in more:
            source = int(sources[row - N][1:])
            assert str(task.inputs[row]) == f"title {source}\nother words {row - N}", "the title is its source's"
            assert task.labels[row] == plain.labels[source]
        assert task.row_weights is not None and set(task.row_weights[more]) == {0.5} and set(task.row_weights[:N]) == {1.0}
    assert count_labels(workspace, contest, rows) == {"good": (15, 30), "poor": (15, 0)}


def test_labels_follow_a_corrected_source_unless_the_file_has_its_own(reviews: tuple[Workspace, Contest, Folds], tmp_path: Path) -> None:
    workspace, contest, folds = reviews
    add_rows(workspace, contest, write(tmp_path, ("source", "body", "label"), [("r0", "x", ""), ("r0", "y", "poor")]), kind="augmented")
    add_truth(workspace, contest, labels={0: 1}, drop=[1], reason="looked at again")
    contest = get_contest(workspace.store, contest.name)
    fold = next(number for number in range(3) if 0 in load_folds(workspace, folds).train_idx(number))
    task = load_task(workspace, contest, folds, recipe(extra_rows="more"), fold, device="cpu", out_dir=tmp_path)
    assert task.labels[-2:].tolist() == [1, 1] and 1 not in task.train_idx
    write(tmp_path, ("source", "body"), [("r1", "of a dropped row")], "dropped.csv")
    add_rows(workspace, contest, tmp_path / "dropped.csv", kind="augmented")
    for fold in range(3):
        task = load_task(workspace, contest, folds, recipe(extra_rows="dropped"), fold, device="cpu", out_dir=tmp_path)
        assert task.train_idx.max() < N, "a row whose source is dropped is not taken"


def test_rows_from_elsewhere_are_in_every_fold(reviews: tuple[Workspace, Contest, Folds], tmp_path: Path) -> None:
    workspace, contest, folds = reviews
    add_rows(workspace, contest, write(tmp_path, ("title", "body", "kind"), [("new", "text", "poor")]), kind="extra", label_column="kind")
    for fold in range(3):
        task = load_task(workspace, contest, folds, recipe(extra_rows="more"), fold, device="cpu", out_dir=tmp_path)
        assert task.train_idx[-1] == N and task.labels[N] == 1 and task.inputs[N] == "new\ntext" and N not in task.valid_idx


@pytest.mark.parametrize(
    ("columns", "rows", "kind", "what"),
    [
        (("body",), [("x",)], "augmented", "has no column source"),
        (("source", "body"), [("r0", "x"), ("r99", "y")], "augmented", "the id of no training row"),
        (("title", "body"), [("x", "y")], "extra", "has no column label"),
        (("title", "body", "label"), [("x", "y", "fine")], "extra", "1 value is no class"),
        (("title", "body", "label"), [("x", "y", "")], "extra", "no class"),
        (("source", "title", "body"), [("r0", " ", "")], "augmented", "1 row has no text"),
    ],
    ids=["no source column", "unknown source", "no label column", "unknown class", "no class", "no text"],
)
def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(
    columns: tuple[str, ...],
    rows: list[tuple[object, ...]],
    kind: str,
    what: str,
    reviews: tuple[Workspace, Contest, Folds],
    tmp_path: Path,
) -> None:
    workspace, contest, _ = reviews
    with pytest.raises(InputError, match=what) as problem:
        add_rows(workspace, contest, write(tmp_path, columns, rows), kind=kind)  # type: ignore[arg-type]
    assert problem.value.fix and not list_rows(workspace, contest)


def test_a_set_has_one_name_and_what_a_recipe_names_is_there_and_whole(reviews: tuple[Workspace, Contest, Folds], tmp_path: Path) -> None:
    workspace, contest, folds = reviews
    file = write(tmp_path, ("source", "body"), [("r0", "x")])
    rows = add_rows(workspace, contest, file, kind="augmented", weight=0.5)
    with pytest.raises(InputError, match="rows named more already"):
        add_rows(workspace, contest, file, kind="augmented")
    with pytest.raises(NotFoundError, match="moore"):
        rows_of_recipe(workspace, contest, recipe(extra_rows="moore"))
    tfidf = Recipe.model_validate(
        {"modality": "text", "model": {"backbone": "tfidf-logreg", "pretrained": False}, "train": {"extra_rows": "more"}}
    )
    with pytest.raises(RecipeError, match="one weight"):
        rows_of_recipe(workspace, contest, tfidf)
    (rows.path / FILE).write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        load_task(workspace, contest, folds, recipe(extra_rows="more"), 0, device="cpu", out_dir=tmp_path)


def test_a_contest_of_other_rows_does_not_take_them(reviews: tuple[Workspace, Contest, Folds], tmp_path: Path) -> None:
    workspace, contest, _ = reviews
    rows = add_rows(workspace, contest, write(tmp_path, ("source", "body"), [("r0", "x")]), kind="augmented")
    assert get_rows(workspace, contest, "more") == rows
    with pytest.raises(AlignmentError, match="other rows"):
        get_rows(workspace, replace(contest, fingerprint="0" * 64), "more")
