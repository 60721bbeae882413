"""The preview of a batch on the page Train, its answers made up: nothing is asked while it is closed, and a failure can be tried again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.shell import runtime
from app.train import batch_preview
from app.train.batch_preview import batch_html
from app.train.text_preview import batch_of_texts_html
from core.base.errors import StateError
from core.folds import save_folds
from core.jobs.preview import Picture, Reading
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest, name_classes
from core.workspace import Workspace
from tests.app.hands import choose, press, set_option, unfold, write
from tests.finished_workspace import add_glyphs

OpenPage = Callable[..., AppTest]
Asked = list[tuple[Recipe, int, Future[Any]]]
MIXED = Picture(b"", (("<b>cat</b>", 0.7), ("dog", 0.3)))


@pytest.fixture
def pictured(opened: Workspace, tmp_path: Path) -> Contest:
    """A contest of images with three folds."""
    contest = add_glyphs(opened, tmp_path / "glyphs")
    save_folds(opened, contest, FoldsSpec(n_folds=3))
    return contest


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the page has asked for: recipe, epoch, and the answer to give."""
    made: list[tuple[Recipe, int, Future[Any]]] = []

    def see_batch(_: Contest, __: Any, recipe: Recipe, epoch: int) -> Future[Any]:
        made.append((recipe, epoch, Future()))
        return made[-1][2]

    monkeypatch.setattr(runtime, "see_batch", see_batch)
    monkeypatch.setattr(batch_preview, "PATIENCE_S", 0.0)
    return made


def test_it_is_asked_for_when_it_is_open_and_anew_after_a_change(
    open_page: OpenPage, opened: Workspace, pictured: Contest, asked: Asked
) -> None:
    first, second, *others = pictured.spec.classes
    name_classes(opened.store, pictured.id, [first, "dog", *others])
    mixed = Picture(b"", ((first, 0.7), (second, 0.3)))
    at = open_page("train")
    assert asked == []
    at = unfold(at, "train-batch-")
    assert len(asked) == 1 and "The first time takes some seconds" in captions(at)
    asked[0][2].set_result((mixed,))
    at = set_option(at.run(), "Batch size", 2)
    assert len(asked) == 2 and asked[1][0].train.batch_size == 2
    asked[1][2].set_result((mixed,))
    at = write(at.run(), "Name of the run", "another")
    assert not at.exception and len(asked) == 2 and "takes some seconds" not in captions(at)
    assert any("dog 30%" in str(part.proto.body) for part in at.get("html"))


def test_the_last_epoch_is_offered_where_images_look_different_there(open_page: OpenPage, pictured: Contest, asked: Asked) -> None:
    at = unfold(unfold(open_page("train"), "train-batch-"), "-section-augment")
    assert "epoch 1" not in str(at.button_group)
    at = set_option(at, "MixUp, alpha", 0.4)
    at = set_option(at, "Last epochs without mixing", 1)
    last = asked[-1][0].train.epochs
    choose(at, "Epoch", last)
    assert (asked[-1][1], asked[-1][0].is_mixed(last)) == (last, False)


def test_a_failure_is_a_card_and_asked_again_by_its_button(open_page: OpenPage, pictured: Contest, asked: Asked) -> None:
    at = unfold(open_page("train"), "train-batch-")
    asked[0][2].set_exception(StateError("the preview ended before it could answer", fix="ask again"))
    at = at.run()
    assert "ask again" in str(at.error[0].value)
    press(at, "Try again")
    assert len(asked) == 2


def test_a_class_is_text_and_shares_are_said() -> None:
    said = batch_html([MIXED, Picture(b"", (("dog", 1.0),))])
    assert "<b>cat" not in said and "&lt;b&gt;cat&lt;/b&gt; 70%" in said and "dog 30%" in said and "width:70.0%" in said
    assert said.count('class="bar"') == 1


def test_a_text_says_what_changed_with_what_it_is_mixed_and_its_tokens_are_escaped() -> None:
    row = Reading("<7>", "one two", "one ; two", ("one", "<x>"), 1, 3, "<8>", 0.5, (("dog", 0.6), ("<b>", 0.4)))
    said = batch_of_texts_html([row])
    assert "dog 60% + &lt;b&gt; 40% · mixed with &lt;8&gt; · weight 0.5 · window 2 of 3" in said
    assert "<mark>; </mark>" in said and "<summary>2 tokens" in said and "<span>&lt;x&gt;</span>" in said


def test_a_contest_of_texts_shows_a_training_batch_when_asked_to(open_page: OpenPage, folded: Contest, asked: Asked) -> None:
    at = unfold(open_page("train"), "train-batch-")
    assert asked == []
    at = choose(at, "Show", "batch")
    asked[0][2].set_result((Reading("r1", "one", "one", ("one",), 0, 1, "", 1.0, ((folded.spec.classes[0], 1.0),)),))
    at = at.run()
    assert any("<summary>1 tokens" in str(part.proto.body) for part in at.get("html")) and not at.exception


def captions(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in at.caption)
