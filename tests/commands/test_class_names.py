"""Coded classes have names on the screen; nothing else of a contest changes with them."""

from __future__ import annotations

import pytest

from core.base.errors import InputError
from core.contest.names import read_class_names
from core.store.contests import get_contest
from tests.commands.conftest import Terminal

CODES = ("0", "1", "a=b")


def test_names_are_given_and_taken_back_by_class() -> None:
    shown = read_class_names(["0=강한 부정", "a=b=x=y"], CODES, CODES)
    assert shown == ("강한 부정", "1", "x=y")
    assert read_class_names(["0=", "1= 약한 부정 "], CODES, shown) == ("0", "약한 부정", "x=y")


@pytest.mark.parametrize(
    ("text", "said"), [("7=x", "names no class"), ("0", "names no class"), ("0=1", "one name"), ("0=\x07", "cannot be a name")]
)
def test_what_is_no_name_of_a_class_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_class_names([text], CODES, CODES)


def test_a_contest_shows_the_names_and_stays_what_it_is(finished: Terminal) -> None:
    store = finished.workspace.store
    before = get_contest(store, "headlines")
    named = finished.read("contest", "names", "headlines", "politik=Politics")["names"]
    after = get_contest(store, "headlines")
    assert named == {"politik": "Politics", "스포츠": "스포츠"} and after.shown_classes == ("Politics", "스포츠")
    assert (after.spec, after.fingerprint, after.version) == (before.spec, before.fingerprint, before.version)
    store.check()
    assert finished.read("contest", "names", "headlines", "politik=")["names"]["politik"] == "politik"
    assert get_contest(store, "headlines") == before
    assert finished.refused("contest", "names", "headlines", "sport=x")["where"] == "names of classes"
