"""The preview of a batch of texts shows what the first step of an epoch trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.base.errors import WeightsError
from core.data.batches import RowLoader
from core.training.network import build_network
from core.training.setup import make_targets
from core.training.step import cut_steps, order_rows, put_together
from core.training.text_preview import load_tokenizer, read_texts
from tests.training.small_tasks import TEXT, make_task, recipe_of

BALANCED = {"sampling": {"kind": "counts", "counts": [2, 40, 2]}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": {"mixup": 0.4}},
        {"augment": {"aeda": 0.5, "word_deletion": 0.5}, "input": {"max_tokens": 8, "truncation": "windows"}},
        {"augment": {"aeda": 1.0, "word_rows": "repeats"}, "train": {"batch_size": 44}, **BALANCED},
        {"augment": {"word_swap": 1.0}, "train": {"group_by_length": True}},
    ],
    ids=["plain", "mixed", "windows", "repeats", "by length"],
)
@pytest.mark.parametrize("epoch", [1, 2])
def test_it_shows_the_rows_of_a_step(changes: dict[str, Any], epoch: int, tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT, **changes), row_weights=np.linspace(0.5, 1, 48, dtype=np.float32))
    _, rows, _ = build_network(task)
    step = cut_steps(task, order_rows(task, epoch, rows.lengths))[0]
    (part,) = put_together(task, make_targets(task), list(RowLoader(rows, workers=0).load(epoch, [step])), epoch, 1)
    tokenizer = load_tokenizer(task)
    seen = read_texts(task, tokenizer, epoch, 7)
    assert [each.row for each in seen] == step[:7].tolist()
    assert np.allclose([each.weight for each in seen], part.weights[:7]) and np.allclose([each.target for each in seen], part.targets[:7])
    is_mixed = "mixed_ids" in part.inputs
    for place, each in enumerate(seen):
        assert each.mixed_with == (int(step[place - 1]) if is_mixed else -1)
        assert each.before == task.inputs[each.row] and 0 <= each.window < each.n_windows
        if not is_mixed:
            ids = part.inputs["input_ids"][place][part.inputs["attention_mask"][place] > 0]
            assert each.pieces == tokenizer.pieces(ids.tolist())
    if changes.get("augment", {}).get("word_rows"):
        assert any(each.before != each.after for each in read_texts(task, tokenizer, epoch, 44))


def test_a_tokenizer_that_is_not_here_is_said_and_is_no_bug(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, model={"backbone": "klue/roberta-large", "pretrained": True})
    with pytest.raises(WeightsError, match="are not here"):
        load_tokenizer(make_task(tmp_path, recipe))
