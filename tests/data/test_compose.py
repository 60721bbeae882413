"""Texts made of several columns: templates, dictionaries in cells, typed entity markers."""

from typing import Any

import pandas as pd
import pytest

from core.base.errors import InputError, PitwallError, RecipeError
from core.base.settings import parse_settings
from core.data.compose import compose, insert_markers, read_dict, special_tokens
from core.specs.recipe import Recipe
from core.specs.text_settings import ComposeSettings

SENTENCE = "비틀즈는 리버풀에서 결성되었다"
BAND = {"word": "비틀즈", "start_idx": 0, "end_idx": 2, "type": "ORG"}
CITY = {"word": "리버풀", "start_idx": 5, "end_idx": 7, "type": "LOC"}


def klue(subject: object = BAND, object_: object = CITY, sentence: str = SENTENCE) -> pd.DataFrame:
    columns = {"col.sentence": sentence, "col.subject_entity": str(subject), "col.object_entity": str(object_)}
    return pd.DataFrame({"id": ["klue-1"], "input": [sentence], **columns}, dtype="str")


def settings(**values: Any) -> ComposeSettings:
    return parse_settings(ComposeSettings, values, where="input")


def test_without_settings_texts_are_the_contests_own() -> None:
    rows = klue()
    assert compose(ComposeSettings(), rows) == [SENTENCE]
    assert special_tokens(ComposeSettings(), [rows]) == ()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{subject_entity.word} [SEP] {sentence}", f"비틀즈 [SEP] {SENTENCE}"),
        ("{sentence}\n{ object_entity.type }", f"{SENTENCE}\nLOC"),
        ("{sentence}\\n{object_entity.type}", f"{SENTENCE}\nLOC"),
        ("{{{subject_entity.end_idx}}}", "{2}"),
    ],
)
def test_a_template_takes_columns_and_parts_of_them(template: str, text: str) -> None:
    assert compose(settings(template=template), klue()) == [text]


def test_a_column_may_have_a_dot_or_odd_signs_in_its_name() -> None:
    rows = pd.DataFrame({"id": ["1"], "input": ["x"], "col.a.b": ["first"], "col.제목: (원문)!": ["second"]})
    assert compose(settings(template="{a.b}|{제목: (원문)!}"), rows) == ["first|second"]


@pytest.mark.parametrize("cell", ['{"word": "비틀즈", "n": null}', "{'word': '비틀즈', 'n': None}", ' {"word": "비틀즈", "n": {"x": 1}} '])
def test_a_dictionary_is_read_as_json_or_as_python(cell: str) -> None:
    found = read_dict(cell)
    assert found is not None and found["word"] == "비틀즈"


@pytest.mark.parametrize(
    "cell",
    ["", "nan", "[1]", "{1, 2}", "{", "{" * 3000, "{'a': " * 1500, "{'word': __import__('os')}", "{'word': '" + "x" * 20_000 + "'}"],
)
def test_what_is_no_dictionary_is_none_and_evaluates_nothing(cell: str) -> None:
    assert read_dict(cell) is None


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("special", "[S:ORG] 비틀즈 [/S:ORG]는 [O:LOC] 리버풀 [/O:LOC]에서 결성되었다"),
        ("punctuation", "@ * ORG * 비틀즈 @는 # ^ LOC ^ 리버풀 #에서 결성되었다"),
    ],
)
def test_markers_stand_around_both_entities(style: str, text: str) -> None:
    assert compose(settings(markers=style), klue()) == [text]


def test_the_object_may_come_first() -> None:
    assert compose(settings(markers="special"), klue(CITY, BAND)) == ["[O:ORG] 비틀즈 [/O:ORG]는 [S:LOC] 리버풀 [/S:LOC]에서 결성되었다"]


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ((0, 4, "abcd"), (1, 2, "b"), "<abcd>".replace("b", "(b)")),
        ((0, 2, "ab"), (0, 4, "abcd"), "(<ab>cd)"),
        ((0, 4, "abcd"), (2, 4, "cd"), "<ab(cd)>"),
        ((0, 2, "ab"), (0, 2, "ab"), "<(ab)>cd"),
        ((0, 2, "ab"), (2, 4, "cd"), "<ab>(cd)"),
        ((0, 3, "abc"), (2, 4, "cd"), "<ab(c>d)"),
    ],
)
def test_entities_that_touch_contain_or_cross_each_other_are_nested_as_far_as_they_are(
    first: tuple[int, int, str], second: tuple[int, int, str], text: str
) -> None:
    from core.data.compose import Entity

    marked = insert_markers("abcd", [(Entity(*first, "X"), ("<", ">")), (Entity(*second, "Y"), ("(", ")"))])
    assert marked == text
    assert marked.translate(str.maketrans("", "", "<>()")) == "abcd"


def test_a_template_may_hold_the_marked_sentence() -> None:
    found = compose(settings(template="{object_entity.type} [SEP] {sentence}", markers="punctuation"), klue())
    assert found == ["LOC [SEP] @ * ORG * 비틀즈 @는 # ^ LOC ^ 리버풀 #에서 결성되었다"]


def test_special_tokens_are_the_templates_and_the_types_of_all_tables() -> None:
    test = klue(BAND | {"type": "PER"})
    asked = settings(template="{object_entity.type} [SEP] {sentence}", markers="special")
    assert special_tokens(asked, [klue(), test]) == (
        "[SEP]",
        *("[S:ORG]", "[/S:ORG]", "[S:PER]", "[/S:PER]"),
        *("[O:LOC]", "[/O:LOC]"),
    )
    assert special_tokens(settings(markers="punctuation"), [klue(), test]) == ()


@pytest.mark.parametrize(
    ("row", "asked", "said"),
    [
        (klue(BAND | {"end_idx": 3}), {"markers": "special"}, "its characters 0 to 3 are '비틀즈는', not '비틀즈'"),
        (klue(BAND | {"start_idx": -3, "end_idx": -1}), {"markers": "special"}, "not '비틀즈'"),
        (klue({"word": "비틀즈", "start_idx": 0}), {"markers": "special"}, "end_idx, type is wrong"),
        (klue("비틀즈"), {"markers": "special"}, "'비틀즈' is no dictionary"),
        (klue(), {"template": "{subject_entity.name}"}, "it has no 'name', only word, start_idx"),
        (klue(), {"template": "{subject_entity.word.first}"}, "it has no 'first'"),
    ],
)
def test_a_row_that_cannot_be_composed_is_named(row: pd.DataFrame, asked: dict[str, Any], said: str) -> None:
    rows = pd.concat([klue(), row, klue()], ignore_index=True)
    rows["id"] = ["one", "two", "three"]
    good = said.startswith("it has no")
    with pytest.raises(InputError) as refusal:
        compose(settings(**asked), rows)
    assert said in refusal.value.why and "row two: " in refusal.value.why
    assert ("row one: " in refusal.value.why) == good


@pytest.mark.parametrize("asked", [{"template": "{sentense}"}, {"markers": "special", "entity_columns": ["subject_entity", "object"]}])
def test_a_column_that_is_not_there_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"column 'sentense'|column 'object'") as refusal:
        compose(settings(**asked), klue())
    assert "sentence, subject_entity, object_entity" in refusal.value.why


@pytest.mark.parametrize("template", ["{sentence", "sentence}", "no column", "{}"])
def test_a_template_with_no_column_or_half_a_brace_is_no_setting(template: str) -> None:
    with pytest.raises(RecipeError):
        settings(template=template)


def test_markers_need_the_sentence_in_the_template() -> None:
    with pytest.raises(PitwallError, match="cannot be used") as refusal:
        settings(template="{subject_entity.word}", markers="special")
    assert "{sentence}, which is to be marked" in refusal.value.why


def test_a_recipe_for_images_has_no_template_and_no_cleaning() -> None:
    for changes in ({"input": {"template": "{x}"}}, {"clean": {"html": True}}):
        with pytest.raises(RecipeError):
            parse_settings(Recipe, {"modality": "image", **changes}, where="recipe")
