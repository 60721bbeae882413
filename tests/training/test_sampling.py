"""How often an epoch takes each row: counts by the formulas, one length for every epoch, and draws that derive from the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.base.errors import RecipeError
from core.data.batches import cut
from core.specs.data_settings import SamplingSettings
from core.specs.recipe import Recipe
from core.training.sampling import class_counts, draw, group_rows
from core.training.schedule import plan_epochs, plan_fold
from core.training.step import order_rows
from core.training.task import check_classes
from tests.training.small_tasks import TEXT, make_task, recipe_of, train
from tests.training.stopped import HARD, checkpointing_of, crash_at, resumed

SIZES = (60, 30, 9, 1)
LABELS = np.repeat(np.arange(4), SIZES)
KINDS = ("none", "balanced", "square_root", "repeat_factor", "counts")


def sampling(kind: str, **rest: Any) -> SamplingSettings:
    return SamplingSettings.model_validate({"kind": kind} | ({"counts": [5, 40, 0, 3]} if kind == "counts" else {}) | rest)


def counts_of(settings: SamplingSettings, labels: np.ndarray = LABELS) -> list[int]:
    return class_counts(group_rows(settings, labels), labels, 4).tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (sampling("none"), list(SIZES)),
        (sampling("balanced"), [25, 25, 25, 25]),
        (sampling("square_root"), (100 * np.sqrt(SIZES) / np.sqrt(SIZES).sum()).round().tolist()),
        (sampling("repeat_factor", repeat_below=0.25), [60, 30, round(9 * np.sqrt(0.25 / 0.09)), 5]),
        (sampling("counts"), [5, 40, 0, 3]),
    ],
    ids=KINDS,
)
def test_an_epoch_has_the_rows_of_each_class_that_its_sampler_says(settings: SamplingSettings, expected: list[float]) -> None:
    assert counts_of(settings) == expected
    for epoch in (1, 2):
        taken = draw(group_rows(settings, LABELS), 0, 0, epoch)
        assert np.bincount(LABELS[taken], minlength=4).tolist() == expected
        times = np.bincount(taken, minlength=len(LABELS))
        for label in range(4):  # no row is taken twice more often than another of its class
            assert np.ptp(times[label == LABELS]) <= 1


def test_repeat_factor_goes_by_the_rarest_class_of_a_row() -> None:
    labels = np.zeros((100, 3), dtype=np.int8)
    labels[:, 0] = 1
    labels[:4, 1] = labels[3:5, 2] = 1
    taken = draw(group_rows(sampling("repeat_factor", repeat_below=0.16), labels), 0, 0, 1)
    times = np.bincount(taken, minlength=100)
    # sqrt(.16 / .04) = 2 for class 1; sqrt(.16 / .02) = 2.83 for the two rows of class 2, six rows in all; all others once
    assert times[:3].tolist() == [2, 2, 2] and times[3:5].sum() == 6 and (times[5:] == 1).all()
    assert class_counts(group_rows(sampling("repeat_factor", repeat_below=0.16), labels), labels, 3).tolist() == [107, 9, 6]


@given(st.sampled_from(KINDS), st.integers(1, 32), st.lists(st.integers(0, 3), min_size=1, max_size=80))
def test_the_length_of_an_epoch_is_planned(kind: str, batch_size: int, labels: list[int]) -> None:
    recipe = Recipe.model_validate({"sampling": sampling(kind).to_dict(), "train": {"batch_size": batch_size}})
    rows = np.array(labels)
    plan = plan_epochs(recipe, rows)
    if plan.n_rows:
        lengths = {len(draw(group_rows(recipe.sampling, rows), 3, 0, epoch)) for epoch in (1, 2, 3)}
        assert lengths == {plan.n_rows} and plan.n_steps == len(cut(plan.n_rows, batch_size))
    if kind in ("balanced", "square_root"):
        assert plan.n_rows == len(rows)
        assert set(rows[draw(group_rows(recipe.sampling, rows), 3, 0, 1)]) == set(rows), "no class is lost"


def test_the_plan_of_a_fold_says_what_its_sampler_makes() -> None:
    plan = plan_fold(Recipe.model_validate({"sampling": {"kind": "balanced"}}), LABELS, 9, 4)
    assert plan.taken_rows.tolist() == [25.0] * 4


def test_the_order_derives_from_seed_fold_and_epoch(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, sampling={"kind": "counts", "counts": [20, 3, 30]})
    task = make_task(tmp_path, recipe)
    lengths = np.ones(len(task.inputs), dtype=np.int64)
    rows = order_rows(task, 1, lengths)
    assert np.array_equal(rows, order_rows(task, 1, lengths)) and set(rows) <= set(task.train_idx)
    assert np.bincount(task.labels[rows]).tolist() == [20, 3, 30]
    others = [
        make_task(tmp_path, recipe_of(TEXT, sampling=recipe.sampling.to_dict(), train={"seed": 1})),
        make_task(tmp_path, recipe, fold=1),
    ]
    assert not any(
        np.array_equal(rows, other) for other in (order_rows(task, 2, lengths), *(order_rows(each, 1, lengths) for each in others))
    )


def test_a_sampler_that_does_not_fit_the_classes_is_refused() -> None:
    for given_, why in (
        ({"kind": "counts"}, "give the rows"),
        ({"counts": [1, 2]}, "is only used"),
        ({"kind": "counts", "counts": [3, -1]}, "fewer"),
    ):
        with pytest.raises(ValueError, match=why):
            Recipe.model_validate({"sampling": given_})
    with pytest.raises(RecipeError, match="4 values for 2 classes"):
        check_classes(Recipe(sampling=sampling("counts")), ("a", "b"), multilabel=False)
    for kind in ("balanced", "square_root", "counts"):
        with pytest.raises(RecipeError, match="several classes"):
            check_classes(Recipe(sampling=sampling(kind)), tuple("abcd"), multilabel=True)
    check_classes(Recipe(sampling=sampling("repeat_factor")), tuple("abcd"), multilabel=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["balanced", "counts"])
def test_a_crash_changes_no_byte(kind: str, tmp_path: Path) -> None:
    settings = {"kind": kind} | ({"counts": [20, 3, 30]} if kind == "counts" else {})
    calm = make_task(tmp_path, recipe_of(TEXT, **HARD, sampling=settings, loss={"class_weights": "auto"}))
    output, _, epochs = train(calm)
    task = make_task(tmp_path, calm.recipe, checkpointing=checkpointing_of(tmp_path / "checkpoints"))
    crash_at(task, "training", 2, 3)
    again, _, epochs_again = train(resumed(tmp_path, task, 2))
    assert again.valid_prob.tobytes() == output.valid_prob.tobytes()
    assert [report.train_loss for report in epochs_again] == [report.train_loss for report in epochs]
