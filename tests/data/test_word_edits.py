"""AEDA, random deletion and random swap: what they change, what they never do, and that it derives from (seed, fold, epoch, row) alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.batches import RowLoader
from core.data.word_edits import MARKS, edit_words
from core.specs.data_settings import AugmentSettings
from core.training.schedule import plan_fold
from core.training.setup import set_up
from core.training.step import cut_steps, order_rows
from tests.training.small_tasks import TEXT, make_task, recipe_of

TEXTS = ("one two  three\nfour five six seven [SEP] eight nine ten", "영화가 정말 재미있었다 다시 보고 싶다", "alone", "", "  two words ")


def edited(text: str, **settings: Any) -> list[str]:
    return [edit_words(text, AugmentSettings(**settings), random.Random(seed)) for seed in range(200)]


@pytest.mark.parametrize("text", TEXTS)
def test_aeda_adds_marks_and_nothing_else(text: str) -> None:
    words = text.split()
    for found in edited(text, aeda=1.0):
        assert [word for word in found.split() if word not in MARKS] == words
        n_marks = len(found.split()) - len(words)
        assert (n_marks == 0) if len(words) < 2 else 1 <= n_marks <= max(1, len(words) // 3)


@pytest.mark.parametrize("text", TEXTS)
def test_deletion_leaves_a_part_of_the_words_in_their_order_and_never_none(text: str) -> None:
    words, n_left = text.split(), 0
    for found in edited(text, word_deletion=1.0, word_share=0.3):
        left = found.split()
        rest = iter(words)
        assert all(word in rest for word in left), "in their order"
        assert bool(left) == bool(words) and left.count("[SEP]") == words.count("[SEP]")
        n_left += len(left)
    if len(words) > 3:
        free = len(words) - words.count("[SEP]")
        assert n_left / 200 == pytest.approx(len(words) - 0.3 * free, rel=0.1)


@pytest.mark.parametrize("text", TEXTS)
def test_swap_moves_words_but_no_special_token(text: str) -> None:
    words, is_moved = text.split(), False
    for found in edited(text, word_swap=1.0):
        assert sorted(found.split()) == sorted(words)
        assert [place for place, word in enumerate(found.split()) if word == "[SEP]"] == [
            place for place, word in enumerate(words) if word == "[SEP]"
        ]
        n_other = sum(one != other for one, other in zip(found.split(), words, strict=True))
        assert n_other in (0, 2), "one pair of ten words or fewer"
        is_moved |= n_other > 0
    assert is_moved == (len(words) > 1)


def test_each_kind_changes_its_share_of_the_texts() -> None:
    assert set(edited(TEXTS[0])) == {TEXTS[0]}
    n_changed = sum(found != TEXTS[0] for found in edited(TEXTS[0], aeda=0.3))
    assert n_changed / 200 == pytest.approx(0.3, abs=0.1)


def test_words_that_stand_in_entity_markers_are_not_moved() -> None:
    entities = {"markers": "special", "marked_column": "sentence", "entity_columns": ("subject", "object")}
    with pytest.raises(ValueError, match="entity markers"):
        recipe_of(TEXT, input=entities, augment={"word_swap": 0.1})
    recipe_of(TEXT, input=entities, augment={"aeda": 0.1})


def test_training_reads_edited_texts_the_same_in_any_process_and_validation_never_does(tmp_path: Path) -> None:
    setup = set_up(make_task(tmp_path, recipe_of(TEXT, augment={"aeda": 1.0, "word_swap": 0.5})))
    plain = set_up(make_task(tmp_path, recipe_of(TEXT)))
    rows = np.arange(8)

    def ids(loader: RowLoader, epoch: int) -> list[list[int]]:
        batch = next(loader.load(epoch, [rows]))
        return [own[: int(mask.sum())].tolist() for own, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]

    assert ids(setup.loader, 0) == ids(plain.loader, 0) == ids(plain.loader, 1), "as they are"
    first = ids(setup.loader, 1)
    assert first == ids(setup.loader, 1) != ids(setup.loader, 2), "anew in each epoch"
    assert all(len(one) > len(other) for one, other in zip(first, ids(plain.loader, 1), strict=True)), "with marks"
    batches = [next(setup.loader.load(1, [part])) for part in (rows[:4], rows[4:])]
    parts = [
        own[: int(mask.sum())].tolist() for batch in batches for own, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert parts == first, "whatever the batches"


@pytest.mark.parametrize("word_rows", ["all", "rare", "repeats"])
def test_the_words_of_rare_classes_or_of_repeats_alone_are_changed_as_often_as_the_plan_says(word_rows: str, tmp_path: Path) -> None:
    counts = [4, 40, 11]  # of 11, 11 and 10 training rows
    recipe = recipe_of(TEXT, augment={"aeda": 1.0, "word_rows": word_rows}, sampling={"kind": "counts", "counts": counts})
    task = make_task(tmp_path, recipe)
    setup, n_changed = set_up(task), np.zeros(3)
    plain = set_up(make_task(tmp_path, recipe_of(TEXT))).loader.rows
    own = {row: plain[0, row, 0][1][0].tolist() for row in range(len(task.inputs))}
    first: set[int] = set()
    for batch in setup.loader.load(1, cut_steps(task, order_rows(task, 1, np.ones(len(task.inputs), dtype=np.int64)))):
        for row, ids, mask in zip(batch["row"].tolist(), batch["input_ids"], batch["attention_mask"], strict=True):
            is_changed = ids[: int(mask.sum())].tolist() != own[row]
            n_changed[task.labels[row]] += is_changed
            assert not (is_changed and word_rows == "repeats" and row not in first), "a row is read once as it is"
            first.add(row)
    sizes = np.bincount(task.labels[task.train_idx])
    expected = {"all": counts, "rare": [n if n > size else 0 for n, size in zip(counts, sizes, strict=True)]}
    expected["repeats"] = [max(0, n - int(size)) for n, size in zip(counts, sizes, strict=True)]
    assert n_changed.tolist() == expected[word_rows]
    assert plan_fold(recipe, task.labels[task.train_idx], 0, 3).edited_rows.tolist() == expected[word_rows]


def test_without_a_sampler_no_row_is_repeated() -> None:
    with pytest.raises(ValueError, match=r"word_rows"):
        recipe_of(TEXT, augment={"aeda": 1.0, "word_rows": "rare"})
