"""A contest of texts with several emotions each, in the layout of KOTE or with a column of 0 and 1 per class; the words give the emotions away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

EMOTIONS = ("기쁨", "슬픔", "분노", "놀람", "고마움", "지루함")
SHARES = (0.45, 0.3, 0.25, 0.15, 0.1, 0.06)
WORDS = {
    "기쁨": ("행복해요", "최고예요", "웃음이 나요"),
    "슬픔": ("눈물이 나요", "속상해요", "외로워요"),
    "분노": ("화가 나요", "어이가 없네", "짜증나요"),
    "놀람": ("깜짝 놀랐어요", "믿기지 않아요", "세상에"),
    "고마움": ("감사합니다", "고마워요", "은혜를 잊지 않을게요"),
    "지루함": ("하품이 나요", "시간이 안 가요", "재미없어요"),
}
FILLERS = ("오늘", "이 영화", "배송이", "친구가", "점심은", "그 노래", "어제", "정말", "아무튼", "댓글 보니")
Layout = Literal["cells", "columns"]


def emotion_sets(n_rows: int, seed: int) -> np.ndarray:
    """Which emotions rows have (n_rows, 6), some of them none."""
    return (np.random.default_rng(seed).random((n_rows, len(EMOTIONS))) < SHARES).astype(np.int8)


def write_emotions(folder: Path, *, layout: Layout = "cells", n_train: int = 240, n_test: int = 60, seed: int = 0) -> Path:
    """train, test and sample submission: "0,3" in a tab-separated cell and lists to submit, or a column per class and probabilities."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 1])
    parts = {"train": emotion_sets(n_train, seed), "test": emotion_sets(n_test, seed + 1)}
    texts = {name: [_text(row, rng) for row in truth] for name, truth in parts.items()}
    if layout == "cells":
        _write(
            folder / "train.tsv",
            "\t",
            ["ID", "text", "labels"],
            [[f"tr{i:04}", text, _cell(row)] for i, (text, row) in _rows(texts, parts, "train")],
        )
        _write(folder / "test.tsv", "\t", ["ID", "text"], [[f"te{i:04}", text] for i, (text, _) in _rows(texts, parts, "test")])
        _write(folder / "sample_submission.csv", ",", ["ID", "labels"], [[f"te{i:04}", '"0,1"'] for i in range(n_test)])
    else:
        flags = [[f"tr{i:04}", text, *map(str, row)] for i, (text, row) in _rows(texts, parts, "train")]
        _write(folder / "train.csv", ",", ["ID", "text", *EMOTIONS], flags)
        _write(folder / "test.csv", ",", ["ID", "text"], [[f"te{i:04}", text] for i, (text, _) in _rows(texts, parts, "test")])
        _write(folder / "sample_submission.csv", ",", ["ID", *EMOTIONS], [[f"te{i:04}", *["0.5"] * len(EMOTIONS)] for i in range(n_test)])
    return folder


def emotions_spec(folder: Path, layout: Layout = "cells", **changes: Any) -> ContestSpec:
    """What a person answers for it; in cells the classes are numbers, as in KOTE."""
    cells = layout == "cells"
    suffix = "tsv" if cells else "csv"
    values = {
        "name": "emotions",
        "root": str(folder.resolve()),
        "modality": "text",
        "layout": "csv",
        "train": f"train.{suffix}",
        "test": f"test.{suffix}",
        "sample_submission": "sample_submission.csv",
        "id_column": "ID",
        "input_columns": ("text",),
        "labels": "several",
        "label_column": "labels" if cells else "",
        "label_separator": "," if cells else "",
        "classes": tuple(map(str, range(len(EMOTIONS)))) if cells else EMOTIONS,
        "metric": "macro_f1",
        "submission": "label" if cells else "probabilities",
    }
    return ContestSpec.model_validate(values | changes)


def add_emotions(workspace: Workspace, folder: Path, *, layout: Layout = "cells", **changes: Any) -> Contest:
    """The contest, written and registered."""
    return add_contest(workspace, emotions_spec(write_emotions(folder, layout=layout), layout, **changes))


def finish_emotions(
    workspace: Workspace, folder: Path, *, layout: Layout = "columns", n_folds: int = 3, **changes: Any
) -> tuple[Contest, tuple[Run, ...]]:
    """The contest with three finished runs on equal folds; the first is the best."""
    contest = add_emotions(workspace, folder, layout=layout, **changes)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=n_folds))
    strengths = {"roberta": 4.0, "electra": 3.2, "bert": 2.5}
    runs = [
        finish_run(workspace, contest, folds, make_recipe(contest, name), strength=strength, seed=seed)
        for seed, (name, strength) in enumerate(strengths.items())
    ]
    return contest, tuple(runs)


def _rows(texts: dict[str, list[str]], parts: dict[str, np.ndarray], name: str) -> enumerate[tuple[str, np.ndarray]]:
    return enumerate(zip(texts[name], parts[name], strict=True))


def _text(row: np.ndarray, rng: np.random.Generator) -> str:
    words = [str(rng.choice(WORDS[EMOTIONS[label]])) for label in np.flatnonzero(row)]
    fillers = [str(word) for word in rng.choice(FILLERS, 3, replace=False)]
    return " ".join(str(word) for word in rng.permutation([*fillers, *words]))


def _cell(row: np.ndarray) -> str:
    return ",".join(map(str, np.flatnonzero(row)))


def _write(path: Path, separator: str, header: list[str], rows: list[list[str]]) -> None:
    path.write_text("\n".join(separator.join(row) for row in [header, *rows]) + "\n", encoding="utf-8")
