"""The form of the page Train: what it starts from, what survives a reload, what a backbone brings, and the way back from a press."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.train import grid, recipe_view
from core.recipes.plan import list_backbones
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import Run, list_runs
from core.workspace import Workspace
from models.catalog import Backbone, find_backbone
from tests.app.hands import fold, press, set_option, unfold, write

OpenPage = Callable[..., AppTest]
ROOT = Path(__file__).parents[3]


def value(at: AppTest, label: str) -> object:
    (found,) = [box for box in (*at.number_input, *at.text_input, *at.toggle) if box.label == label]
    return found.value


def start(at: AppTest, contest: Contest) -> str:
    return str(at.selectbox(key=grid.start_key(contest)).value)


def captions(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in (*at.caption, *at.markdown)).replace("\\", "")


def test_a_new_contest_starts_from_what_this_machine_can_train(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = open_page("train")
    assert start(at, folded) == "suggested"
    press(at, "Queue 3 folds")
    (run,) = list_runs(opened.store, folded.id)
    places = {one.backbone.name: one.place for one in list_backbones(opened, "text")}
    assert not run.recipe.model.pretrained or places[run.recipe.model.backbone]
    assert run.recipe.train.batch_size < 32, "48 rows"


def test_a_known_contest_starts_from_its_last_recipe(open_page: OpenPage, folded: Contest, done: tuple[Run, ...]) -> None:
    at = open_page("train")
    assert start(at, folded) == f"run {done[-1].ref}"
    assert value(at, "Name of the run") == done[-1].recipe.name


def test_the_form_survives_a_reload_until_it_is_queued(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = set_option(open_page("train"), "Epochs", 7)
    at = write(unfold(at, "grid-box-"), "Seeds", "3, 4")
    (pills,) = [item for item in at.get("pills") if item.label == "Folds to train"]
    pills.set_value([1]).run()
    again = open_page("train")
    assert "Seeds 3, 4" in captions(again), "what is queued is said where it is closed"
    assert (start(again, folded), value(again, "Epochs"), value(unfold(again, "grid-box-"), "Seeds")) == ("left", 7, "3, 4")
    press(again, "Queue 2 folds")
    assert [run.fold_numbers for run in list_runs(opened.store, folded.id)] == [(1,), (1,)]
    assert start(open_page("train"), folded).startswith("run ")


@pytest.mark.parametrize(
    "left",
    [
        "[]",
        "[" * 100_000,
        '{"recipe": [], "controls": {}}',
        '{"recipe": {}, "controls": {"contest": {"a": 1}}}',
        '{"recipe": {"modality": "image"}, "controls": {}}',
    ],
)
def test_a_form_that_was_left_damaged_is_a_card_and_the_page_works(
    open_page: OpenPage, opened: Workspace, folded: Contest, left: str
) -> None:
    (opened.contest_dir(folded.folder) / "train-form.json").write_text(left)
    at = open_page("train")
    assert not at.exception and "train" in str(at.error[0].value) and "delete that file" in str(at.error[0].value)
    assert start(at, folded) == "suggested"


def test_a_form_that_was_left_sets_its_own_controls_and_no_others(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    (folds,) = list_folds(opened.store, folded.id)
    seeds, recipes = grid.grid_keys(folded)
    controls = {seeds: ["3"], recipes: ["gone"], f"train-folds-{folds.id}": [1, 99], "contest": "another"}
    left = {"recipe": {"modality": "text", "model": {"backbone": "tiny_transformer", "pretrained": False}}, "controls": controls}
    (opened.contest_dir(folded.folder) / "train-form.json").write_text(json.dumps(left))
    at = open_page("train")
    assert not at.exception and not at.error and at.selectbox(key="contest").value == folded.name
    assert (value(unfold(at, "grid-box-"), "Seeds"), start(at, folded)) == ("", "left")
    press(at, "Queue 1 fold")


def test_a_new_backbone_brings_its_settings_unless_a_person_set_them(
    open_page: OpenPage, folded: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buttons(_: str, chosen: str, on_pick: Callable[[Backbone], None], __: str, note: str = "") -> None:
        st.caption(f"{chosen} {note}")
        for name in ("klue/roberta-base", "beomi/kcbert-base", "tiny_transformer"):
            st.button(name, on_click=on_pick, args=(find_backbone(name),))

    monkeypatch.setattr(recipe_view, "pick_backbone", buttons)
    at = open_page("train")
    at = at.selectbox(key=grid.start_key(folded)).select("preset news-tiny").run()
    assert (value(at, "Peak learning rate"), value(at, "Pretrained weights")) == (0.002, False)
    at = press(at, "klue/roberta-base")
    assert (value(at, "Peak learning rate"), value(at, "Pretrained weights"), value(at, "Name of the run")) == (3e-5, True, "roberta-base")
    assert "klue/roberta-base Came with it: Peak learning rate 3e-05" in captions(at)
    at = write(set_option(at, "Peak learning rate", 2e-5), "Name of the run", "mine")
    at = press(at, "tiny_transformer")
    assert (value(at, "Peak learning rate"), value(at, "Pretrained weights"), value(at, "Name of the run")) == (2e-5, False, "mine")
    assert "tiny_transformer" in captions(at)


def test_another_optimiser_brings_its_learning_rate_unless_a_person_set_one(open_page: OpenPage, folded: Contest) -> None:
    at = open_page("train")
    at = at.selectbox(key=grid.start_key(folded)).select("preset news-tiny").run()
    at = unfold(at, "-section-optim")
    for name, rate in (("sgd", 0.05), ("lion", 4e-4), ("adamw", 0.002)):
        at = set_option(at, "Optimiser", name)
        assert value(at, "Peak learning rate") == rate
    at = set_option(set_option(at, "Peak learning rate", 0.001), "Optimiser", "sgd")
    assert value(at, "Peak learning rate") == 0.001


def test_what_was_set_in_a_section_stays_when_it_is_closed_and_after_a_reload(
    open_page: OpenPage, opened: Workspace, folded: Contest
) -> None:
    at = set_option(unfold(open_page("train"), "-section-loss"), "Label smoothing", 0.1)
    at = fold(at, "-section-loss")
    assert "Label smoothing" not in [box.label for box in at.number_input]
    at = at.switch_page(str(ROOT / "pages" / "runs.py")).run()
    at = at.switch_page(str(ROOT / "pages" / "train.py")).run()
    again = unfold(open_page("train"), "-section-loss")
    assert (start(again, folded), value(again, "Label smoothing")) == ("left", 0.1)
    press(at, "Queue 3 folds")
    assert list_runs(opened.store, folded.id)[0].recipe.loss.smoothing == 0.1


def test_a_backbone_that_was_searched_for_has_a_button(open_page: OpenPage, folded: Contest) -> None:
    at = write(unfold(open_page("train"), "-catalogue"), "Search the catalogue", "kcbert base")
    at = at.button(key=f"train-{folded.id}-use-beomi/kcbert-base").click().run()
    assert not at.exception and value(at, "Name of the run") == "kcbert-base"


def test_what_makes_no_sense_is_said_before_it_is_queued(open_page: OpenPage, folded: Contest) -> None:
    at = open_page("train")
    assert "most likely diverge" not in captions(at)
    at = set_option(at, "Peak learning rate", 1.0)
    at = set_option(at, "Batch size", 4096)
    assert "most likely diverge" in captions(at) and "a batch of 4,096 for 32 training rows" in captions(at)


def test_what_a_press_queued_is_taken_back_in_the_same_place(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = write(unfold(open_page("train"), "grid-box-"), "Seeds", "0-2")
    at = press(at, "Queue 9 folds")
    assert len(list_runs(opened.store, folded.id)) == 3
    at = press(at, "Undo")
    assert not at.exception and list_runs(opened.store, folded.id) == ()
    assert "Undo" not in [button.label for button in at.button]
    assert value(unfold(open_page("train"), "grid-box-"), "Seeds") == "0-2", "what stood in the form is not lost"


def test_a_run_is_trained_again_with_changes(open_page: OpenPage, folded: Contest, done: tuple[Run, ...]) -> None:
    at = press(open_page("runs", run=done[0].ref), "Train again with changes")
    assert not at.exception
    assert start(at, folded) == f"run {done[0].ref}"
    assert value(at, "Name of the run") == done[0].recipe.name


def test_a_contest_whose_tables_are_damaged_is_a_card(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    (opened.absolute(folded.path) / "train.parquet").write_bytes(b"no table")
    at = open_page("train")
    assert not at.exception and "train.parquet" in str(at.error[0].value).replace("\\", "")


def test_a_baseline_for_texts_is_one_click_and_is_offered_once(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = press(open_page("train"), "Queue TF-IDF baseline")
    assert not at.exception
    (run,) = list_runs(opened.store, folded.id)
    assert run.recipe.model.backbone == "tfidf-logreg" and len(run.jobs) == 3
    assert "Queue TF-IDF baseline" not in [button.label for button in at.button]


def test_a_form_with_tfidf_shows_its_settings_and_no_learning_rate(open_page: OpenPage, folded: Contest) -> None:
    at = open_page("train")
    at = at.selectbox(key=f"train-{folded.id}-start").select("preset text-tfidf").run()
    assert not at.exception
    assert "Fitted in one go" in " ".join(caption.value for caption in at.caption)
    assert "TF-IDF" in [expander.label for expander in at.expander]
