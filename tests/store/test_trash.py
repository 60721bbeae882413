"""What is deleted goes into the trash with all that depends on it, is nowhere to be seen, and comes back whole."""

from __future__ import annotations

import pytest

from core.base.errors import NotFoundError, StateError
from core.specs.folds import FoldsSpec
from core.specs.kept import Lineage
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.blends import add_submission, get_blend, list_blends, list_submissions, rename_blend
from core.store.contests import Contest, add_contest, get_contest, list_contests
from core.store.database import Store
from core.store.folds import Folds, add_folds, list_folds
from core.store.jobs import list_jobs
from core.store.queue import list_other_jobs, read_tallies
from core.store.runs import Run, add_run, get_run, list_runs, note_run, rename_run
from core.store.trash import (
    KEPT_S,
    TrashEntry,
    begin_emptying,
    end_emptying,
    forget_emptied,
    list_trash,
    plan_removal,
    put_in_trash,
    restore,
)
from tests.finished_workspace import put_away
from tests.store.test_blends import blend_of


@pytest.fixture
def whole(store: Store, run: Run) -> Run:
    """A run with a blend and a submission of each."""
    lineage = Lineage(source="", name="", fingerprint="", folds="", members=())
    for source in (run.ref, blend_of(store, run).ref):
        add_submission(
            store,
            contest_id=run.contest_id,
            source=source,
            name="final",
            filename="f.csv",
            sha256="",
            path="p/f.csv",
            n_rows=1,
            lineage=lineage,
        )
    return run


def everything(store: Store) -> tuple[object, ...]:
    return (list_contests(store), list_folds(store, 1), list_runs(store), list_blends(store), list_submissions(store))


def refs(entry: TrashEntry) -> tuple[list[str], list[str]]:
    return [item.ref for item in entry.asked], [item.ref for item in entry.follows]


ALONG = {
    "contest": ["1", "r1", "b1", "s1", "s2"],
    "folds": ["r1", "b1", "s1", "s2"],
    "run": ["b1", "s1", "s2"],
    "blend": ["s2"],
    "submission": [],
}


@pytest.mark.parametrize("kind", ALONG)
def test_what_depends_goes_along_and_all_of_it_comes_back(store: Store, whole: Run, kind: str) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'canceled', finished_at = 9.0")
    before = everything(store)
    plan = plan_removal(store, {kind: [1]})  # type: ignore[dict-item]
    assert [item.ref for item in plan.follows] == ALONG[kind]
    entry = put_in_trash(store, plan, now=9.0)
    gone = {item.kind for item in entry.items}
    assert all((kind not in gone) or not things for kind, things in zip(ALONG, everything(store), strict=True) if kind != "submission")
    assert len(list_submissions(store)) == 2 - sum(item.kind == "submission" for item in entry.items)
    store.check()
    assert restore(store, "t1").renamed == {}
    assert everything(store) == before and list_trash(store) == ()
    store.check()


def test_what_is_in_the_trash_is_found_by_no_name(store: Store, whole: Run) -> None:
    put_away(store, "contest", whole.contest_id)
    for get in (lambda: get_contest(store, "tiny"), lambda: get_run(store, "first"), lambda: get_blend(store, "b1")):
        with pytest.raises(NotFoundError) as caught:
            get()
        assert "\n" not in str(caught.value.why)
    assert {job.state for job in list_jobs(store)} == {"canceled"}
    assert read_tallies(store, since=0.0) == () and list_other_jobs(store) == ()


def test_several_at_once_are_one_entry(store: Store, contest: Contest, folds: Folds, run: Run) -> None:
    with store.transaction() as connection:
        add_run(connection, contest_id=contest.id, folds_id=folds.id, name="second", recipe=Recipe(), fold_numbers=(0,), now=4.0)
    assert refs(put_away(store, "run", 1, 2)) == (["r1", "r2"], []) and list_runs(store) == ()
    restore(store, "t1")
    assert len(list_runs(store)) == 2


def test_a_name_is_free_again_and_what_comes_back_gets_a_number(store: Store, run: Run, contest: Contest) -> None:
    put_away(store, "run", run.id)
    with store.transaction() as connection:
        new = add_run(connection, contest_id=contest.id, folds_id=run.folds_id, name="first", recipe=Recipe(), fold_numbers=(0,), now=4.0)
    assert get_run(store, "first").id == new
    assert list(restore(store, "t1").renamed.values()) == ["first-2"] and get_run(store, "first-2").id == run.id
    put_away(store, "contest", contest.id)
    add_contest(store, spec=contest.spec, fingerprint="x", path="contests/tiny-2/data", n_train=1, n_test=0)
    restore(store, "t2")
    assert [(each.name, each.spec.name) for each in list_contests(store)] == [("tiny-2", "tiny-2"), ("tiny", "tiny")]
    store.check()


def test_what_it_is_made_of_comes_back_first(store: Store, whole: Run) -> None:
    put_away(store, "blend", 1)
    put_away(store, "run", whole.id)
    put_away(store, "contest", whole.contest_id)
    for ref, first in (("t1", "t2"), ("t2", "t3")):
        with pytest.raises(StateError, match="in the trash too") as caught:
            restore(store, ref)
        assert f"python -m core trash restore {first}" in caught.value.fix
    for ref in ("t3", "t2", "t1"):
        restore(store, ref)
    assert len(list_blends(store)) == 1 and list_trash(store) == ()


def test_equal_folds_that_are_made_again_leave_the_trash(store: Store, folds: Folds, run: Run) -> None:
    put_away(store, "folds", folds.id)
    again = add_folds(
        store, contest_id=folds.contest_id, spec=FoldsSpec(n_folds=3), n_folds=3, fingerprint=folds.fingerprint, path=folds.path
    )
    assert again == folds and list_runs(store) == ()
    restore(store, "t1")
    assert list_runs(store)[0].id == run.id and list_folds(store, folds.contest_id) == (folds,)


def test_what_trains_is_not_deleted_and_what_changed_is_looked_at_again(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner={}, device="cpu", now=4.0)
    assert job and plan_removal(store, {"contest": [1]}).running == ("r1",)
    with pytest.raises(StateError, match="r1 is running") as caught:
        put_away(store, "contest", 1)
    assert "python -m core queue cancel r1" in caught.value.fix
    attempts.fail(store, job.id, job.token, {}, now=5.0)
    plan = plan_removal(store, {"run": [run.id]})
    blend_of(store, run)
    with pytest.raises(StateError, match="changed since you looked"):
        put_in_trash(store, plan)
    assert list_trash(store) == () and list_runs(store)


def test_an_emptied_entry_is_gone_and_says_so_for_thirty_days(store: Store, whole: Run) -> None:
    entry = put_away(store, "contest", whole.contest_id)
    begin_emptying(store, entry, "space", now=10.0)
    with pytest.raises(StateError, match="cannot be restored"):
        restore(store, entry.ref)
    end_emptying(store, entry)
    (said,) = list_trash(store)
    assert (said.emptied_for, said.emptied_at, said.is_gone, refs(said)) == ("space", 10.0, True, refs(entry))
    with store.read() as connection:
        left = [connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in ("contests", "runs", "jobs", "submissions")]
    assert left == [0, 0, 0, 0]
    forget_emptied(store, before=10.0 + KEPT_S)
    assert list_trash(store) == ()


def test_runs_and_blends_are_renamed_and_noted(store: Store, run: Run) -> None:
    assert rename_run(store, run.id, " my  run ").name == "my run"
    assert note_run(store, run.id, " try 384 px ").note == "try 384 px" and note_run(store, run.id, " ").note is None
    blend = blend_of(store, run)
    assert rename_blend(store, blend.id, "best of all").name == "best of all"
    blend_of(store, run, "other")
    with pytest.raises(StateError, match="already a blend named 'other'"):
        rename_blend(store, blend.id, "other")
    store.check()
