"""Masked rows of texts: which tokens are to be filled in, and what that depends on."""

from __future__ import annotations

import numpy as np
import torch

from core.data.masking import NOT_ASKED, MaskedRows, Masking
from core.data.texts import TextRows
from core.data.tokens import Cut, Tokens
from core.specs.data_settings import InputSettings

CLS, SEP, MASK = 2, 3, 4
MASKING = Masking(MASK, (0, 1, CLS, SEP, MASK), 100)


def rows_of(*lengths: int, seed: int = 0, **limits: object) -> MaskedRows:
    """Texts of so many tokens each, their ids from 5 to 99."""
    ids = np.random.default_rng(1).integers(5, 100, sum(lengths)).astype(np.int32)
    cut = Cut.made(InputSettings.model_validate({"max_tokens": 64, **limits}), [CLS], [SEP])
    return MaskedRows(TextRows(Tokens(ids, np.cumsum(lengths)), cut, pad_id=0, seed=seed), MASKING)


def test_a_share_of_the_words_is_asked_and_most_of_it_masked() -> None:
    ids = np.random.default_rng(0).integers(5, 100, 40_000).astype(np.int32)
    ids[::10] = SEP  # a token of its own inside a text
    seen, labels = MASKING.of(ids, np.random.default_rng(0))
    asked = labels != NOT_ASKED
    assert asked.sum() == round(0.15 * 36_000) and not asked[::10].any()
    assert (labels[asked] == ids[asked]).all() and (seen[~asked] == ids[~asked]).all()
    shares = ((seen == MASK)[asked].mean(), (seen == ids)[asked].mean())
    assert np.allclose(shares, (0.8, 0.1), atol=0.02)


def test_what_is_masked_depends_on_seed_epoch_and_row_alone() -> None:
    rows = rows_of(20, 30, 1, 12)
    alone, together = rows.collate([rows[3, 1, 0]]), rows.collate([rows[3, 1, 0], rows[3, 0, 0]])
    assert torch.equal(alone["labels"][0], together["labels"][0]) and torch.equal(alone["input_ids"][0], together["input_ids"][0])
    assert together["labels"].shape == together["input_ids"].shape and (together["labels"][1, 22:] == NOT_ASKED).all()
    other_epoch, other_seed = rows[4, 1, 0], rows_of(20, 30, 1, 12, seed=1)[3, 1, 0]
    for _, ((_, labels),) in (other_epoch, other_seed):
        assert labels.tolist() != alone["labels"][0].tolist()
    assert (rows[5, 2, 0][1][0][1] != NOT_ASKED).sum() == 1  # a text of one token is asked for it


def test_of_a_long_text_an_epoch_masks_one_window_and_epoch_0_all() -> None:
    rows = rows_of(50, max_tokens=12, truncation="windows", windows=8)
    assert {len(rows[epoch, 0, 0][1]) for epoch in range(1, 5)} == {1} and len(rows[0, 0, 0][1]) > 4
    batch = rows.collate([rows[0, 0, 0]])
    assert batch["labels"].shape == batch["input_ids"].shape and len(batch["n_windows"]) == 1
