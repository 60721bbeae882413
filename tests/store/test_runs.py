from __future__ import annotations

import math
import statistics

import pytest

from core.base.errors import InputError, NotFoundError
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import Contest, add_contest
from core.store.database import Store
from core.store.folds import add_folds
from core.store.runs import EpochRow, FoldResult, Run, add_run, get_run, list_epochs, list_runs, unique_run_name
from core.store.trash import end_emptying
from tests.finished_workspace import put_away

OWNER = {"engine": None, "host": "here", "worker": None}


def result_of(run_id: int, fold: int, token: int, score: float) -> FoldResult:
    return FoldResult(
        run_id=run_id,
        fold=fold,
        token=token,
        path=f"fold-{fold}",
        fingerprint=str(fold),
        scores={"accuracy": score},
        best_epoch=1,
        n_epochs=2,
        elapsed_s=10.0,
        facts={"device": "cpu"},
        created_at=5.0,
    )


def epoch_of(run_id: int, fold: int, token: int, epoch: int, loss: float = 0.5) -> EpochRow:
    return EpochRow(
        run_id=run_id,
        fold=fold,
        token=token,
        epoch=epoch,
        train_loss=loss,
        valid_loss=loss,
        scores={"accuracy": 0.5},
        lr=0.1,
        elapsed_s=1.0,
    )


def finish(store: Store, score: float) -> FoldResult:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert job
    result = result_of(job.run_id, job.fold, job.token, score)
    attempts.commit(store, job.id, result, now=5.0)
    return result


def test_a_run_comes_back_by_id_reference_and_name(store: Store, run: Run) -> None:
    assert get_run(store, run.id) == get_run(store, run.ref) == get_run(store, "first") == list_runs(store)[0] == run
    assert run.ref == f"r{run.id}" and run.fold_numbers == (0, 1, 2) and run.recipe == Recipe()
    assert [job.fold for job in run.jobs] == [0, 1, 2]


def test_an_unknown_run_lists_what_is_there(store: Store, run: Run) -> None:
    with pytest.raises(NotFoundError, match=r"known: r1 \(first\)"):
        get_run(store, "r99")
    with pytest.raises(NotFoundError):
        get_run(store, run.id, contest_id=run.contest_id + 1)


def test_a_name_in_two_contests_needs_a_reference(store: Store, contest: Contest, run: Run) -> None:
    other = add_contest(store, spec=ContestSpec(**{**contest.spec.to_dict(), "name": "b"}), fingerprint="x", path="p", n_train=1, n_test=0)
    split = add_folds(
        store,
        contest_id=other.id,
        spec=FoldsSpec(kind="stratified", n_folds=2, seed=0, group_column=""),
        n_folds=2,
        fingerprint="g",
        path="p",
    )
    with store.transaction() as connection:
        second = add_run(connection, contest_id=other.id, folds_id=split.id, name="first", recipe=Recipe(), fold_numbers=(0,), now=1.0)
    with pytest.raises(InputError, match="several runs"):
        get_run(store, "first")
    assert get_run(store, "first", contest_id=other.id).id == second
    with store.transaction() as connection:  # a run whose name is another's reference: the reference wins
        third = add_run(connection, contest_id=other.id, folds_id=split.id, name=run.ref, recipe=Recipe(), fold_numbers=(0,), now=1.0)
    assert get_run(store, run.ref).id == run.id and get_run(store, f"r{third}").name == run.ref


def test_scores_are_means_and_sample_deviations_of_finished_folds(store: Store, run: Run) -> None:
    assert (run.cv_score("accuracy"), run.cv_sd("accuracy"), run.elapsed_s, run.is_complete) == (None, None, 0, False)
    finish(store, 0.5)
    one = get_run(store, run.id)
    assert (one.cv_score("accuracy"), one.cv_sd("accuracy")) == (0.5, None)
    finish(store, 0.75)
    finish(store, 1.0)
    done = get_run(store, run.id)
    assert done.fold_scores("accuracy") == {0: 0.5, 1: 0.75, 2: 1.0}
    assert done.cv_score("accuracy") == 0.75 and done.cv_sd("accuracy") == pytest.approx(statistics.stdev([0.5, 0.75, 1.0]))
    assert done.is_complete and done.state == "done" and done.elapsed_s == 30.0


def test_state_is_what_the_jobs_are(store: Store, run: Run) -> None:
    assert run.state == "queued"
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert job and get_run(store, run.id).state == "running"
    attempts.fail(store, job.id, job.token, {"type": "Bug"}, now=5.0)
    assert get_run(store, run.id).state == "queued"
    finish(store, 0.5)
    finish(store, 0.5)
    assert get_run(store, run.id).state == "failed"


def test_names_are_made_unique(store: Store, contest: Contest, run: Run) -> None:
    assert unique_run_name(store, contest.id, "second") == "second"
    assert unique_run_name(store, contest.id, "first") == "first-2"


def test_epochs_are_those_of_the_latest_attempt_and_of_the_winner(store: Store, run: Run) -> None:
    first = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert first
    attempts.renew(store, first.id, first.token, now=4.5, epochs=[epoch_of(run.id, 0, 1, 1, math.nan), epoch_of(run.id, 0, 1, 2)])
    assert [(row.epoch, math.isnan(row.train_loss)) for row in list_epochs(store, run.id)] == [(1, True), (2, False)]
    attempts.release(store, first.id, first.token, now=5.0)
    second = attempts.claim(store, owner=OWNER, device="cpu", now=6.0)
    assert second and second.id == first.id and list_epochs(store, run.id) == ()
    attempts.commit(store, second.id, result_of(run.id, 0, 2, 0.5), now=7.0, epochs=[epoch_of(run.id, 0, 2, 1)])
    assert [(row.token, row.epoch) for row in list_epochs(store, run.id)] == [(2, 1)]


def test_emptying_takes_jobs_results_and_epochs_along(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert job
    attempts.commit(store, job.id, result_of(run.id, 0, 1, 0.5), now=7.0, epochs=[epoch_of(run.id, 0, 1, 1)])
    end_emptying(store, put_away(store, "run", run.id))
    assert list_runs(store) == () and list_epochs(store, run.id) == ()
    with store.read() as connection:
        counts = [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in ("jobs", "fold_results", "epochs")]
    assert counts == [0, 0, 0]


def test_a_number_that_no_id_can_be_is_not_found(store: Store, run: Run) -> None:
    for ref in ("r9223372036854775807", "r9223372036854775808", f"r{10**40}", "r٣"):
        with pytest.raises(NotFoundError):
            get_run(store, ref)
    with pytest.raises(InputError, match="too large"):
        get_run(store, 2**63)
