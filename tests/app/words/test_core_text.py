"""Every sentence that core may say is in app/words/core, and is recognised on the screen whatever values it holds.

A new error fails the first test, which prints the file, the line and the sentence that app/words/core must hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.words.core_text import VALUE, Reading, fill, load_catalogue, read, read_word
from models.catalog import load_catalog
from tests.app.korean import english_left
from tests.core_sentences import HOLE, ROOT, Said, is_sentence, sentences
from tests.core_sentences_by_hand import FOREIGN, MORE_SAMPLES, NOT_SHOWN, SAMPLES

ENTRIES = [entry for entries in load_catalogue().values() for entry in entries]
OF_CORE = [entry for file, entries in load_catalogue().items() if file not in ("words", "foreign") for entry in entries]


BARE_PARTICLE = re.compile(
    r"""\{(\w+)\}['"`]?(?:(?:이|가|은|는|을|를|과|와|로|으로|라고|이라고|나|이나)(?![가-힣(])|여야|이어야|였|이었)"""
)


def seen(text: str) -> str:
    """A text of the source as this file writes it."""
    return text.replace(HOLE, "{}")


def readings(text: str) -> Iterator[Reading]:
    """A text with values in its holes, of the kinds that a value may have."""
    for value in ("1{n}", "1{n}.7", "r1{n}"):
        numbers = iter(range(100))
        yield read_word(re.sub(HOLE, lambda _, value=value, numbers=numbers: value.format(n=next(numbers)), text))


def best_reading(text: str) -> Reading:
    """The reading that leaves the least English."""
    return min(readings(text), key=lambda reading: (len(english_left(reading)), -reading.n_own))


@pytest.fixture(scope="module")
def said_by_core() -> list[Said]:
    return [*sentences("core", "models"), *sentences("app", "pages", only_errors=True)]


def shown_texts(said: Said) -> Iterator[str]:
    """Those of its texts that a person may see as a sentence."""
    yield from (text for text in said.texts if (said.part or is_sentence(text)) and seen(text) not in NOT_SHOWN.get(said.file, ()))


def test_every_sentence_of_core_has_korean(said_by_core: list[Said]) -> None:
    assert len(said_by_core) > 800
    lacking = {
        f"{said.place} {seen(text)!r}": None for said in said_by_core for text in shown_texts(said) if english_left(best_reading(text))
    }
    assert not lacking, "app/words/core lacks:\n" + "\n".join(lacking)


def test_what_cannot_be_read_from_the_source_is_known_by_hand(said_by_core: list[Said]) -> None:
    closed = {
        (said.file, said.source): said.place
        for said in said_by_core
        if said.part not in ("", "where") and not said.is_read and said.file.startswith(("core/", "models/"))
    }
    unknown = [f"{place} {key[1]}" for key, place in closed.items() if key not in SAMPLES and key[1] not in FOREIGN]
    assert not unknown, "give real samples in SAMPLES for:\n" + "\n".join(unknown)
    assert set(SAMPLES) <= set(closed), "samples of what is gone"


@pytest.mark.parametrize(("en", "ko"), [sample for samples in SAMPLES.values() for sample in samples])
def test_a_real_text_is_read(en: str, ko: str) -> None:
    assert read(en).text == ko


@pytest.mark.parametrize(("en", "ko"), MORE_SAMPLES)
def test_a_composed_text_is_read(en: str, ko: str | None) -> None:
    assert read(en).text == (ko or "train.csv 3번째 줄, 'label' 열: 'the label is empty'은(는) 클래스 5개에 없습니다")


def test_nothing_is_listed_that_core_does_not_say(said_by_core: list[Said]) -> None:
    used = {entry.en for said in said_by_core for text in shown_texts(said) for reading in readings(text) for entry in reading.entries}
    texts = [en for samples in SAMPLES.values() for en, _ in samples] + [en for en, _ in MORE_SAMPLES] + ["where: a", "why: a", "fix: a"]
    used |= {entry.en for text in texts for entry in read(text).entries}
    assert [entry.en for entry in OF_CORE if entry.en not in used] == []
    written = {(said.file, seen(text)) for said in said_by_core for text in said.texts}
    assert [text for file, texts in NOT_SHOWN.items() for text in texts if (file, text) not in written] == []


def test_every_word_is_one_of_core() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for folder in ("core", "models") for path in (ROOT / folder).rglob("*.py"))
    for entry in load_catalogue()["words"]:
        assert re.search(rf"""["' ]{re.escape(entry.en.removesuffix("s"))}""", source), entry.en


def test_every_note_of_a_backbone_has_korean() -> None:
    notes = {backbone.note for backbone in load_catalog()}
    assert len(notes) > 4
    assert [note for note in notes if note and not read_word(note).entries] == []


def test_every_entry_is_recognised_with_its_values() -> None:
    samples = {"known": "no run was chosen", "file": "a.bin", "ref": "r7"}
    wrong: list[str] = []
    for entry in ENTRIES:
        values = {name: samples[kind] if kind in samples else str(11 + place) for place, (name, kind) in enumerate(entry.kinds.items())}
        said = {name: read(value).text if entry.kinds[name] == "known" else value for name, value in values.items()}
        found = read_word(fill(entry.en, values)).text
        if found != fill(entry.ko, said):
            wrong.append(f"{entry.en!r} is shown as {found!r}")
    assert not wrong, "\n".join(wrong)


def test_korean_takes_the_same_values_once() -> None:
    for entry in ENTRIES:
        assert sorted(value[1] for value in VALUE.finditer(entry.ko)) == sorted(entry.kinds), entry.en
        own = VALUE.sub("", entry.ko)
        assert re.search("[가-힣]", own) or not re.search("[A-Za-z]", own) or entry.ko == entry.en, entry.en
        assert not entry.ko.endswith("."), entry.ko


def test_korean_particles_fit_any_value() -> None:
    """A bare particle fits some values only: it is written for both, as in `{name}이(가)`, unless what the value ends in is known."""
    of_known_end = {"share", "rows"}  # a percent sign, and the word for rows
    for entry in ENTRIES:
        for bare in BARE_PARTICLE.finditer(entry.ko):
            assert bare[1] in of_known_end, f"{bare[0]} in {entry.ko}"


def test_english_is_left_as_it_is_and_so_is_what_is_unknown() -> None:
    for text in ("", "CUDA error: an illegal memory access was encountered", "a; b, or c", "두 줄\n한 줄", "x: y"):
        assert read(text).text == text


def test_values_are_kept_as_they_are() -> None:
    assert read("no contest named 'the disk is full'").text == "'the disk is full' 대회: 찾을 수 없습니다"
    assert read("columns: running, {name}, none").text == "열: running, {name}, none"
    assert "the label is empty" in read("'the label is empty' is not one of the 3 classes").text


def test_long_texts_are_read_or_left() -> None:
    many = "; ".join(f"차량_{number} in fold 1 instead of 2" for number in range(500))
    assert read(many).text.count("2번 폴드여야 하는데 1번 폴드") == 500
    for text in ("a: " * 5000, "a; " * 5000 + "b", " has no rows and is " * 5000, "it is " + "x" * 100_000):
        assert read(text).text == text


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(["; ", ": ", ", or ", "\n", "{", "}", "{name}", "run", " is ", "the disk is full", "가", "'", "no ", "3"])))
def test_any_text_is_read_or_left(parts: list[str]) -> None:
    text = "".join(parts)
    reading = read(text)
    assert reading.entries or reading.text == text
    assert reading.text.count("\n") == text.count("\n")
    assert reading.text.count("가") >= text.count("가")
