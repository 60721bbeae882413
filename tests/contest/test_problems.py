"""Many problems become one error that a person can work through."""

from __future__ import annotations

import pytest

from core.base.errors import InputError
from core.contest.problems import Problems


def test_one_problem_is_told_by_itself() -> None:
    problems = Problems()
    problems.add("train.csv", "the label is empty", "fill it in", row=7, column="ans")
    with pytest.raises(InputError) as caught:
        problems.raise_if_any("the contest cannot be registered")
    assert caught.value.parts == {
        "what": "the label is empty",
        "where": "train.csv line 7, column 'ans'",
        "why": "the contest cannot be registered",
        "fix": "fill it in",
    }


def test_the_first_twenty_are_told_with_their_number_and_every_kind_is_among_them() -> None:
    problems = Problems()
    for row in range(500):
        problems.add("train.csv", "no image", "add it", row=row)
    problems.add("test.csv", "twice", "rename it", row=3)
    error = problems.error("refused")
    assert error.what == "refused: 501 problems"
    lines = error.why.splitlines()
    assert len(lines) == 21
    assert lines[0] == "train.csv line 0: no image"
    assert "test.csv line 3: twice" in lines
    assert lines[-1] == "… and 481 more"
    assert error.where == "train.csv, test.csv"
    assert error.fix == "add it; rename it"


def test_no_problem_raises_nothing() -> None:
    problems = Problems()
    assert not problems
    problems.raise_if_any("refused")
