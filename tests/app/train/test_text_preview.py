"""The preview of texts on the page Train: rows before and after follow the form; what a row does not allow is a card."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from app.train.grid import start_key
from app.train.text_preview import texts_html
from core.recipes.texts import SeenText
from core.store.contests import Contest
from tests.app.hands import press, set_option, unfold, write

OpenPage = Callable[..., AppTest]
TEMPLATE = "Template of the text"


def shown(at: AppTest) -> str:
    return "\n".join(str(part.proto.body) for part in at.get("html"))


def captions(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in at.caption).replace("\\", "")


def test_rows_are_shown_as_the_form_makes_them(open_page: OpenPage, folded: Contest) -> None:
    at = unfold(open_page("train"), "train-batch-")
    assert "change 0 of 48 rows" in captions(at) and "{text}" in captions(at)
    at = write(unfold(at, "-section-input"), TEMPLATE, "news: {text}")
    assert "change 48 of 48 rows" in captions(at) and "<mark>news: </mark>" in shown(at)
    at = set_option(unfold(at, "-section-clean"), "Rare words, least rows", 10_000)
    assert "No word is left of 48" in "".join(str(part.value) for part in at.warning)
    at = write(at, TEMPLATE, "{texx}")
    assert "write {text} instead" in "".join(str(part.value) for part in (*at.error, *at.markdown)).replace("\\", "")
    assert not at.exception


def test_a_language_model_is_offered_a_prompt_that_names_the_classes(open_page: OpenPage, folded: Contest) -> None:
    at = unfold(open_page("train"), "train-batch-")
    assert "Name the classes" not in "".join(button.label for button in at.button)
    at = at.selectbox(key=start_key(folded)).select("preset text-lm-lora").run()
    at = press(unfold(at, "train-batch-"), "Name the classes in a prompt")
    assert "change 48 of 48 rows" in captions(at) and "Which of these is it: " in shown(at)
    assert "Name the classes" not in "".join(button.label for button in at.button) and not at.exception


def test_what_goes_and_what_comes_is_marked_and_escaped() -> None:
    html = texts_html([SeenText("<1>", "<b>좋다</b> ㅋㅋㅋ", "[S] 좋다 ㅋㅋ", ("[S]", "좋다", "<x>"))], max_tokens=2)
    assert "<b>&lt;1&gt;</b>" in html and "<del>&lt;b&gt;</del>" in html and "<mark>[S] </mark>좋다" in html
    assert "3 tokens, at most 2 at once" in html and "<span>&lt;x&gt;</span>" in html
    assert "<mark>" not in texts_html([SeenText("1", "a", "a", ())], max_tokens=8)
