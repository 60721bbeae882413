"""What the submission calls the classes is said on the page Data and corrected there, all names at once; so are labels that read like missing ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.contest.intake import INTAKE_KEY
from core.specs.contest import ContestSpec
from tests.app.hands import unfold

OpenPage = Callable[..., AppTest]


def write(folder: Path, labels: tuple[str, ...], shown: tuple[str, ...]) -> Path:
    rows = [(f"t{row}", f"some words {row}", labels[row % len(labels)]) for row in range(12)]
    tests = [(f"s{row}", f"more words {row}") for row in range(len(shown))]
    files = {"train": [("id", "text", "label"), *rows], "test": [("id", "text"), *tests]}
    files["sample_submission"] = [("id", "label"), *((f"s{row}", value) for row, value in enumerate(shown))]
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(map(",".join, lines)) + "\n", encoding="utf-8")
    return folder


def inspect(open_page: OpenPage, folder: Path) -> AppTest:
    at = open_page("data")
    at.text_input(key="intake-path-text").set_value(str(folder))
    return next(button for button in at.button if button.label == "Inspect").click().run()


def draft(at: AppTest) -> ContestSpec:
    return at.session_state[INTAKE_KEY].inspection.draft


def problems(at: AppTest) -> tuple[str, ...]:
    return at.session_state[INTAKE_KEY].inspection.problems


@pytest.mark.parametrize(
    ("shown", "guess", "is_refused"), [(("0", "0"), "0\n1", False), (("x", "y", "z"), "", True), (("?", "?"), "", False)]
)
@pytest.mark.parametrize("names", [("1", "0"), ("bad", "good")])
def test_names_are_corrected_all_at_once(
    open_page: OpenPage, tmp_path: Path, shown: tuple[str, ...], guess: str, is_refused: bool, names: tuple[str, ...]
) -> None:
    at = inspect(open_page, write(tmp_path, ("bad", "good"), shown))
    (area,) = [area for area in at.text_area if area.label == "Classes in the submission"]
    assert (area.value, area.placeholder, bool(problems(at))) == (guess, "bad\ngood", is_refused)
    at = area.set_value("\n".join(names)).run()
    assert not at.exception and not at.error
    assert (draft(at).submission_names, problems(at)) == (names, ())


def test_rows_without_a_label_are_left_out_by_a_choice(open_page: OpenPage, tmp_path: Path) -> None:
    at = inspect(open_page, write(tmp_path, ("bad", "good", "NA"), ("bad", "bad")))
    assert len(problems(at)) == 4
    (box,) = [box for box in at.selectbox if box.label == "Rows without a label"]
    at = box.set_value("drop").run()
    assert (problems(at), draft(at).classes) == ((), ("bad", "good"))
    (box,) = [box for box in at.selectbox if box.label == "Rows without a label"]
    at = box.set_value("class").run()
    assert (problems(at), draft(at).classes) == ((), ("NA", "bad", "good"))


def test_columns_of_classes_that_cannot_be_guessed_are_named_in_a_field(open_page: OpenPage, tmp_path: Path) -> None:
    rows = "\n".join(f"r{row},some words {row},{'news' if row % 4 else 'blog'},{row % 3 == 0:d},{row % 2}" for row in range(12))
    (tmp_path / "train.csv").write_text(f"id,text,source,sport,money\n{rows}\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text("id,text\ns1,more words\ns2,other words\n", encoding="utf-8")
    at = unfold(inspect(open_page, tmp_path), "contest-section-")
    (area,) = [area for area in at.text_area if area.label == "Classes"]
    at = area.set_value("money\nsport").run()
    assert not at.exception and not at.error
    assert (draft(at).classes, draft(at).labels) == (("money", "sport"), "several")
