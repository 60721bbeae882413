"""Data, before a contest is registered: what could not be understood is answered on the page, and what was uploaded does not stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.contest.contest_folders import text_contest, write_csv

OpenPage = Callable[..., AppTest]
LABEL = {"en": "Label column", "ko": "레이블 열"}


def inspect(open_page: OpenPage, typed: str, lang: str = "en") -> AppTest:
    """The page after a path was inspected."""
    at = open_page("data", lang=lang)
    at.text_input(key="intake-path-text").set_value(typed)
    return next(button for button in at.button if button.label == {"en": "Inspect", "ko": "살펴보기"}[lang]).click().run()


def fixes(at: AppTest) -> str:
    return "\n".join(f"{card.value}" for card in at.error).replace("\\", "")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_failed_inspection_is_answered_on_the_page(open_page: OpenPage, tmp_path: Path, lang: str) -> None:
    root = tmp_path / "c"
    write_csv(root / "table.csv", ("id", "text", "label", "same"), [(n, f"text {n}", "ab"[n % 2], "x") for n in range(8)])
    write_csv(root / "test.csv", ("id", "text", "label"), [(n, f"text {n}", "a") for n in range(4)])
    at = inspect(open_page, f'"{root}"', lang)
    assert not at.exception and len(at.error) == 1
    assert "--set" not in fixes(at) and "=NAME" not in fixes(at) and LABEL[lang] in fixes(at)
    assert not any(button.key == "intake-accept" for button in at.button)
    (box,) = [box for box in at.selectbox if box.label == LABEL[lang]]
    if lang == "ko":
        return  # AppTest sets boxes by their English labels
    at = box.set_value("label").run()
    assert not at.exception and not at.error
    assert not next(button for button in at.button if button.key == "intake-accept").disabled
    assert any("a, b" in str(cell) for table in at.table for cell in table.value.to_numpy().ravel())


def test_an_encoding_that_is_not_sure_is_chosen_on_the_page(open_page: OpenPage, tmp_path: Path) -> None:
    root = text_contest(tmp_path / "c")
    (root / "train.csv").write_bytes("id,review,label\n1,这部电影非常好看,0\n2,服务态度太差了,1\n".encode("gb18030"))
    at = inspect(open_page, str(root))
    assert "Encoding of the tables" in fixes(at) and "gb18030" in fixes(at)
    (box,) = [box for box in at.selectbox if box.label == "Encoding of the tables"]
    at = box.set_value("gb18030").run()
    assert not at.exception and not at.error


def test_choosing_the_label_as_the_group_is_said_and_the_draft_stays(open_page: OpenPage, tmp_path: Path) -> None:
    at = inspect(open_page, str(text_contest(tmp_path / "c")))
    (box,) = [box for box in at.selectbox if box.label == "Group column"]
    at = box.set_value("label").run()
    assert "the group column is the label" in str(at.error[0].proto) and "Label column" in fixes(at)
    assert [box.value for box in at.selectbox if box.label in ("Label column", "Group column")] == ["label", ""]


def test_a_path_that_is_none_has_no_form(open_page: OpenPage, tmp_path: Path) -> None:
    at = inspect(open_page, "~nosuchuser/x")
    assert len(at.error) == 1 and not at.exception and not [box for box in at.selectbox if box.label == "Label column"]
