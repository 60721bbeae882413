"""The demo on one sample with one small network, through the real queue, engine and workers."""

from __future__ import annotations

import pytest

from core.base.errors import StateError
from core.commands.demo import N_FOLDS, PLANS, Outcome, Plan, run_demo
from core.recipes.plan import load_preset
from core.store.contests import list_contests
from core.store.runs import list_runs
from core.submission.write import read_submission
from core.workspace import Workspace

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


def test_every_planned_preset_exists_and_fits_its_sample() -> None:
    modality = {"digits": "image", "news": "text"}
    assert all(load_preset(name).modality == modality[plan.sample] for plan in PLANS for name in plan.weights)
