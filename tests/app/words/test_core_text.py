"""Every sentence of core has Korean in app/words/core, with the same values. The first test prints what lacks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from app.words.core_text import catalogue, korean, said_in
from core.base.errors import NotFoundError, PitwallError
from core.base.messages import PLACEHOLDER, Message, from_json, joined, msg, to_json
from core.base.settings import try_settings
from core.specs.recipe import Recipe
from models.catalog import load_catalog

ROOT = Path(__file__).parents[3]
SENTENCE = re.compile(r"[a-z]{2,} +[a-z]{2,}", re.IGNORECASE)
QUIET_CALLS = re.compile(
    r"log\.\w+|logging\.\w+|warnings\.\w+|Field|field|cast|re\.\w+|getLogger|.*\.add_argument|argparse\.\w+|.*ArgumentParser|fingerprint|"
    r"Interrupted|RuntimeError|AssertionError|super\(\).__init__|.*\.(startswith|endswith|execute|exec_driver_sql|encode|write|strftime|ask)"
)
NOT_SHOWN = {
    *("not a database", "Could not decode to UTF-8", "no such column", "no such table", "duplicate column name", "already exists"),
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory"),  # looked for in what libraries say
    *("{} -m pip install {}", "mlflow ui --backend-store-uri {}", "{} -m wandb sync {}", "import torch; print(torch.cuda.device_count())"),
    "JPEG, PNG, WebP, BMP, GIF or TIFF",
    "{}\\n\\nWhich of these is it: {}?\\nAnswer:",  # for a language model
}
"""Texts of two words and more that are no sentence to a person on the screen."""
TERMINAL_ONLY = (
    "core/commands",
    "core/__main__.py",
    "core/store/migrations",
    "core/store/seals.py",
    "core/store/tables.py",
    "models/make_catalog.py",
    "core/predictions/transformers_folder.py",
    "core/predictions/predict_folder.py",
)
UNUSED = {"expected_plural", "field_type", "class_name"}
"""Values of pydantic that Korean has no use for."""
BARE_PARTICLE = re.compile(
    r"""\{(\w+)[^{}]*\}['"`]?(?:(?:이|가|은|는|을|를|과|와|로|으로|라고|이라고|나|이나)(?![가-힣(])|여야|이어야|였|이었)"""
)
"""A particle that fits some values only: it is written for both, as in `{name}이(가)`."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(path for folder in ("core", "models") for path in (ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(TERMINAL_ONLY):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def is_quiet(node: ast.AST) -> bool:
    """A docstring, a type, a comparison, or a call whose texts no person reads on the screen: logs, patterns, SQL, help of a setting."""
    if isinstance(node, ast.Call):
        return QUIET_CALLS.fullmatch(ast.unparse(node.func)) is not None
    return isinstance(node, ast.Compare | ast.arg | ast.Assert) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def said() -> Iterator[tuple[str, int, str, bool]]:
    """Every text of two words or more in the source: file, line, text, and whether it is an f-string."""

    def walk(node: ast.AST) -> Iterator[ast.expr]:
        if is_quiet(node):
            return
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield node
            return
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    for name, tree in trees():
        for node in walk(tree):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            if SENTENCE.search(PLACEHOLDER.sub("", text.replace("{}", ""))) and text not in NOT_SHOWN:
                yield name, node.lineno, text, isinstance(node, ast.JoinedStr)


def test_every_sentence_has_korean() -> None:
    lacking = [f"{name}:{line} {text!r}" for name, line, text, is_f_string in said() if not is_f_string and text not in catalogue()]
    assert not lacking, "app/words/core lacks:\n" + "\n".join(dict.fromkeys(lacking))


def test_a_sentence_with_values_is_a_template() -> None:
    """An f-string reaches a person as a text that no translation is found for."""
    wrong = [f"{name}:{line} {text}" for name, line, text, is_f_string in said() if is_f_string]
    assert not wrong, "write a template and give its values by name (core/base/messages.py):\n" + "\n".join(wrong)


def test_nothing_is_translated_that_core_does_not_say() -> None:
    paths = [path for folder in ("core", "models", "app", "pages") for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    texts |= {backbone.note for backbone in load_catalog()}
    own = [key for path in (ROOT / "app/words/core").glob("*.yaml") if path.stem != "foreign" for key in keys_of(path)]
    assert [key for key in own if key not in texts] == []


def keys_of(path: Path) -> list[str]:
    import yaml

    return list(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_no_template_is_translated_twice() -> None:
    keys = [key for path in (ROOT / "app/words/core").glob("*.yaml") for key in keys_of(path)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("path", sorted((ROOT / "app/words/core").glob("*.yaml")), ids=lambda path: path.stem)
def test_korean_takes_the_same_values_and_fits_any(path: Path) -> None:
    for en in keys_of(path):
        ko = catalogue()[en]
        wanted = {hole[1] for hole in PLACEHOLDER.finditer(en)} - UNUSED
        assert {hole[1] for hole in PLACEHOLDER.finditer(ko)} == wanted, en
        own = PLACEHOLDER.sub("", ko)
        assert re.search("[가-힣]", own) or not re.search("[A-Za-z]", own) or ko == en, en
        assert not ko.endswith("."), ko
        assert {bare[1] for bare in BARE_PARTICLE.finditer(ko)} <= {"share", "rows"}, ko


def test_every_note_of_a_backbone_has_korean() -> None:
    notes = {backbone.note for backbone in load_catalog()} - {""}
    assert len(notes) > 4 and notes <= set(catalogue())


def test_values_are_looked_up_only_where_they_are_cores_own() -> None:
    assert korean(NotFoundError.among("contest", "the label is empty", []).what) == "'the label is empty' 대회: 찾을 수 없습니다"
    assert korean(joined("; ", [msg("{rows} of {file}", rows=3, file="a"), "the label is empty"])) == "3 of a; 레이블이 비어 있습니다"
    assert korean("nothing that core says") == "nothing that core says"


@pytest.mark.parametrize(("lang", "field"), [("en", "the field “Rows without a label”"), ("ko", "‘레이블이 없는 행’")])
def test_a_fix_inside_a_sentence_names_a_field_in_every_language(lang: str, field: str) -> None:
    said = said_in(msg("{what}. Fix: {fix}", what="x", fix="fill the label in, or leave such rows out: missing_labels=drop"), lang)
    assert field in said and "missing_labels" not in said


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "n"]), st.text() | st.integers() | st.floats(allow_nan=False)), st.text())
def test_a_message_survives_json_whatever_it_holds(values: dict[str, object], extra: str) -> None:
    message = msg("{a} of {b}: {n}" + extra, **values)
    outer = joined("; ", [message, msg("{inner}", inner=message), extra])
    again = from_json(to_json(outer))
    assert again == outer and to_json(again) == to_json(outer)
    error = PitwallError("{a} stays", where=message, why=extra, **values)
    assert PitwallError.from_dict(error.to_dict()).to_dict() == error.to_dict()
    assert isinstance(PitwallError.from_dict(error.to_dict()).where, Message)


def test_what_is_wrong_with_a_whole_section_is_said_in_korean() -> None:
    _, (problem,) = try_settings(Recipe, {"loss": {"class_weights": "given"}})
    assert problem.startswith("loss: give a weight") and not SENTENCE.search(korean(problem))
