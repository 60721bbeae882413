"""Data and Folds where rows have several classes: understood, corrected and registered on the page, filtered and counted by class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.shell import runtime
from app.ui.charts import class_bars, size_bars
from core.contest.table import load_truth
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.contests import list_contests
from core.workspace import Workspace
from tests.app.hands import unfold
from tests.emotions import EMOTIONS, Layout, add_emotions, emotion_sets, write_emotions

OpenPage = Callable[..., AppTest]
TRUTH = emotion_sets(240, 0)


def words(at: AppTest) -> str:
    """All text a page shows outside its widgets, tables included."""
    parts = [*at.title, *at.subheader, *at.markdown, *at.caption]
    cells = [str(cell) for table in at.table for cell in table.value.to_numpy().ravel()]
    return "\n".join([*(str(part.value) for part in parts), *cells]).replace("\\", "")


def box(at: AppTest, label: str):
    """The choice of that label."""
    (found,) = [box for box in at.selectbox if box.label == label]
    return found


def inspect(open_page: OpenPage, folder: Path, lang: str = "en") -> AppTest:
    """The page after a folder was inspected."""
    at = open_page("data", lang=lang)
    at.text_input(key="intake-path-text").set_value(str(folder))
    label = {"en": "Inspect", "ko": "살펴보기"}[lang]
    return next(button for button in at.button if button.label == label).click().run()


@pytest.mark.parametrize(("lang", "said", "none"), [("en", "1.20 on average", "63 rows have none"), ("ko", "평균 1.20개", "없는 행 63개")])
@pytest.mark.parametrize("layout", ["cells", "columns"])
def test_the_page_says_how_many_classes_rows_have(
    open_page: OpenPage, opened: Workspace, tmp_path: Path, layout: Layout, lang: str, said: str, none: str
) -> None:
    add_emotions(opened, tmp_path / "e", layout=layout)
    at = open_page("data", lang=lang)
    assert not at.exception and not at.error
    assert said in words(at) and none in words(at)
    assert "240개 중 1–48" in words(at) if lang == "ko" else "1 to 48 of 240" in words(at)


@pytest.mark.parametrize(
    ("layout", "submission", "said"),
    [
        ("cells", "label", ("all labels of a row in one cell", "한 칸에 행의 레이블 모두")),
        ("columns", "probabilities", ("one probability per class", "클래스마다 확률 하나")),
        ("columns", "flags", ("0 or 1 per class", "클래스마다 0 또는 1")),
    ],
)
def test_home_and_data_say_what_is_handed_in(
    open_page: OpenPage, opened: Workspace, tmp_path: Path, layout: Layout, submission: str, said: tuple[str, str]
) -> None:
    add_emotions(opened, tmp_path / "e", layout=layout, submission=submission)
    for page in ("home", "data"):
        for lang, words_of_it in zip(("en", "ko"), said, strict=True):
            at = open_page(page, lang=lang)
            assert not at.exception and not at.error
            assert words_of_it in words(at)


@pytest.mark.parametrize("chosen", [0, 5, -1])
def test_the_filter_shows_rows_that_have_the_class_among_others(
    open_page: OpenPage, opened: Workspace, tmp_path: Path, chosen: int
) -> None:
    contest = add_emotions(opened, tmp_path / "e", layout="columns")
    at = open_page("data")
    at = at.selectbox(key=f"data-class-{contest.id}").select_index([*range(len(EMOTIONS)), -1].index(chosen)).run()
    assert not at.exception
    expected = int(TRUTH[:, chosen].sum() if chosen >= 0 else (TRUTH.sum(axis=1) == 0).sum())
    assert f"of {expected:,}" in words(at)


def test_a_folder_of_cells_is_inspected_corrected_and_registered(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    at = inspect(open_page, write_emotions(tmp_path / "kote"))
    assert not at.exception and not at.error
    assert "86 of 177 labelled rows hold several names" in words(at)
    assert "63 rows have none" in words(at)
    at = unfold(at, "contest-section-")
    assert box(at, "Classes per row").value == "several"
    assert box(at, "Between classes").value == ","
    at = box(at, "Classes per row").select("one").run()
    assert not [box for box in at.selectbox if box.label == "Between classes"], "one class has nothing between"
    assert "labels=several" not in words(at), "what a person said is not doubted"
    at = box(at, "Classes per row").select("several").run()
    assert not at.exception and not at.error
    at = box(at, "Between classes").select(" ").run()
    assert "space" in words(at)
    at = box(at, "Between classes").select(",").run()
    at = next(button for button in at.button if button.label == "Register kote").click().run()
    assert not at.exception
    assert runtime.engine().run_next()
    at = at.run()
    (contest,) = list_contests(opened.store)
    assert (contest.spec.labels, contest.spec.label_separator, contest.spec.metric) == ("several", ",", "macro_f1")
    assert (load_truth(opened, contest).labels == TRUTH).all()
    assert at.segmented_control(key="data-view").value == "contest"


def test_columns_of_classes_are_understood_in_korean(open_page: OpenPage, tmp_path: Path) -> None:
    at = inspect(open_page, write_emotions(tmp_path / "e", layout="columns"), lang="ko")
    assert not at.exception and not at.error
    assert "0과 1로 된 열 6개" in words(at)
    assert "레이블이 없는 행 63개" in words(at)
    assert box(at, "행당 클래스").value == "several"
    assert not [box for box in at.selectbox if box.label == "클래스 구분자"], "columns have nothing between"


@pytest.mark.parametrize(("lang", "same"), [("en", "80 rows per fold"), ("ko", "폴드마다 80행")])
def test_folds_count_rows_once_and_classes_wherever_they_are(
    open_page: OpenPage, opened: Workspace, tmp_path: Path, lang: str, same: str
) -> None:
    contest = add_emotions(opened, tmp_path / "e", layout="columns")
    save_folds(opened, contest, FoldsSpec(n_folds=3))
    at = open_page("folds", lang=lang)
    assert not at.exception and not at.error
    assert same in words(at)


def test_a_share_is_of_rows_where_they_have_several() -> None:
    counts = TRUTH.sum(axis=0)
    shares = class_bars(EMOTIONS, counts, 240).data["share"].tolist()
    assert np.allclose(shares, counts / 240)
    sizes = np.bincount(TRUTH.sum(axis=1))
    rows = size_bars(sizes.tolist()).data.to_dict("records")
    assert [row["rows"] for row in rows] == sizes.tolist()
    assert sum(row["share"] for row in rows) == pytest.approx(1)
