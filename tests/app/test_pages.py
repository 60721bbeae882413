"""Every page in its states: empty, full, and failing; the work of Home, Data, Folds and Train without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.shell import runtime
from app.ui.format import plain
from core.base.errors import DiskFull
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import add_truth
from core.store.contests import Contest, list_contests
from core.store.folds import list_folds
from core.store.jobs import list_jobs
from core.store.runs import Run, list_runs
from core.workspace import Workspace
from tests.app.hands import flip, press, unfold, write
from tests.contest.contest_folders import write_csv

ROOT = Path(__file__).parents[2]
PAGES = ("home", "data", "folds", "train", "runs", "ensemble", "errors", "submit")
OpenPage = Callable[..., AppTest]


def words(at: AppTest) -> str:
    """All text a page shows outside its widgets."""
    parts = [*at.title, *at.subheader, *at.markdown, *at.caption, *at.error]
    return "\n".join(str(part.value) for part in parts)


def refusal(at: AppTest) -> str:
    """The first error card, without the escapes of markdown."""
    return str(at.error[0].value).replace("\\", "")


def shows(at: AppTest, title: str) -> bool:
    return title in [part.value for part in at.title]


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_a_contest_says_what_to_do(open_page: OpenPage, name: str, lang: str) -> None:
    at = open_page(name, lang=lang)
    assert not at.exception
    assert at.subheader, "an empty state has a heading"
    assert at.button, "an empty state has the button that fills it"


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_a_contest_draws(open_page: OpenPage, folded: Contest, name: str, lang: str) -> None:
    at = open_page(name, lang=lang)
    assert not at.exception
    assert not at.error
    if name != "home":
        assert folded.name in words(at)


def test_home_shows_where_each_contest_stands(open_page: OpenPage, folded: Contest) -> None:
    at = open_page("home")
    assert "48 train · 12 test" in words(at)
    assert [metric.value for metric in at.metric] == ["–", "0 · 0", "0", "0", "0"]
    at = press(at, f"**{folded.name}**")
    assert shows(at, "Data")


def test_a_sample_opens_with_one_click(open_page: OpenPage, opened: Workspace) -> None:
    at = press(open_page("home"), "Open news")
    assert not at.exception
    assert [contest.sample for contest in list_contests(opened.store)] == ["news"]
    assert shows(at, "Data")
    assert at.selectbox(key="contest").value == "news"


def test_a_folder_is_inspected_corrected_and_accepted(
    open_page: OpenPage, opened: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = write_headlines(tmp_path / "Titel 2025")
    at = open_page("data")
    at.text_input(key="intake-path-text").set_value(str(folder))
    at = press(at, "Inspect")
    assert not at.exception
    assert not list_contests(opened.store), "nothing is registered before it was accepted"
    (name,) = [box for box in at.text_input if box.label == "Name"]
    assert name.value == "Titel 2025"
    at = name.set_value("표제").run()
    (metric,) = [box for box in at.selectbox if box.label == "Metric"]
    assert metric.value == "accuracy"
    at = metric.select("macro_f1").run()
    assert not at.exception
    at = press(at, "Register 표제")
    assert not at.exception
    assert not list_contests(opened.store)
    fresh = open_page("data", view="add")
    assert [button.label for button in fresh.button if button.key.startswith("registration-cancel")] == ["Cancel"], "it survives F5"
    assert runtime.engine().run_next()
    at = at.run()
    (contest,) = list_contests(opened.store)
    assert (contest.name, contest.spec.metric, contest.n_train) == ("표제", "macro_f1", 48)
    assert at.selectbox(key="contest").value == "표제"
    assert at.segmented_control(key="data-view").value == "contest"


def test_a_wrong_correction_is_refused_and_the_draft_stays(
    open_page: OpenPage, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    at = open_page("data")
    at.text_input(key="intake-path-text").set_value(str(write_headlines(tmp_path / "titles")))
    at = press(at, "Inspect")
    (name,) = [box for box in at.text_input if box.label == "Name"]
    at = name.set_value("not a\u200bname").run()
    assert not at.exception
    assert "name" in refusal(at)
    (name,) = [box for box in at.text_input if box.label == "Name"]
    assert name.value == "titles"


def test_a_path_that_is_not_there_is_a_card(open_page: OpenPage, tmp_path: Path) -> None:
    at = open_page("data")
    at.text_input(key="intake-path-text").set_value(str(tmp_path / "nothing here"))
    at = press(at, "Inspect")
    assert not at.exception
    assert "**Fix**" in refusal(at)


def test_an_uploaded_archive_is_inspected(
    open_page: OpenPage, opened: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    import shutil

    archive = shutil.make_archive(str(tmp_path / "제목"), "zip", write_headlines(tmp_path / "titles"))
    at = open_page("data")
    at = at.segmented_control(key="intake-kind").set_value("upload").run()
    at.file_uploader(key="intake-upload").upload("제목.zip", Path(archive).read_bytes())
    at = press(at.run(), "Inspect")
    assert not at.exception
    (name,) = [box for box in at.text_input if box.label == "Name"]
    assert name.value == "제목"
    assert not list(opened.uploads_dir.glob("*.zip")), "the uploaded file itself is not kept"


def test_a_damaged_contest_is_a_card(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    (opened.absolute(folded.path) / "train.parquet").write_bytes(b"not a table")
    at = open_page("data")
    assert not at.exception
    assert "train.parquet" in refusal(at)


def test_what_holds_the_queue_up_is_said(open_page: OpenPage, opened: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = DiskFull("paused: disk full", where="workspace", why="3.1 GB needed", fix="make space").to_dict()
    snapshot = replace(runtime.status(), problem=problem)
    monkeypatch.setattr(runtime, "status", lambda: snapshot)
    assert "make space" in refusal(open_page("home"))


def test_folds_are_made_once_for_equal_settings(open_page: OpenPage, opened: Workspace, headlines: Contest) -> None:
    at = open_page("folds")
    assert not list_folds(opened.store, headlines.id)
    for _ in range(2):
        at.number_input(key=f"folds-{headlines.id}.n_folds").set_value(4)
        at = press(at, "Make folds")
        assert not at.exception
    (folds,) = list_folds(opened.store, headlines.id)
    assert folds.n_folds == 4


def test_folds_that_cannot_be_made_are_a_card(open_page: OpenPage, opened: Workspace, headlines: Contest) -> None:
    at = open_page("folds")
    at = at.selectbox(key=f"folds-{headlines.id}.kind").select("group").run()
    at = press(at, "Make folds")
    assert not at.exception
    assert "Group column" in refusal(at)
    assert not list_folds(opened.store, headlines.id)


def test_a_rare_class_is_named_before_folds_are_made_and_can_be_kept_in_training(
    open_page: OpenPage, opened: Workspace, headlines: Contest
) -> None:
    at = open_page("folds")
    at = at.number_input(key=f"folds-{headlines.id}.n_folds").set_value(4).run()
    assert "fewer rows" not in words(at)
    add_truth(opened, headlines, labels=dict.fromkeys(range(2, 48, 2), 1), reason="one row of class 0 is left")
    assert "fewer rows than folds" in words(open_page("data")), "there folds are made by one press too"
    at = open_page("folds")
    assert "fewer rows than folds" in words(at)
    at = press(flip(at, "Keep rare classes in training"), "Make folds")
    assert not at.exception
    (folds,) = list_folds(opened.store, headlines.id)
    assert folds.spec.keep_rare and "none validates them" in words(at)


def test_folds_are_followed_from_a_column(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    rows = [(row, f"words {row}", "ab"[row % 2], 1 + row % 3) for row in range(30)]
    write_csv(tmp_path / "titles" / "train.csv", ("id", "text", "label", "part"), rows)
    contest = add_contest(opened, inspect_path(tmp_path / "titles").draft)
    at = open_page("folds", contest=contest.name)
    at = at.selectbox(key=f"folds-{contest.id}.kind").select("column").run()
    assert "Seed" not in [box.label for box in at.number_input]
    at = at.selectbox(key=f"folds-{contest.id}.fold_column").select("part").run()
    at = press(at, "Make folds")
    assert not at.exception and not at.error
    assert list_folds(opened.store, contest.id)[0].n_folds == 3
    assert "By the column part: fold 0: 1 · fold 1: 2 · fold 2: 3" in words(at)


def test_several_runs_are_queued_one_after_another(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = open_page("train")
    at = press(at, "Queue 3 folds")
    at = press(at, "Queue 3 folds")
    assert not at.exception
    runs = list_runs(opened.store, folded.id)
    assert len(runs) == 2
    assert len({run.name for run in runs}) == 2
    assert len(list_jobs(opened.store, states=["queued"])) == 6


def test_one_fold_alone_can_be_queued(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = open_page("train")
    (pills,) = [item for item in at.get("pills") if item.label == "Folds to train"]
    at = pills.set_value([1]).run()
    press(at, "Queue 1 fold")
    (run,) = list_runs(opened.store, folded.id)
    assert run.fold_numbers == (1,)


def test_seeds_and_further_recipes_make_a_grid(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = write(unfold(open_page("train"), "grid-box-"), "Seeds", "3-4, 7")
    (recipes,) = [box for box in at.multiselect if box.label == "Also these recipes"]
    other = next(option for option in recipes.options if "news-tiny" in option)
    recipes.set_value([other])
    at = at.run()
    assert not at.exception
    assert "Seeds 3\\-4, 7 · recipes +1" in [str(caption.value) for caption in at.caption]
    press(at, "Queue 18 folds")
    runs = list_runs(opened.store, folded.id)
    assert len(runs) == 6 and len({run.name for run in runs}) == 6
    assert sorted(run.recipe.train.seed for run in runs) == [3, 3, 4, 4, 7, 7]
    assert len(list_jobs(opened.store, states=["queued"])) == 18


def test_what_is_no_seed_is_said_and_nothing_is_queued(open_page: OpenPage, folded: Contest) -> None:
    at = write(unfold(open_page("train"), "grid-box-"), "Seeds", "1, two")
    assert not at.exception
    assert "a seed is a whole number" in refusal(at)
    (button,) = [button for button in at.button if button.label == "Queue 3 folds"]
    assert button.disabled
    assert any("Rows per fold" in str(table.value) for table in at.table), "the plan of the recipe stays"


def test_a_recipe_that_cannot_be_trained_is_not_queued(open_page: OpenPage, folded: Contest) -> None:
    at = write(open_page("train"), "Name of the run", "no\u200bname")
    assert not at.exception
    assert "name" in refusal(at)
    (button,) = [button for button in at.button if button.label == "Queue 3 folds"]
    assert button.disabled


def test_the_address_decides_which_contest_is_open(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    press(open_page("home"), "Open news")
    assert open_page("folds", contest=folded.name).selectbox(key="contest").value == folded.name
    gone = open_page("home", contest="gone -> away")
    assert gone.selectbox(key="contest").value == "news" and [plain("gone -> away") in toast.value for toast in gone.toast] == [True]


def test_an_address_that_names_nothing_is_left_as_it_is(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    """Each change of it is a step of the browser's Back, which would then come back to the same page."""
    for name in PAGES:
        at = open_page(name)
        assert not at.exception and not at.toast and not {"contest", "source"} & set(at.query_params), name


@pytest.mark.parametrize("script", ["app/main.py", "pages/home.py"])
def test_a_page_that_another_server_runs_shows_nothing(opened: Workspace, folded: Contest, script: str) -> None:
    runtime.close()
    at = AppTest.from_file(str(ROOT / script), default_timeout=60).run()
    assert "open to every site" in "".join([*(card.value for card in at.error), *(str(problem.message) for problem in at.exception)])
    assert folded.name not in words(at)


def test_a_workspace_that_is_held_is_read_only(open_page: OpenPage, folded: Contest) -> None:
    from core.jobs.engine import Engine

    held = runtime.engine()
    runtime.start_engine(Engine(runtime.workspace(), devices=()))
    try:
        at = open_page("train")
        assert "Read-only" in at.warning[0].value
        (button,) = [button for button in at.button if button.label == "Queue 3 folds"]
        assert button.disabled
    finally:
        held.stop()
