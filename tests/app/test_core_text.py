"""Every sentence that core may say is in app/texts/core, and is recognised on the screen whatever values it holds.

A new error fails the first test, which prints the file, the line and the sentence that app/texts/core must hold.
"""

from __future__ import annotations

import errno
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError
from streamlit.testing.v1 import AppTest

from app.core_text import VALUE, Reading, fill, load_catalogue, read, read_word
from core.contest.archive import extract_archive
from core.contest.inspect import inspect_path
from core.contest.register import add_contest
from core.errors import PitwallError
from core.prediction_files import read_predictions
from core.recipe import Recipe
from core.settings import Settings, load_settings
from core.workspace import Workspace
from models.catalog import load_catalog
from tests.contest.contest_folders import folder_contest, image_contest
from tests.core_sentences import HOLE, ROOT, Said, is_sentence, sentences
from tests.inputs.hostile_archives import HOSTILE, encrypted, hostile
from tests.inputs.spoiled_contests import FAULTS, FOLDER_FAULTS, WRONG_ENCODINGS, Fault, edit
from tests.inputs.spoiled_predictions import ARRAYS, EXPECTED, TABLES, frame
from tests.inputs.spoiled_recipes import RECIPES

ENTRIES = [entry for entries in load_catalogue().values() for entry in entries]
OF_CORE = [entry for file, entries in load_catalogue().items() if file not in ("words", "foreign") for entry in entries]

WORD = re.compile(r"(?<![\w=./'`-])[A-Za-z]{2,}(?![\w=./'`-])")
UNITS = {"kB", "MB", "GB"}

BARE_PARTICLE = re.compile(
    r"""\{(\w+)\}['"`]?(?:(?:이|가|은|는|을|를|과|와|로|으로|라고|이라고|나|이나)(?![가-힣(])|여야|이어야|였|이었)"""
)

NOT_SHOWN = {
    "core/blend/save.py": ["{} fold {}"],  # the name of a parent in a manifest
    "core/contest/encoding.py": ["Unnamed: {}"],  # a column's name, as pandas gives it
    "core/contest/files.py": ["JPEG, PNG, WebP, BMP, GIF or TIFF"],  # a value of others
    "core/contest/rows.py": ["{} in {}"],  # test ids, see SAMPLES
    "core/contest/samples.py": [  # the page Home has texts of its own
        "Handwritten digits: 5,000 small images, 10 classes, log loss",
        "BBC headlines: 2,225 titles, 5 classes, macro F1",
    ],
    "core/jobs/devices.py": ["import torch; print(torch.cuda.device_count())"],
    "core/jobs/worker.py": ["the engine is gone", "told by the engine"],  # for the log
    "core/settings.py": ["Value error, "],  # taken off
    "core/store/database.py": ["not a database", "Could not decode to UTF-8"],  # looked for in what SQLite says
    "core/tracking/choice.py": ["{} -m pip install tensorboard", "{} -m pip install wandb", "{} -m pip install mlflow-skinny"],
    "core/tracking/mlflow.py": ["tags.`pitwall.record` = '{}'", "mlflow ui --backend-store-uri {}"],
    "core/tracking/notes.py": ["Weights & Biases"],
    "core/tracking/sender.py": ["%(asctime)s %(message)s"],
    "core/tracking/wandb.py": ["{} -m wandb sync {}"],
    "core/training/failures.py": ["out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory"],  # looked for
    "models/text.py": ["[CLS] $A [SEP]"],
    "models/weights.py": ["the weights of {} are not here: {}", "the weights of {} cannot be read: {}"],  # core takes their parts
}
"""Texts of two words and more that are no sentence to a person."""

FOREIGN = {
    "str(problem)",
    "str(problem) or type(problem).__name__",
    "problem.strerror or str(problem)",
    "' '.join(str(problem).split())",
    "str(problem).splitlines()[0] if str(problem) else ''",
    "str(problem).splitlines()[0] if str(problem) else type(problem).__name__",
    "f'{type(problem).__name__}: {problem}'",
}
"""What the operating system or a library says; app/texts/core/foreign.yaml has the most usual."""

SAMPLES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("core/arrays.py", "fix"): (("save the blend again", "블렌드를 다시 저장하세요"),),
    ("core/contest/archive.py", "why"): (("File is not a zip file", "zip 파일이 아닙니다"),),
    ("core/contest/problems.py", "first[0].what"): (("the label is empty", "레이블이 비어 있습니다"),),
    ("core/contest/problems.py", "first[0].fix"): (("fill the label in, or take the row out", "레이블을 채우거나 행을 빼세요"),),
    ("core/contest/problems.py", "subject"): (
        ("the contest cannot be registered", "대회를 등록할 수 없습니다"),
        ("차.csv cannot be parsed", "차.csv: 표로 읽을 수 없습니다"),
    ),
    ("core/contest/problems.py", "'; '.join(_distinct((problem.fix for problem in first)))"): (
        ("resize the image; fill the path in, or take the row out", "이미지를 줄이세요; 경로를 채우거나 행을 빼세요"),
    ),
    ("core/exchange.py", r"'\n'.join((f'{problem.what}: {problem.why}' for problem in self.problems))"): (
        (
            "the ids of oof.csv are not the contest's: 2 missing: a, b; 1 unknown: nothing; 1 twice: c\ncannot read x.npy: File exists",
            "oof.csv의 id가 대회의 id와 다릅니다: 빠진 것 2개: a, b; 대회에 없는 것 1개: nothing; 중복 1개: c\nx.npy: 읽을 수 없습니다: 파일이 이미 있습니다",
        ),
    ),
    ("core/exchange.py", "'; '.join(dict.fromkeys((problem.fix for problem in self.problems)))"): (
        ("export the predictions again; leave the test file out", "예측을 다시 내보내세요; 테스트 파일은 빼세요"),
    ),
    ("core/jobs/controls.py", "str(priority)"): (("101", "101"),),
    ("core/jobs/forecast.py", "', or '.join(fixes)"): (
        ("use fewer slots, or choose a smaller backbone or input", "장치의 자리 수를 줄이세요; 또는 더 작은 백본이나 입력을 고르세요"),
    ),
    ("core/jobs/forecast.py", "', or '.join((fix for fix in fixes if fix))"): (
        ("make space, or set checkpoints.keep=1", "공간을 비우세요; 또는 checkpoints.keep=1로 정하세요"),
    ),
    ("core/jobs/rehearsal.py", "last"): (
        ("RuntimeError: it broke", "RuntimeError: it broke"),
        ("it said nothing", "아무 말도 남기지 않았습니다"),
    ),
    ("core/prediction_files.py", "'; '.join(filter(None, (said, '' if id_column else 'there is no column with ids')))"): (
        ("1 missing: 기아 쏘렌토 and 9 more; there is no column with ids", "빠진 것 1개: 기아 쏘렌토 외 9개; id 열이 없습니다"),
    ),
    ("core/store/database.py", "text"): (("attempt to write a readonly database", "attempt to write a readonly database"),),
    ("core/submission.py", "'; '.join(failed)"): (
        ("ids: 9 rows; 1 missing, 1 unknown, 0 twice", "식별자: 9행. 빠진 것 1개, 대회에 없는 것 1개, 중복 0개"),
        ("order: differs from the sample", "순서: 제출 예시와 다릅니다"),
        ("columns: id, cat instead of id, dog", "열: id, cat (있어야 할 것: id, dog)"),
    ),
    ("core/training/device.py", "reason"): (("this processor has no bf16 instructions", "이 CPU에는 bf16 명령이 없습니다"),),
    ("core/training/failures.py", "'; '.join((str(miss) for miss in problem.misses))"): (
        (
            "workspace (weights/a): no config.json, no model.safetensors or pytorch_model.bin; hub cache: this backbone is not on the hub",
            "작업 공간 (weights/a): config.json 없음, model.safetensors도 pytorch_model.bin도 없음; 허브 캐시: 허브에 없는 백본",
        ),
    ),
    ("core/training/failures.py", "problem.reason"): (("OSError: no reason given", "OSError: 이유를 알 수 없음"),),
    ("core/training/failures.py", "problem.fix"): (
        (
            "set image.size_px=224, the size it was made for, or a multiple of 32",
            "image.size_px를 32의 배수나 원래 크기 224에 맞추세요",
        ),
    ),
    ("core/training/state.py", "why"): (("size mismatch for fc.weight", "size mismatch for fc.weight"),),
    ("core/training/weights.py", "reason"): (("KeyError: 'fc.weight'", "KeyError: 'fc.weight'"),),
}
"""What cannot be read from the source without running it: real texts, and what the screen makes of them."""

MORE_SAMPLES = (
    ("test ids: file names without suffix in 사진", "테스트 식별자: 사진 안의 파일 이름(확장자 제외)"),
    ("1,024 rows, cp949, tab-separated; named so", "1,024행, cp949, 탭으로 구분; 파일 이름으로 알았습니다"),
    ("train.csv line 3, column 'label': 'the label is empty' is not one of the 5 classes", None),
    (
        "a Pitwall engine (process 71 on lab-2, since 2026-11-22 10:31)",
        "Pitwall 엔진 (lab-2의 프로세스 71, 2026-11-22 10:31부터)",
    ),
    ("the label is empty. Fix: fill the label in, or take the row out", "레이블이 비어 있습니다. 해결: 레이블을 채우거나 행을 빼세요"),
    ("optim.lr = 7.0: Input should be less than or equal to 1", "optim.lr = 7.0: 1 이하여야 합니다"),
    ("[Errno 13] Permission denied: '/data/차'", "[오류 13] 권한이 없습니다: '/data/차'"),
    ("no contest named 'running'", "'running' 대회: 찾을 수 없습니다"),
    ("damaged image: image file is truncated (3 bytes not processed)", "손상된 이미지: 이미지 파일이 잘렸습니다(3바이트를 읽지 못함)"),
    (
        "fold 2 of a was made on another version of the contest's data and other folds",
        "a의 2번 폴드를 만든 바탕이 다릅니다: 대회 데이터의 다른 판, 다른 폴드",
    ),
)


def seen(text: str) -> str:
    """A text of the source as this file writes it."""
    return text.replace(HOLE, "{}")


def english_left(reading: Reading) -> set[str]:
    """The words of a Korean text that no entry put there."""
    meant = {word for entry in reading.entries for word in re.findall(r"[A-Za-z]+", entry.ko)}
    return set(WORD.findall(reading.text)) - meant - UNITS


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
    assert not lacking, "app/texts/core lacks:\n" + "\n".join(lacking)


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


def no_english(error: PitwallError) -> None:
    """Three English words in a row would be a sentence that nobody put into Korean."""
    for text in (error.what, error.where, error.why, error.fix):
        left = re.findall(r"\b[a-z]+ [a-z]+ [a-z]+\b", re.sub(r"'[^']*'|`[^`]*`", "", read(text).text))
        assert not left, f"{text!r} is shown as {read(text).text!r}"
    assert not text or re.search("[가-힣]", read(error.what).text), error.what


def caught(act: object, *given: object, **named: object) -> PitwallError:
    with pytest.raises(PitwallError) as refusal:
        act(*given, **named)  # type: ignore[operator]
    return refusal.value


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.kind}-{fault.name}" for fault in FAULTS])
def test_a_wrong_contest_is_told_in_korean(workspace: Workspace, tmp_path: Path, fault: Fault) -> None:
    root = image_contest(tmp_path / "c")
    fault.spoil(root, fault.rows()[2])
    no_english(caught(lambda: add_contest(workspace, inspect_path(root).draft)))


@pytest.mark.parametrize(("spoil"), [spoil for _, spoil, _ in FOLDER_FAULTS], ids=[fault for fault, _, _ in FOLDER_FAULTS])
def test_a_wrong_folder_contest_is_told_in_korean(workspace: Workspace, tmp_path: Path, spoil: object) -> None:
    root = folder_contest(tmp_path / "c")
    spoil(root)  # type: ignore[operator]
    no_english(caught(lambda: add_contest(workspace, inspect_path(root).draft)))


def test_what_was_understood_is_told_in_korean(tmp_path: Path) -> None:
    for inspection in (inspect_path(image_contest(tmp_path / "a")), inspect_path(folder_contest(tmp_path / "b"))):
        assert len(inspection.checks) > 8
        for check in inspection.checks:
            assert re.search("[가-힣]", read(check.detail).text), check.detail
            no_english(PitwallError(check.detail))


@pytest.mark.parametrize("name", WRONG_ENCODINGS)
def test_a_wrong_encoding_is_told_in_korean(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.csv").write_bytes(WRONG_ENCODINGS[name](random.Random(1)))
    no_english(caught(inspect_path, tmp_path))


@pytest.mark.parametrize(("fill_archive", "said"), HOSTILE, ids=[said for _, said in HOSTILE])
def test_a_hostile_archive_is_told_in_korean(tmp_path: Path, fill_archive: object, said: str) -> None:
    no_english(caught(extract_archive, hostile(tmp_path / "a.zip", fill_archive, said), tmp_path / "out"))  # type: ignore[arg-type]


def test_an_encrypted_archive_is_told_in_korean(tmp_path: Path) -> None:
    no_english(caught(extract_archive, encrypted(tmp_path / "a.zip"), tmp_path / "out"))


@pytest.mark.parametrize("name", TABLES)
def test_wrong_predictions_are_told_in_korean(tmp_path: Path, name: str) -> None:
    path = tmp_path / "oof.csv"
    TABLES[name][0](frame(), 4).to_csv(path, index=False)
    for problem in read_predictions(path, EXPECTED).problems:
        no_english(problem)


@pytest.mark.parametrize("make", ARRAYS)
def test_wrong_arrays_are_told_in_korean(tmp_path: Path, make: object) -> None:
    path = tmp_path / "oof.npy"
    make(path)  # type: ignore[operator]
    for problem in read_predictions(path, EXPECTED).problems:
        assert english_left(read(problem.what)) == english_left(read(problem.fix)) == set(), problem


@pytest.mark.parametrize("name", RECIPES)
def test_wrong_recipes_are_told_in_korean(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(RECIPES[name][0](random.Random(2)))
    error = caught(load_settings, Recipe, path)
    assert re.search("[가-힣]", read(error.what).text)
    assert re.search("[가-힣]", read(error.fix).text)


def test_what_the_operating_system_says_is_read() -> None:
    for code in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT):
        for text in (os.strerror(code), str(OSError(code, os.strerror(code), "/data/a b"))):
            assert re.search("[가-힣]", read(text).text), text


class Every(Settings):
    """A setting of each kind that this project has."""

    number: float = Field(default=0.5, gt=0, le=1)
    other: float = Field(default=0.5, ge=0, lt=1, allow_inf_nan=False)
    count: int = 1
    flag: bool = False
    name: str = Field(default="a", pattern=r"^\w+$", max_length=3, min_length=1)
    names: tuple[str, ...] = Field(default=("a",), min_length=1, max_length=2)


@pytest.mark.parametrize(
    "values",
    [
        *({"number": value} for value in (0, 2, "fast", None)),
        *({"other": value} for value in (-1, 1, float("nan"))),
        *({"count": value} for value in ("fast", 1.5, None)),
        *({"flag": value} for value in ("perhaps", None)),
        *({"name": value} for value in ("a b", "abcd", "", 7)),
        *({"names": value} for value in ([], ["a", "b", "c"], "a")),
    ],
    ids=str,
)
def test_what_is_said_of_a_setting_is_read(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refusal:
        Every.model_validate(values)
    for problem in refusal.value.errors():
        assert re.search("[가-힣]", read(problem["msg"]).text), problem["msg"]


def card(lang: str) -> AppTest:
    """A page of one error."""

    def page() -> None:
        from app.widgets import guard
        from core.errors import InputError

        with guard():
            why = "train.csv line 3, column 'label': the label is empty\n… and 20 more"
            raise InputError("the contest cannot be registered: 21 problems", where="train.csv", why=why, fix="resize the image")

    at = AppTest.from_function(page)
    at.query_params["lang"] = lang
    return at.run()


def test_an_error_is_shown_in_the_language_of_the_screen() -> None:
    (english,), (korean,) = card("en").error, card("ko").error
    assert "the label is empty" in english.value
    assert "레이블이 비어 있습니다" in korean.value
    assert "이미지를 줄이세요" in korean.value
    assert "train\\.csv 3번째 줄, 'label' 열" in korean.value


def test_the_intake_speaks_korean_and_shows_no_card_for_an_image_that_is_missing(open_page: Callable[..., AppTest], tmp_path: Path) -> None:
    root = image_contest(tmp_path / "대회")
    edit(root, "train.csv", "images/004.png", "images/none.png")
    at = open_page("data", lang="ko")
    at.text_input(key="intake-path-text").set_value(str(root))
    at = next(button for button in at.button if button.label == "살펴보기").click().run()
    assert not at.exception
    assert not at.error
    (table,) = at.table
    problems = table.value[table.value.iloc[:, 1] == "문제"]
    where, what = (str(problems.iloc[0, column]).replace("\\", "") for column in (2, 3))
    assert "train.csv 6번째 줄, 'path' 열" in where
    assert "대회 폴더에 이미지가 없습니다: images/none.png. 해결: 이미지를 넣거나" in what


def test_the_lines_of_an_error_stay_lines() -> None:
    (korean,) = card("ko").error
    assert "\n… 그 밖에 20개" in korean.value
