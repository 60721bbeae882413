"""One rule for every name a person gives, and file names made of them that every disk takes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, strategies as st

from core.base.errors import InputError
from core.base.names import FILE_BYTES, NAME_LENGTH, RULE, check_name, file_name, name_from, tidy_name, unused_file_name, unused_name
from core.base.settings import try_settings
from core.specs.contest import ContestSpec
from core.specs.plan import Plan
from core.specs.recipe import Recipe

GOOD = ("my clips", "r/1: lr=0.1, (2)", "중고차 사진", "👍 v2", "-x", "..", "a" * NAME_LENGTH)
BAD = ("", "  ", "a" * (NAME_LENGTH + 1), "a\x1b[31m", "a\u200bb", "\u202egnp")


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("model", [Recipe, Plan, ContestSpec])
def test_every_kind_of_name_takes_what_can_be_seen(model: type, name: str) -> None:
    assert not [problem for problem in try_settings(model, {"name": name})[1] if problem.startswith("name")]
    assert check_name(name) == name


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("model", [Recipe, Plan, ContestSpec])
def test_every_kind_of_name_refuses_the_same_in_words(model: type, name: str) -> None:
    assert any(problem.startswith("name") and problem.endswith(RULE) for problem in try_settings(model, {"name": name})[1])
    with pytest.raises(InputError, match="cannot be a name") as caught:
        check_name(name)
    assert len(caught.value.where) < 3 * NAME_LENGTH


def test_a_long_name_with_a_line_break_is_too_long() -> None:
    with pytest.raises(InputError) as caught:
        check_name("word " * 20 + "\n")
    assert "longer than 60" in caught.value.why


def test_blanks_and_unicode_forms_are_made_equal() -> None:
    assert tidy_name("  my\t clips\n") == "my clips"
    assert tidy_name(unicodedata.normalize("NFD", "중고차")) == "중고차"


@given(st.lists(st.text(max_size=90), min_size=1, max_size=3))
def test_a_file_name_is_one_name_and_short_enough(names: list[str]) -> None:
    made = file_name(*names, suffix=".csv")
    assert "/" not in made and "\0" not in made and made.endswith(".csv") and not made.startswith(".")
    assert made != ".csv" and len(made.encode()) < FILE_BYTES
    assert tidy_name(name_from(names[0], "run"))


def test_plain_names_are_their_own_file_names() -> None:
    assert file_name("cars", "base-b7", suffix=".csv") == "cars-base-b7.csv"
    assert file_name("my clips", "a/b", suffix=".csv") == "my-clips-a-b.csv"


def test_a_taken_name_gets_a_number_and_stays_a_name() -> None:
    assert unused_name("a", []) == "a" and unused_name("a", ["a", "a-2"]) == "a-3"
    assert tidy_name(unused_name("가" * NAME_LENGTH, ["가" * NAME_LENGTH])).endswith("-2")
    assert unused_file_name("My Clips", ["my-clips"]) == "My-Clips-2"
