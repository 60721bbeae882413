"""Contests of texts in the exact layouts of NSMC, KOTE, KLUE's relations and a four-class sentiment contest, with the traps they are known for.

The words of a text give its label away, so that TF-IDF learns each from a few hundred rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

FILLERS = ("오늘 본", "이 영화", "배우가", "친구랑", "ㅋㅋㅋ", "진짜", "음악은", "결말이", "감독님", "2편보다")
MOODS = (("최악이다", "돈 아깝다"), ("별로네요", "지루했다"), ("볼만해요", "괜찮네"), ("최고예요", "인생 영화"))
"""Of 강한 부정, 약한 부정, 약한 긍정 and 강한 긍정."""
N_EMOTIONS = 44
ORGANISATIONS = ("한국은행", "서울대", "삼성전자", "대한축구협회")
PEOPLE = ("김민수", "이영희", "박지성", "최가을")
RELATIONS = (
    "no_relation",
    *(
        f"org:{name}"
        for name in [
            "top_members/employees",
            "members",
            "product",
            "founded",
            "alternate_names",
            "place_of_headquarters",
            "number_of_employees/members",
            "member_of",
            "founded_by",
            "political/religious_affiliation",
            "dissolved",
        ]
    ),
    *(
        f"per:{name}"
        for name in [
            "employee_of",
            "title",
            "date_of_birth",
            "date_of_death",
            "place_of_birth",
            "place_of_death",
            "place_of_residence",
            "origin",
            "parents",
            "children",
            "siblings",
            "spouse",
            "other_family",
            "alternate_names",
            "colleagues",
            "product",
            "religion",
            "schools_attended",
        ]
    ),
)
"""KLUE's thirty, in the order of its baseline: that of the lists of probabilities, which is not the alphabet's."""


def write_nsmc(folder: Path, n_train: int = 240, n_test: int = 40) -> Path:
    """Ratings in tables separated by tabs without quoting: quotation marks stand alone, and some documents are empty."""
    rng = np.random.default_rng(0)
    for name, n in (("ratings_train", n_train), ("ratings_test", n_test)):
        lines = ["id\tdocument\tlabel"]
        for row in range(n):
            label = int(rng.integers(2))
            text = _text(rng, rng.choice(MOODS[3 * label]))
            text = {0: f'"{text}', 1: f'{text} 19" 모니터', 2: f'"{text}" 라니', 3: ""}.get(row % 40, text)
            lines.append(f"{9976970 + len(name) * 100_000 + row}\t{text}\t{label}")
        _write(folder / f"{name}.txt", lines)
    return folder


def write_kote(folder: Path, n_train: int = 300, n_test: int = 40) -> Path:
    """44 emotions, several a text, as `0,3,17` behind tabs and without a header; the sample has a column of probabilities for each."""
    rng = np.random.default_rng(1)
    signs = np.array([f"감정{chr(ord('가') + 28 * number)}어휘" for number in range(N_EMOTIONS)], dtype=object)
    shares = np.linspace(0.25, 0.05, N_EMOTIONS)
    for name, n in (("train", n_train), ("test", n_test)):
        truth = rng.random((n, N_EMOTIONS)) < shares
        texts = [_text(rng, *rng.permutation(signs[row])) for row in truth]
        ids = [f"{50_000 * (name == 'test') + row}" for row in range(n)]
        if name == "train":
            _write(folder / "train.tsv", ["\t".join([*row]) for row in zip(ids, texts, (_codes(row) for row in truth), strict=True)])
            continue
        _write(folder / "test.tsv", ["\t".join([*row]) for row in zip(ids, texts, strict=True)])
        sample = [",".join([row, *["0.5"] * N_EMOTIONS]) for row in ids]
        _write(folder / "sample_submission.csv", [",".join(["id", *map(str, range(N_EMOTIONS))]), *sample])
    return folder


def write_klue(folder: Path, n_train: int = 400, n_test: int = 40) -> Path:
    """Relations of two entities, whose cells are dictionaries as Python writes them with an inclusive `end_idx`; `no_relation` is most of them."""
    rng = np.random.default_rng(2)
    share = np.array([0.45, *np.full(29, 0.55 / 29)])
    for name, n in (("train", n_train), ("test_data", n_test)):
        lines = ["id,sentence,subject_entity,object_entity,label,source"]
        labels = [*range(30)] * 4 if name == "train" else []
        for row in range(n):
            label = labels[row] if row < len(labels) else int(rng.choice(30, p=share))
            subject, other = str(rng.choice(ORGANISATIONS if RELATIONS[label].startswith("org") else PEOPLE)), str(rng.choice(PEOPLE))
            sentence = f"〈{subject}〉 소식, 관계{chr(ord('가') + 28 * label)}말 '{other}' 전했다, {rng.choice(FILLERS)}."
            kind = "ORG" if subject in ORGANISATIONS else "PER"
            cells = [sentence, _entity(sentence, subject, kind), _entity(sentence, other, "PER")]
            shown = RELATIONS[label] if name == "train" else "100"  # the test table has a stand-in in its label column
            lines.append(",".join([str(row), *map(_quoted, cells), shown, "wikipedia"]))
        _write(folder / f"{name}.csv", lines)
    first = "[" + ", ".join(["1.0", *["0.0"] * 29]) + "]"
    _write(folder / "sample_submission.csv", ["id,pred_label,probs", *(f'{row},no_relation,"{first}"' for row in range(n_test))])
    return folder


def write_sentiment(folder: Path, n_train: int = 240, n_test: int = 40) -> Path:
    """Reviews in the classes 0 to 3; reviews hold commas, line breaks and quotation marks."""
    rng = np.random.default_rng(3)
    for name, n in (("train", n_train), ("test", n_test)):
        lines = [f"ID,review{',label' if name == 'train' else ''}"]
        for row in range(n):
            label = row % 4
            text = _text(rng, rng.choice(MOODS[label])) + {0: ', 그래도 "음"', 5: "\n다음 줄"}.get(row % 9, "")
            lines.append(",".join([f"{name}_{row:05}", _quoted(text), *([str(label)] if name == "train" else [])]))
        _write(folder / f"{name}.csv", lines)
    _write(folder / "sample_submission.csv", ["ID,pred", *(f"test_{row:05},0" for row in range(n_test))])
    return folder


LAYOUTS: dict[str, Callable[[Path], Path]] = {"nsmc": write_nsmc, "kote": write_kote, "klue": write_klue, "sentiment": write_sentiment}


def _text(rng: np.random.Generator, *words: object) -> str:
    parts = [*map(str, rng.choice(FILLERS, 2, replace=False)), *map(str, words)]
    return " ".join(rng.permutation(parts).tolist())


def _codes(row: np.ndarray) -> str:
    return ",".join(map(str, np.flatnonzero(row)))


def _entity(sentence: str, word: str, kind: str) -> str:
    start = sentence.index(word)
    return str({"word": word, "start_idx": start, "end_idx": start + len(word) - 1, "type": kind})


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
