from __future__ import annotations

import pytest

from core.base.errors import NotFoundError
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.database import Store
from core.store.folds import Folds, add_folds, get_folds, list_folds


def test_equal_folds_are_one_row(store: Store, contest: Contest, folds: Folds) -> None:
    again = add_folds(
        store,
        contest_id=contest.id,
        spec=FoldsSpec(kind="stratified", n_folds=3, seed=0, group_column=""),
        n_folds=3,
        fingerprint=folds.fingerprint,
        path="elsewhere",
    )
    assert again == folds == get_folds(store, folds.id)


def test_newest_first(store: Store, contest: Contest, folds: Folds) -> None:
    later = add_folds(
        store,
        contest_id=contest.id,
        spec=FoldsSpec(kind="group", n_folds=5, seed=1, group_column="who"),
        n_folds=5,
        fingerprint="g",
        path="p",
    )
    assert list_folds(store, contest.id) == (later, folds)
    assert list_folds(store, contest.id + 1) == ()


def test_unknown_folds_list_what_is_there(store: Store, folds: Folds) -> None:
    with pytest.raises(NotFoundError, match=f"known: {folds.id}"):
        get_folds(store, 99)
