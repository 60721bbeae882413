"""The demo on one sample with one small network, through the real queue, engine and workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.base.errors import StateError
from core.commands.demo import EXPECTED_FOLD_S, N_FOLDS, PLANS, Outcome, Plan, run_demo
from core.commands.follow import done_share, remaining_s
from core.contest.register import add_contest
from core.jobs import queue
from core.recipes.plan import load_preset
from core.store.contests import list_contests
from core.store.runs import get_run, list_runs
from core.submission.write import read_submission
from core.workspace import Workspace
from tests.finished_workspace import claim, make_recipe

SMALL = (Plan("news", {"news-tiny": 1.0}, sets=("train.epochs=1", "input.max_tokens=16")),)


@pytest.mark.slow
def test_a_demo_that_was_left_half_way_goes_on_and_a_second_one_makes_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first one is left with all its jobs in the queue, as after a Ctrl-C.
    def leave(*_: object, **__: object) -> None:
        raise StateError("left")

    with monkeypatch.context() as patched:
        patched.setattr("core.commands.demo.work", leave)
        with pytest.raises(StateError, match="left"):
            run_demo(workspace, serve=False, plans=SMALL)
    (left,) = list_runs(workspace.store)
    assert left.state == "queued"

    (first,) = run_demo(workspace, serve=False, plans=SMALL)
    assert [run.id for run in first.runs] == [left.id]
    assert first.runs[0].state == "done" and len(first.runs[0].results) == N_FOLDS
    assert len(first.blend.scores.fold_scores) == N_FOLDS
    assert first.submission.hidden_scores is not None
    assert read_submission(workspace, first.submission).startswith(b"id,")
    table = capsys.readouterr().out
    assert all(word in table for word in ("news", "macro_f1", "news-tiny", "blend", "±", "public", "private", "news-demo.csv"))

    (second,) = run_demo(workspace, serve=False, plans=SMALL)
    assert _made(second) == _made(first)
    assert len(list_runs(workspace.store)) == 1 and len(list_contests(workspace.store)) == 1


def _made(outcome: Outcome) -> tuple[object, ...]:
    return outcome.contest, outcome.folds, outcome.runs, outcome.blend, outcome.submission


def test_every_planned_preset_exists_fits_its_sample_and_has_an_expected_time() -> None:
    modality = {"digits": "image", "news": "text"}
    for plan in PLANS:
        for name in plan.weights:
            assert load_preset(name).modality == modality[plan.sample]
            assert EXPECTED_FOLD_S[name] > 0


def test_the_time_that_is_left_is_known_from_finished_folds_else_from_the_one_at_work_else_as_expected(
    workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]
) -> None:
    from core.contest.inspect.draft import inspect_path
    from core.folds.save import save_folds
    from core.specs.folds import FoldsSpec
    from core.specs.progress import Progress
    from core.store import attempts

    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    run = queue.launch_run(workspace, contest, folds, make_recipe(contest, "tiny"), now=0.0)
    assert remaining_s(run, now=0.0) is None
    assert remaining_s(run, 20.0, now=0.0) == 60.0 and done_share(run) == 0.0
    job = claim(workspace, now=100.0)
    at_work = Progress("training", 0, epoch=1, n_epochs=2, step=5, n_steps=10, eta_s=30.0)
    assert attempts.renew(workspace.store, job.id, job.token, now=110.0, progress=at_work)
    run = get_run(workspace.store, run.id)
    assert remaining_s(run, 20.0, now=110.0) == 30.0 + 2 * (10.0 + 30.0)
    assert done_share(run) == pytest.approx(0.25 / 3)
    assert remaining_s(queue.cancel_run(workspace.store, run.id, now=120.0), now=120.0) == 30.0
