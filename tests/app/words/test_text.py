"""Every text exists in both languages, says the same things, and every text that is asked for exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.words.text import LANGUAGES, TEXTS_DIR, load_texts, t
from core.base.messages import msg
from core.base.settings import Settings, walk_fields
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe

ROOT = Path(__file__).parents[3]
FILES = sorted(path.stem for path in TEXTS_DIR.glob("*.yaml"))
FORMS: dict[str, type[Settings]] = {"recipe": Recipe, "contest": ContestSpec, "split": FoldsSpec}
PLACEHOLDER = re.compile(r"\{(\w+)[^}]*\}")


def is_help(file: str, key: str) -> bool:
    """English help is the field's own description, so app/texts holds only the Korean."""
    return file in FORMS and key.endswith(".help")


@pytest.mark.parametrize("file", FILES)
def test_every_key_has_every_language(file: str) -> None:
    for key, texts in load_texts(file).items():
        expected = {"ko"} if is_help(file, key) else set(LANGUAGES)
        assert set(texts) == expected, f"{file}.{key}"
        assert all(text.strip() for text in texts.values()), f"{file}.{key} is empty"


@pytest.mark.parametrize("file", FILES)
def test_both_languages_take_the_same_values(file: str) -> None:
    for key, texts in load_texts(file).items():
        if not is_help(file, key):
            assert set(PLACEHOLDER.findall(texts["en"])) == set(PLACEHOLDER.findall(texts["ko"])), f"{file}.{key}"


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1 row, 1 column"), ("1", "1 row, 1 column"), (0, "0 rows, 0 columns"), ("1,000", "1,000 rows, 1,000 columns")]
)
def test_a_count_takes_the_word_for_one_or_for_several(n: object, said: str) -> None:
    assert t("submit.preview_note", rows=n, columns=n, size="").startswith(said)
    assert msg("{n} {n:row|rows}, {n} {n:column|columns}", n=n) == said


def test_no_count_stands_before_a_plural_alone() -> None:
    """Of `{n} rows` one is "1 rows"; `{n} of {all} rows` needs no rule."""
    plural = re.compile(
        r"(?<!of )(?<!to )\{(?:n|rows|runs|folds|columns)(?::,)?\} (?:finished |test |waiting )?(rows|runs|folds|columns|classes|problems|checks)\b"
    )
    for file in FILES:
        for key, texts in load_texts(file).items():
            assert not plural.search(texts.get("en", "")), f"{file}.{key}: {texts['en']}"


def test_every_text_that_is_asked_for_exists() -> None:
    asked = re.compile(r"""\bt\(\s*f?["']([a-z_]+)\.([^"'{}]+)["']""")
    for path in [*ROOT.glob("app/**/*.py"), *ROOT.glob("pages/*.py")]:
        for file, key in asked.findall(path.read_text(encoding="utf-8")):
            assert key in load_texts(file), f"{path.name} asks for {file}.{key}"


@pytest.mark.parametrize("file", FORMS)
def test_every_field_of_a_form_has_a_label_and_korean_help(file: str) -> None:
    texts = load_texts(file)
    fields = {path: info for path, info, _ in walk_fields(FORMS[file])}
    for path, info in fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("hidden"):
            continue
        assert info.description, path
        assert set(texts[path]) == set(LANGUAGES), path
        assert texts[f"{path}.help"]["ko"], path
    known = set(fields)
    assert {key.removesuffix(".help") for key in texts if key.endswith(".help")} <= known, "help for a field that is gone"


def test_every_point_of_an_inspection_has_a_label() -> None:
    said = re.compile(r"""Check\(\s*"(\w+)\"""")
    for path in ROOT.glob("core/contest/**/*.py"):
        for key in said.findall(path.read_text(encoding="utf-8")):
            assert key in load_texts("contest"), f"{path.name} says '{key}'"
