"""Augmented rows are predicted by networks that never saw their source, and those of another class are named and can be left out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.base.errors import InputError
from core.contest.extra_rows import add_rows, get_rows, leave_out, load_rows
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import load_folds, save_folds
from core.predictions.augmented_rows import check_rows
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.runs import FoldResult
from core.workspace import open_workspace
from tests.contest.contest_folders import write_csv
from tests.finished_workspace import finish_run

CLASSES = ("good", "poor")


def test_rows_whose_class_left_their_sources_are_named_by_networks_that_never_saw_it(tmp_path: Path) -> None:
    rows = [(f"r{number}", f"a {CLASSES[number % 2]} film {number}", CLASSES[number % 2]) for number in range(30)]
    write_csv(tmp_path / "reviews" / "train.csv", ("id", "text", "label"), rows)
    write_csv(tmp_path / "reviews" / "test.csv", ("id", "text"), [("t1", "a")])
    workspace = open_workspace(tmp_path / "workspace")
    contest = add_contest(workspace, inspect_path(tmp_path / "reviews", sets=["label_column=label", "id_column=id"]).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    recipe = Recipe.model_validate({"modality": "text", "model": {"backbone": "tiny_transformer", "pretrained": False}})
    run = finish_run(workspace, contest, folds, recipe, n_done=2)
    others = [(name, text.replace("good", "poor") if name in ("r2", "r4") else text + " again") for name, text, _ in rows]
    write_csv(tmp_path / "more.csv", ("source", "text"), others)
    added = add_rows(workspace, contest, tmp_path / "more.csv", kind="augmented")
    pairs, seen = load_folds(workspace, folds), dict[int, list[str]]()

    def load(result: FoldResult) -> Any:
        def predict(texts: list[str]) -> Any:
            seen[result.fold] = [f"r{text.split()[3]}" for text in texts]
            return np.array([[0.9, 0.1] if "good" in text else [0.2, 0.8] for text in texts], dtype=np.float32)

        return [SimpleNamespace(predict=predict, spec=SimpleNamespace(compose=recipe.input.compose_settings))]

    found = check_rows(workspace, contest, run, added, load)
    assert {fold: set(ids) for fold, ids in seen.items()} == {fold: {f"r{row}" for row in pairs.valid_idx(fold)} for fold in (0, 1)}
    unknown = {f"r{row}" for row in pairs.valid_idx(2)}
    assert found.n_unknown == len(unknown) and found.n_rows == 30
    assert {each.source for each in found.mismatches} == {"r2", "r4"} - unknown
    for each in found.mismatches:
        assert (each.label, each.predicted, each.place) == (0, 1, int(each.source[1:])) and each.probability == pytest.approx(0.8)
        assert "good" in each.source_text and "poor" in each.text
    kept = leave_out(workspace, contest, added, [2, 4], "checked")
    loaded = load_rows(kept, [name for name, *_ in rows], np.arange(30) % 2)
    assert sorted(loaded.source.tolist()) == [row for row in range(30) if row not in (2, 4)]
    assert kept.n_rows == 28 and get_rows(workspace, contest, "more") == added, "the set itself never changes"
    with pytest.raises(InputError, match="named more already"):
        leave_out(workspace, contest, added, [2], "more")
    with pytest.raises(InputError, match="no row of more is left"):
        leave_out(workspace, contest, added, range(30), "none")
