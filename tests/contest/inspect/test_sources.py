"""Corrections are read by the type of their setting, as typed."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.base.errors import InputError
from core.contest.inspect.sources import parse_answers


@pytest.mark.parametrize(
    ("assignment", "answers"),
    [
        ("label_column=ans", {"label_column": "ans"}),
        ("id_column=1", {"id_column": "1"}),
        ("id_column=", {"id_column": ""}),
        ("label_column=yes", {"label_column": "yes"}),
        ("label_column='a b'", {"label_column": "a b"}),
        ("label_column=a=b", {"label_column": "a=b"}),
        ("input_columns=text", {"input_columns": ("text",)}),
        ("input_columns=", {"input_columns": ()}),
        ("input_columns=[title, body]", {"input_columns": ("title", "body")}),
        ('input_columns=["a, b", "c"]', {"input_columns": ("a, b", "c")}),
        ("classes=[01, yes, 1.50, null]", {"classes": ("01", "yes", "1.50", "null")}),
        ("label_column=\u1100\u1161", {"label_column": "가"}),
    ],
)
def test_values_are_taken_as_typed(assignment: str, answers: dict[str, object]) -> None:
    assert parse_answers([assignment]) == answers


@pytest.mark.parametrize("assignment", ["label", "=x", "root=/etc", "colour=red", "classes=[a", "classes=[[a], b]", "classes=[&x a, *x]"])
def test_what_is_no_correction_is_refused(assignment: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_answers([assignment])
    assert caught.value.fix


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for assignment in (text, f"label_column={text}", f"classes={text}", f"input_columns=[{text}"):
        try:
            parse_answers([assignment])
        except InputError as problem:
            assert problem.fix
