"""The vocabulary that is learned for a small text network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.text import TrainedTokenizer, train_tokenizer

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
