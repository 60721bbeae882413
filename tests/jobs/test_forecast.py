"""What a dry run's figures add up to, and what is said when they do not fit."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from core.base.errors import DiskFull, OutOfMemory, RecipeError
from core.jobs.disk import fold_bytes
from core.jobs.forecast import Forecast, Neighbour, Outlook, look_out, queue_end_s, remaining_s, run_end_s
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store.jobs import FOLD, FoldJob
from core.training.schedule import Costs

GB = 10**9
RECIPE = Recipe.model_validate({"model": {"backbone": "test_vit", "pretrained": False}, "train": {"batch_size": 64, "epochs": 3}})
COSTS = Costs(
    precision="bf16",
    precision_reason="this processor has amx_bf16",
    n_params=1_000_000,
    weights="from nothing",
    batch_size=64,
    micro_batch=64,
    halvings=0,
    peak_bytes=2 * GB,
    above_start_bytes=GB,
    loaders_bytes=0,
    free_bytes=10 * GB,
    total_bytes=16 * GB,
    n_timed=20,
    step_s=0.64,
    train_row_s=0.01,
    valid_row_s=0.004,
    score_s=0.1,
    setup_s=2.0,
    others=0.02,
    checkpoint_bytes=16_000_000,
    weights_bytes=4_000_000,
)
FORECAST = Forecast(device="cpu:0", costs=COSTS, rows=((800, 400), (700, 500)), n_test=250, n_classes=10, n_epochs=3, start_s=5.0)


def outlook(forecast: Forecast = FORECAST, recipe: Recipe = RECIPE, folds: tuple[int, ...] = (0, 1), **given: Any) -> Outlook:
    given = {"weights_dir": Path(), "devices": ("cpu:0",), "disk_free_bytes": 100 * GB, "end_s": None, **given}
    return look_out(forecast, recipe, folds, **given)


@pytest.mark.parametrize(
    ("precision", "where", "fix"), [("fp16", "train.precision", "fp32"), ("bf16", "optim.lr", f"optim.lr={RECIPE.optim.lr / 10:g}")]
)
def test_logits_that_are_no_numbers_are_a_problem(precision: str, where: str, fix: str) -> None:
    costs = replace(COSTS, precision=precision, n_logits=4000)
    assert outlook(replace(FORECAST, costs=costs)).problems == ()
    (problem,) = outlook(replace(FORECAST, costs=replace(costs, n_not_finite=7))).problems
    assert isinstance(problem, RecipeError) and (problem.what, problem.where) == ("7 of 4,000 logits are not finite", where)
    assert fix in problem.fix


def test_seconds_add_up() -> None:
    # 3 epochs of 800 trained and 400 validated rows, scored; then 400 + 250 rows predicted, and scored
    assert FORECAST.fold_s(0) == pytest.approx(5 + 2 + 3 * (8 + 1.6 + 0.1) + 2.6 + 0.1)
    assert FORECAST.epoch_s == pytest.approx(((8 + 1.6) + (7 + 2)) / 2 + 0.1)
    smaller = replace(FORECAST, area_share=0.5)
    assert smaller.fold_s(0) == pytest.approx(5 + 2 + 3 * (4 + 1.6 + 0.1) + 2.6 + 0.1)
    assert smaller.epoch_s == pytest.approx(((4 + 1.6) + (3.5 + 2)) / 2 + 0.1)
    assert outlook(folds=(1,)).fold_s == (FORECAST.fold_s(1),)
    assert outlook().run_s == pytest.approx(FORECAST.fold_s(0) + FORECAST.fold_s(1))
    assert outlook(devices=("cpu:0", "cpu:1")).run_s == pytest.approx(max(FORECAST.fold_s(0), FORECAST.fold_s(1)))


def test_it_comes_whole_through_a_line_of_json() -> None:
    whole = replace(FORECAST, busy_with=(Neighbour("a (r1)", "fold 0"),))
    assert Forecast.from_dict(json.loads(json.dumps(asdict(whole)))) == whole


def test_what_disturbs_is_known() -> None:
    assert not FORECAST.is_disturbed
    assert replace(FORECAST, busy_with=(Neighbour("a (r1)", "fold 0"),)).is_disturbed
    assert replace(FORECAST, costs=replace(COSTS, others=0.4)).is_disturbed
    assert not replace(FORECAST, costs=replace(COSTS, others=None)).is_disturbed


def test_what_fits_has_no_problem() -> None:
    assert outlook().problems == ()
    assert (outlook().memory_bytes, outlook().memory_limit_bytes) == (2 * GB, 10 * GB)


def test_slots_of_one_processor_share_its_memory() -> None:
    devices = tuple(f"cpu:{number}" for number in range(6))
    assert outlook(devices=devices).memory_bytes == 4 * GB
    assert outlook(devices=devices, folds=(0,)).memory_bytes == 2 * GB
    assert outlook(replace(FORECAST, device="cuda:0"), devices=("cuda:0", "cuda:1")).memory_bytes == 2 * GB
    (problem,) = outlook(replace(FORECAST, costs=replace(COSTS, peak_bytes=6 * GB)), devices=devices).problems
    assert isinstance(problem, OutOfMemory)
    assert problem.what == "12.0 GB of memory needed, 10.0 GB are there"
    assert "fewer slots" in problem.fix and "train.accumulate=2" in problem.fix


def test_loader_processes_need_memory_too() -> None:
    (problem,) = outlook(replace(FORECAST, costs=replace(COSTS, loaders_bytes=9 * GB))).problems
    assert problem.what.startswith("11.0 GB")


def test_what_another_job_holds_is_free_when_this_one_runs() -> None:
    crowded = replace(COSTS, free_bytes=GB)
    assert outlook(replace(FORECAST, costs=crowded)).problems
    assert not outlook(replace(FORECAST, costs=crowded, busy_with=(Neighbour("a (r1)", "fold 0"),))).problems


def test_the_disk_must_hold_what_folds_leave_and_the_checkpoints_of_those_that_train() -> None:
    one, both = outlook(folds=(0,)).disk_bytes, outlook(folds=(0, 1)).disk_bytes
    assert both - one == 4_000_000 + 4 * 10 * 250
    two_devices = outlook(devices=("cpu:0", "cpu:1")).disk_bytes
    assert two_devices - both == 3 * 16_000_000  # two are kept, and one is being written
    (problem,) = outlook(disk_free_bytes=both - 1).problems
    assert isinstance(problem, DiskFull) and "checkpoints.keep=1" in problem.fix and "fewer folds" in problem.fix
    assert not outlook(disk_free_bytes=both).problems


def test_the_disk_is_never_said_to_be_less_than_the_engine_asks_for() -> None:
    small = replace(FORECAST, costs=replace(COSTS, checkpoint_bytes=1, weights_bytes=1))
    assert outlook(small, folds=(0,)).disk_bytes == fold_bytes(RECIPE, weights_dir=Path(), n_rows=1200, n_test=250, n_classes=10)


def job_of(run_id: int, *, started_at: float | None = None, eta_s: float | None = None) -> FoldJob:
    return FoldJob(
        id=1,
        kind=FOLD,
        contest_id=1,
        payload={},
        run_id=run_id,
        fold=0,
        state="queued" if started_at is None else "running",
        priority=0,
        position=0,
        token=1,
        device="cpu",
        owner=None,
        lease_until=None,
        cancel_requested=False,
        progress=Progress("training", fold=0, eta_s=eta_s),
        error=None,
        log_path="",
        created_at=0.0,
        started_at=started_at,
        finished_at=None,
    )


def test_a_running_jobs_own_pace_comes_before_its_siblings() -> None:
    assert remaining_s(job_of(1, started_at=90.0, eta_s=7.0), {1: 30.0}, now=100.0) == 7.0
    assert remaining_s(job_of(1, started_at=90.0), {1: 30.0}, now=100.0) == 20.0
    assert remaining_s(job_of(1, started_at=0.0), {1: 30.0}, now=100.0) == 0.0
    assert remaining_s(job_of(2, started_at=90.0), {1: 30.0}, now=100.0) is None


@pytest.mark.parametrize(("n_slots", "expected"), [(1, 5 + 30 + 30), (2, 5 + 30)])
def test_the_queue_is_dealt_out_to_the_slots(n_slots: int, expected: float) -> None:
    running = [job_of(1, started_at=75.0, eta_s=5.0)]
    assert queue_end_s(running, [job_of(1), job_of(1)], {}, n_slots=n_slots, now=100.0) == expected


def test_what_is_not_known_is_not_guessed() -> None:
    assert queue_end_s([], [], {}, n_slots=1, now=0.0) == 0.0
    assert queue_end_s([], [job_of(3)], {1: 30.0}, n_slots=1, now=0.0) is None
    assert queue_end_s([job_of(3, started_at=0.0)], [], {}, n_slots=1, now=1.0) is None
    assert queue_end_s([], [job_of(1)], {1: 30.0}, n_slots=0, now=0.0) is None
    assert queue_end_s([], [job_of(1)], {1: 30.0}, n_slots=1, now=0.0) == 30.0


def test_a_run_that_is_not_queued_yet_comes_last() -> None:
    running, queued = [job_of(1, started_at=75.0, eta_s=5.0)], [job_of(1)]
    assert run_end_s(running, queued, {1: 30.0}, [10.0, 10.0], n_slots=1, now=100.0) == 5 + 30 + 20
    assert run_end_s(running, queued, {1: 30.0}, [10.0, 10.0], n_slots=2, now=100.0) == 25  # one slot is free now, then after 10 s
    assert run_end_s([], [], {}, [7.0, 8.0, 9.0], n_slots=1, now=0.0) == 24
    assert run_end_s([], [job_of(3)], {}, [7.0], n_slots=1, now=0.0) is None
    assert run_end_s([], [], {}, [7.0], n_slots=0, now=0.0) is None
