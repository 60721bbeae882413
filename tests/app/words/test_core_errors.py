"""Errors that core raises on real, wrong input are Korean on the screen to their last word."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pydantic import Field
from streamlit.testing.v1 import AppTest

from app.words.core_text import korean
from core.base.errors import PitwallError
from core.base.messages import reason
from core.base.settings import Settings, load_settings, parse_settings
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.uploads import extract_archive
from core.exchange.files import read_predictions
from core.exchange.sheet import Expected
from core.specs.recipe import Recipe
from core.workspace import Workspace
from tests.app.korean import HANGUL, english_in, english_of
from tests.contest.contest_folders import folder_contest, image_contest
from tests.inputs.hostile_archives import HOSTILE, encrypted, hostile
from tests.inputs.spoiled_contests import FAULTS, FOLDER_FAULTS, WRONG_ENCODINGS, Fault, edit
from tests.inputs.spoiled_predictions import ARRAYS, EXPECTED, OF_SETS, TABLES, TABLES_OF_SETS, frame
from tests.inputs.spoiled_recipes import RECIPES


def caught(act: object, *given: object, **named: object) -> PitwallError:
    with pytest.raises(PitwallError) as refusal:
        act(*given, **named)  # type: ignore[operator]
    return refusal.value


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.kind}-{fault.name}" for fault in FAULTS])
def test_a_wrong_contest_is_told_in_korean(workspace: Workspace, tmp_path: Path, fault: Fault) -> None:
    root = image_contest(tmp_path / "c")
    fault.spoil(root, fault.rows()[2])
    assert english_of(caught(lambda: add_contest(workspace, inspect_path(root).draft))) == []


@pytest.mark.parametrize(("spoil"), [spoil for _, spoil, _ in FOLDER_FAULTS], ids=[fault for fault, _, _ in FOLDER_FAULTS])
def test_a_wrong_folder_contest_is_told_in_korean(workspace: Workspace, tmp_path: Path, spoil: object) -> None:
    root = folder_contest(tmp_path / "c")
    spoil(root)  # type: ignore[operator]
    assert english_of(caught(lambda: add_contest(workspace, inspect_path(root).draft))) == []


def test_what_was_understood_is_told_in_korean(tmp_path: Path) -> None:
    for inspection in (inspect_path(image_contest(tmp_path / "a")), inspect_path(folder_contest(tmp_path / "b"))):
        assert len(inspection.checks) > 8
        for check in inspection.checks:
            assert HANGUL.search(korean(check.detail)), check.detail
            assert english_of(PitwallError(check.detail)) == []


@pytest.mark.parametrize("name", WRONG_ENCODINGS)
def test_a_wrong_encoding_is_told_in_korean(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.csv").write_bytes(WRONG_ENCODINGS[name](random.Random(1)))
    assert english_of(caught(inspect_path, tmp_path)) == []


@pytest.mark.parametrize(("fill_archive", "said"), HOSTILE, ids=[said for _, said in HOSTILE])
def test_a_hostile_archive_is_told_in_korean(tmp_path: Path, fill_archive: object, said: str) -> None:
    assert english_of(caught(extract_archive, hostile(tmp_path / "a.zip", fill_archive, said), tmp_path / "out")) == []  # type: ignore[arg-type]


def test_an_encrypted_archive_is_told_in_korean(tmp_path: Path) -> None:
    assert english_of(caught(extract_archive, encrypted(tmp_path / "a.zip"), tmp_path / "out")) == []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [pytest.param(spoil, EXPECTED, id=name) for name, (spoil, _) in TABLES.items()]
    + [pytest.param(spoil, OF_SETS, id=f"several-{name}") for name, (spoil, _) in TABLES_OF_SETS.items() if name not in TABLES],
)
def test_wrong_predictions_are_told_in_korean(tmp_path: Path, spoil: Callable[..., pd.DataFrame], expected: Expected) -> None:
    path = tmp_path / "oof.csv"
    spoil(frame(), 4).to_csv(path, index=False)
    problems = read_predictions(path, expected).problems
    assert problems
    assert [english for problem in problems for english in english_of(problem)] == []


@pytest.mark.parametrize("make", ARRAYS)
def test_wrong_arrays_are_told_in_korean(tmp_path: Path, make: object) -> None:
    path = tmp_path / "oof.npy"
    make(path)  # type: ignore[operator]
    problems = read_predictions(path, EXPECTED).problems
    assert problems
    for problem in problems:
        assert english_in(problem.what) == english_in(problem.fix) == [], problem


@pytest.mark.parametrize("name", RECIPES)
def test_wrong_recipes_are_told_in_korean(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(RECIPES[name][0](random.Random(2)))
    error = caught(load_settings, Recipe, path)
    assert HANGUL.search(korean(error.what)) and HANGUL.search(korean(error.fix))


def test_what_the_operating_system_says_is_read() -> None:
    for code in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT):
        for problem in (OSError(code, os.strerror(code)), OSError(code, os.strerror(code), "/data/a b")):
            assert HANGUL.search(korean(reason(problem))), problem


class Every(Settings):
    """A setting of each kind that this project has."""

    number: float = Field(default=0.5, gt=0, le=1)
    other: float = Field(default=0.5, ge=0, lt=1, allow_inf_nan=False)
    count: int = 1
    flag: bool = False
    name: str = Field(default="a", pattern=r"^\w+$", max_length=3, min_length=1)
    names: tuple[str, ...] = Field(default=("a",), min_length=1, max_length=2)


@pytest.mark.parametrize(
    "values",
    [
        *({"number": value} for value in (0, 2, "fast", None)),
        *({"other": value} for value in (-1, 1, float("nan"))),
        *({"count": value} for value in ("fast", 1.5, None)),
        *({"flag": value} for value in ("perhaps", None)),
        *({"name": value} for value in ("a b", "abcd", "", 7)),
        *({"names": value} for value in ([], ["a", "b", "c"], "a")),
    ],
    ids=str,
)
def test_what_is_said_of_a_setting_is_read(values: dict[str, object]) -> None:
    error = caught(parse_settings, Every, values, where="values")
    assert HANGUL.search(korean(error.why).partition(":")[2]), error


def card(lang: str) -> AppTest:
    """A page of one error."""

    def page() -> None:
        from app.ui.cards import guard
        from core.contest.problems import Problems

        problems = Problems()
        for line in range(3, 24):
            problems.add("train.csv", "the label is empty", "resize the image", row=line, column="label")
        with guard():
            problems.raise_if_any("the contest cannot be registered")

    at = AppTest.from_function(page)
    at.query_params["lang"] = lang
    return at.run()


def test_an_error_is_shown_in_the_language_of_the_screen() -> None:
    (english,), (korean,) = card("en").error, card("ko").error
    assert "the label is empty" in english.value
    assert "레이블이 비어 있습니다" in korean.value
    assert "이미지를 줄이세요" in korean.value
    assert "train\\.csv 3번째 줄, 'label' 열" in korean.value


def test_the_intake_speaks_korean_and_shows_no_card_for_an_image_that_is_missing(open_page: Callable[..., AppTest], tmp_path: Path) -> None:
    root = image_contest(tmp_path / "대회")
    edit(root, "train.csv", "images/004.png", "images/none.png")
    at = open_page("data", lang="ko")
    at.text_input(key="intake-path-text").set_value(str(root))
    at = next(button for button in at.button if button.label == "살펴보기").click().run()
    assert not at.exception
    assert not at.error
    (table,) = at.table
    problems = table.value[table.value.iloc[:, 1] == "문제"]
    where, what = (str(problems.iloc[0, column]).replace("\\", "") for column in (2, 3))
    assert "train.csv 6번째 줄, 'path' 열" in where
    assert "대회 폴더에 이미지가 없습니다: images/none.png. 해결: 이미지를 넣거나" in what


def test_the_lines_of_an_error_stay_lines() -> None:
    (korean,) = card("ko").error
    assert "\n… 그 밖에 1개" in korean.value
