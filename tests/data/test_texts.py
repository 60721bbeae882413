"""Which tokens of a text reach the network, padded, cut, and in windows; and that tokens are kept for the next fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data import token_cache
from core.data.cache_space import CacheSettings, list_caches, save_cache_settings
from core.data.texts import TextRows
from core.data.token_cache import FILE, tokens_of
from core.data.tokens import Cut, TokenLengths, Tokens
from core.specs.data_settings import InputSettings

FIRST, LAST = 98, 99


def cut_of(**settings: Any) -> Cut:
    return Cut.made(InputSettings.model_validate({"max_tokens": 8, **settings}), [FIRST], [LAST])


def rows_of(*lengths: int, **settings: Any) -> TextRows:
    """Texts whose tokens are numbered from 1."""
    ids = [np.arange(1, n + 1, dtype=np.int32) for n in lengths]
    return TextRows(Tokens(np.concatenate(ids), np.cumsum(lengths)), cut_of(**settings), pad_id=0, seed=5, fold=1)


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"truncation": "tail"}, [5, 6, 7, 8, 9, 10]),
        ({"truncation": "head_tail"}, [1, 2, 7, 8, 9, 10]),
        ({"truncation": "head_tail", "head_share": 0.9}, [1, 2, 3, 4, 5, 10]),
    ],
    ids=str,
)
def test_a_long_text_keeps_what_the_recipe_says_and_a_short_one_everything(settings: dict[str, Any], read: list[int]) -> None:
    rows = rows_of(10, 6, 0, **settings)
    assert [rows[(1, row, 0)][1][0].tolist() for row in range(3)] == [
        [FIRST, *read, LAST],
        [FIRST, *range(1, 7), LAST],
        [FIRST, LAST],
    ]
    assert rows.lengths.tolist() == [8, 8, 2]


def test_a_batch_is_padded_to_its_longest() -> None:
    rows = rows_of(2, 8, 1)
    batch = rows.collate([rows[(1, 2, 0)], rows[(1, 0, 0)]])
    assert batch["input_ids"].tolist() == [[FIRST, 1, LAST, 0], [FIRST, 1, 2, LAST]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch["row"].tolist() == [2, 0] and "n_windows" not in batch


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("n_tokens", [6, 7, 12, 13, 100])
def test_windows_slide_over_all_of_a_text(n_tokens: int, overlap: float) -> None:
    cut = cut_of(truncation="windows", windows=64, overlap=overlap)
    ids = np.arange(n_tokens, dtype=np.int32)
    windows = [cut.window(ids, number)[1:-1].tolist() for number in range(cut.count(n_tokens))]
    assert {token for window in windows for token in window} == set(range(n_tokens))
    assert all(len(window) == 6 for window in windows)
    step = max(np.diff([window[0] for window in windows]), default=0)
    assert step <= round(6 * (1 - overlap)) + 1, "as many as the overlap needs"


def test_no_more_windows_than_asked_for_are_spread_from_head_to_tail() -> None:
    cut = cut_of(truncation="windows", windows=3)
    assert [cut.window(np.arange(100, dtype=np.int32), number)[1:-1].tolist()[0] for number in range(cut.count(100))] == [0, 47, 94]


def test_an_epoch_reads_one_window_of_a_text_at_random_and_prediction_all() -> None:
    rows = rows_of(40, 3, truncation="windows", windows=5)
    seen = {rows[(epoch, 0, 0)][1][0].tolist()[1] for epoch in range(1, 60)}
    assert len(seen) == 5, "each has its turn"
    assert rows[(7, 0, 0)][1][0].tolist() == rows[(7, 0, 0)][1][0].tolist()
    batch = rows.collate([rows[(0, 0, 0)], rows[(0, 1, 0)]])
    assert batch["n_windows"].tolist() == [5, 1] and batch["input_ids"].shape == (6, 8)


def test_lengths_of_texts_are_told_as_they_are_before_a_cut() -> None:
    rows = rows_of(*range(1, 101))
    assert TokenLengths.of(rows.whole_lengths, rows.cut.max_tokens) == TokenLengths(100, 53, 98, 102, 0.94)


class Letters:
    """A tokenizer that numbers letters, and counts what it has encoded."""

    identity = "letters"

    def __init__(self) -> None:
        self.n = 0

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        self.n += len(texts)
        return [[ord(letter) for letter in text] for text in texts]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(token_cache, "N_KEPT", 3)
    monkeypatch.setattr(token_cache, "N_AT_ONCE", 2)
    return ["영화", "", "a\ud800", "ab", "c"]


def assert_right(tokens: Tokens, texts: list[str]) -> None:
    assert [tokens.of(row).tolist() for row in range(len(tokens))] == [[ord(letter) for letter in text] for text in texts]


def test_texts_are_encoded_once_for_all_folds_and_anew_where_something_differs(texts: list[str], tmp_path: Path) -> None:
    letters, said = Letters(), list[tuple[int, int]]()
    for _ in range(2):
        assert_right(tokens_of(texts, letters, tmp_path, lambda *at: said.append(at)), texts)
    assert (letters.n, said) == (5, [(2, 5), (4, 5), (5, 5)])
    assert [entry.what for entry in list_caches(tmp_path)] == ["tokens"]
    for other in (texts[::-1], ["영화a", *texts[1:]], ["", "영화", *texts[2:]]):
        assert_right(tokens_of(other, letters, tmp_path, lambda *at: None), other)
    letters.identity = "others"
    tokens_of(texts, letters, tmp_path, lambda *at: None)
    assert letters.n == 25


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_what_is_damaged_is_made_again(damage: str, texts: list[str], tmp_path: Path) -> None:
    letters = Letters()
    tokens_of(texts, letters, tmp_path, lambda *at: None)
    (path,) = tmp_path.glob(f"*/{FILE}")
    raw = bytearray(path.read_bytes())
    at = bytes(raw).index(np.array([ord("영"), ord("화")], dtype=np.int32).tobytes())
    raw[at] ^= 1
    path.write_bytes({"cut": path.read_bytes()[:-40], "changed": bytes(raw), "empty": b""}[damage])
    assert_right(tokens_of(texts, letters, tmp_path, lambda *at: None), texts)
    assert letters.n == 10


@pytest.mark.parametrize("why", ["few", "learned", "no room", "no folder"])
def test_what_is_not_kept_is_encoded_all_the_same(why: str, texts: list[str], tmp_path: Path) -> None:
    letters = Letters()
    if why == "learned":
        letters.identity = ""
    if why == "no room":
        save_cache_settings(tmp_path, CacheSettings(max_gb=0))
    texts = texts[: 2 if why == "few" else None]
    assert_right(tokens_of(texts, letters, None if why == "no folder" else tmp_path, lambda *at: None), texts)
    assert not list(tmp_path.glob(f"*/{FILE}"))
