"""A sentence repeats no more than a piece of what somebody else wrote, and names corrections as the place where it is read has them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from app.words.core_text import korean, said_in
from core.base.errors import InputError, PitwallError
from core.base.messages import MAX_VALUE, corrections, from_json, joined, msg, setting, to_json
from core.contest.inspect.draft import inspect_path


def test_a_long_value_is_cut_wherever_it_stands() -> None:
    long = "x" * 100_000
    nested = msg("{what}; {known}", what=msg("'{cell}'", cell=long), known=joined(", ", ["a", long]))
    for text in (msg("'{cell}'", cell=long), nested, str(InputError(long, where=long)), str(InputError("{a}", a=long)), korean(nested)):
        assert len(text) < 4 * MAX_VALUE and " … " in text
    assert msg("{cell}", cell="short") == "short"


def test_cells_of_a_table_do_not_fill_the_memory(tmp_path: Path) -> None:
    rows = "".join(f"{number},{'가' * 100_000},{'b' * 100_000}\n" for number in range(30))
    (tmp_path / "train.csv").write_text("id,text,label\n" + rows)
    tracemalloc.start()
    said = [korean(check.detail) for check in inspect_path(tmp_path, sets=["classes=[a, b]"]).checks]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(map(len, said)) < 3 * MAX_VALUE
    assert peak < 60 * (tmp_path / "train.csv").stat().st_size


@pytest.mark.parametrize(
    ("name", "value", "command", "english", "hangul"),
    [
        ("label_column", "NAME", "--set label_column=NAME", "the field “Label column”", "‘레이블 열’ 칸"),
        (
            "submission",
            "probabilities",
            "--set submission=probabilities",
            "“Submission”, set to “a probability per class”",
            "‘클래스별 확률’",
        ),
        ("test", "", "--set test=", "“Test rows”, left empty", "비움"),
        ("label_column", "my label", "--set 'label_column=my label'", "set to “my label”", "‘my label’"),
    ],
)
def test_a_correction_is_a_command_or_a_field(name: str, value: str, command: str, english: str, hangul: str) -> None:
    advised = msg("correct with {field}", field=setting(name, value))
    assert str(advised) == f"correct with {command}"
    assert english in said_in(advised, "en") and hangul in korean(advised)
    spelled = joined("; ", ["or", "name it with label_column=NAME"])
    assert corrections(spelled, ("label_column",)) == ["--set label_column=NAME"]
    again = PitwallError.from_dict(InputError("x", fix=joined("; ", ["or", advised])).to_dict())
    assert [str(found) for found in corrections(again.fix, ())] == [command]
    assert from_json(to_json(advised)) == advised


@pytest.mark.parametrize(
    ("text", "english", "hangul"),
    [
        ("name it with label_column=NAME", "name it with the field “Label column”", "‘레이블 열’ 칸"),
        ("set modality=text", "set the field “Rows are”, set to “texts”", "‘행의 종류’=‘텍스트’"),
        ("use fewer folds, or kind=group", "or the field “Kind”, set to “", "‘"),
        ("set model.pretrained=false", "set the field “", "‘"),
    ],
)
def test_settings_in_a_sentence_are_fields_on_a_page(text: str, english: str, hangul: str) -> None:
    assert english in said_in(text, "en") and hangul in korean(text)
    assert "--set" not in said_in(text, "en") and "=NAME" not in said_in(text, "en")


def test_a_persons_own_text_is_not_rewritten() -> None:
    cell = msg("the column '{name}' is not one of the {n} classes", name="train=NAME image_root", n=2)
    assert "'train=NAME image_root'" in said_in(cell, "en")
    assert said_in("train=NAME", "en") == "train=NAME"
