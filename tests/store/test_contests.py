from __future__ import annotations

import pytest

from core.base.errors import NotFoundError, StateError
from core.specs.contest import ContestSpec
from core.store.contests import Contest, add_contest, archive_contest, get_contest, list_contests, rename_contest
from core.store.database import Store
from core.store.trash import end_emptying
from tests.finished_workspace import put_away


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


def test_an_id_is_never_used_twice(store: Store, contest: Contest) -> None:
    end_emptying(store, put_away(store, "contest", contest.id))
    spec = ContestSpec(**{**contest.spec.to_dict(), "name": "other"})
    assert add_contest(store, spec=spec, fingerprint="x", path="p", n_train=1, n_test=0).id > contest.id


def test_a_contest_is_renamed_and_archived(store: Store, contest: Contest) -> None:
    renamed = rename_contest(store, contest.id, " my  clips ")
    assert (renamed.name, renamed.spec.name, renamed.folder) == ("my clips", "my clips", contest.folder)
    other = add_contest(store, spec=contest.spec, fingerprint="x", path="contests/b/data", n_train=1, n_test=0)
    with pytest.raises(StateError, match="already a contest named 'my clips'") as caught:
        rename_contest(store, other.id, "my clips")
    assert "python -m core contest delete 'my clips'" in caught.value.fix
    assert archive_contest(store, contest.id, now=5.0).archived_at == 5.0 and len(list_contests(store)) == 2
    assert archive_contest(store, contest.id, now=None) == renamed
    store.check()
