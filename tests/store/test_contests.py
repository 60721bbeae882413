from __future__ import annotations

import pytest

from core.base.errors import NotFoundError, StateError
from core.specs.contest import ContestSpec
from core.store.contests import Contest, add_contest, delete_contest, get_contest, list_contests
from core.store.database import Store
from core.store.folds import Folds, list_folds
from core.store.runs import Run


def test_a_contest_comes_back_as_it_went_in(store: Store, contest: Contest) -> None:
    assert get_contest(store, "tiny") == get_contest(store, contest.id) == contest
    assert contest.spec.classes == ("고양이", "dog", "bird")
    assert list_contests(store) == (contest,)


def test_an_unknown_name_lists_what_is_there(store: Store, contest: Contest) -> None:
    with pytest.raises(NotFoundError, match="known: tiny"):
        get_contest(store, "tinny")


def test_a_name_is_taken_once(store: Store, contest: Contest) -> None:
    with pytest.raises(StateError, match="already a contest named 'tiny'"):
        add_contest(store, spec=contest.spec, fingerprint="x", path="p", n_train=1, n_test=0)


def test_delete_takes_the_folds_along(store: Store, contest: Contest, folds: Folds) -> None:
    delete_contest(store, contest.id)
    assert list_contests(store) == () and list_folds(store, contest.id) == ()
    with pytest.raises(NotFoundError):
        delete_contest(store, contest.id)


def test_delete_is_refused_while_runs_exist(store: Store, contest: Contest, run: Run) -> None:
    with pytest.raises(StateError, match="still has runs"):
        delete_contest(store, contest.id)
    assert list_contests(store) == (contest,)


def test_an_id_is_never_used_twice(store: Store, contest: Contest) -> None:
    delete_contest(store, contest.id)
    spec = ContestSpec(**{**contest.spec.to_dict(), "name": "other"})
    assert add_contest(store, spec=spec, fingerprint="x", path="p", n_train=1, n_test=0).id > contest.id
