"""The vocabulary that is learned for a small text network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.tokens import Cut
from core.specs.data_settings import InputSettings
from models.text import PretrainedTokenizer, TrainedTokenizer, train_tokenizer

ROOT = Path(__file__).parents[2]
TEXTS = [
    f"{who} {does} {what} {number}"
    for number, who in enumerate(("Ministers", "선수들", "Banks"))
    for does in ("praise", "이긴다", "delay")
    for what in ("vote", "경기", "rates")
]
PROGRAM = f"""
import hashlib
from models.text import train_tokenizer
print(hashlib.sha256(train_tokenizer({TEXTS!r}).to_str().encode()).hexdigest())
"""


@pytest.mark.slow
def test_equal_texts_give_the_same_vocabulary_in_every_process() -> None:
    seen = {subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(3)}
    assert len(seen) == 1


def test_every_character_of_the_texts_is_known_and_case_is_not_told_apart() -> None:
    tokenizer = TrainedTokenizer(train_tokenizer(TEXTS))
    unknown = tokenizer.encode(["\u2603"])[0]
    known = tokenizer.encode(["선수들 경기 rates", "MINISTERS"])
    assert not set(unknown) & {token for tokens in known for token in tokens}
    assert tokenizer.encode(["ministers"]) == known[1:]


@pytest.mark.parametrize("template", ["[CLS] $A [SEP]", "$A [SEP]", "[CLS] $A", "$A"])
@pytest.mark.parametrize("is_limited", [True, False])
def test_what_is_read_is_what_transformers_reads(template: str, is_limited: bool) -> None:
    """Special tokens on either side, and a file that says to cut and to pad by itself, as sentence-transformers' do."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    made = train_tokenizer(TEXTS)
    made.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]") if token in template]
    )
    if is_limited:
        made.enable_truncation(4)
        made.enable_padding(length=12)
    theirs = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]")
    ours = PretrainedTokenizer(theirs)
    cut = Cut.made(InputSettings(max_tokens=8), *ours.ends)
    texts = ["", "vote", *(" ".join(TEXTS[:n]) for n in (1, 2, 6))]
    read = [cut.window(np.array(ids, dtype=np.int32)).tolist() for ids in ours.encode(texts)]
    assert read == theirs(texts, truncation=True, max_length=8)["input_ids"]
    assert ours.identity == PretrainedTokenizer(theirs).identity
