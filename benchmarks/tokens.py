"""What tokenizing costs: 150,000 synthetic Korean reviews as long as NSMC's, in the first fold, and in the second one. Prints one JSON document.

    python benchmarks/tokens.py [--rows 150000]

The tokenizer has 32,000 word pieces that are learned from some of them. Exit code 1 where the first fold takes a minute or more, or where the
second one is not ten times as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

MOST_S, LEAST_RATIO = 60.0, 10.0
ENDINGS = ("다", "요", "네요", "습니다", "는데", "고", "지만", "ㅋㅋ", "...", "!!", "음", "듯")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=150_000)
    given = parser.parse_args()
    from core.data.token_cache import tokens_of
    from models.text import PretrainedTokenizer

    texts = reviews(given.rows)
    pieces = word_piece(texts[:30_000])
    took = dict[str, float]()
    with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as scratch:
        for name in ("first_s", "second_s"):
            began = time.perf_counter()
            tokens = tokens_of(texts, PretrainedTokenizer(pieces), Path(scratch), lambda done, total: None)
            took[name] = time.perf_counter() - began
    lengths = tokens.lengths
    report = {
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "rows": len(texts),
        "mean_characters": round(float(np.mean([len(text) for text in texts])), 1),
        "mean_tokens": round(float(lengths.mean()), 1),
        "longest": int(lengths.max()),
        **{name: round(seconds, 2) for name, seconds in took.items()},
    }
    print(json.dumps(report, indent=1))
    return int(took["first_s"] >= MOST_S or took["first_s"] < LEAST_RATIO * took["second_s"])


def reviews(n: int) -> list[str]:
    """Reviews of drawn syllables: 35 characters on average and 140 at the most, as in NSMC, words of one to four syllables with usual endings."""
    rng = np.random.default_rng(0)
    syllables = np.array([chr(0xAC00 + number) for number in range(0, 11_172, 7)])
    words = ["".join(rng.choice(syllables, rng.integers(1, 5))) + str(rng.choice(ENDINGS)) for _ in range(100_000)]
    counts = np.clip(rng.lognormal(1.8, 0.7, n).round().astype(int), 1, 40)
    ranks = (len(words) * rng.random(int(counts.sum())) ** 3).astype(int)  # common words, and a long tail of rare ones
    ends = np.cumsum(counts)
    return [" ".join(words[rank] for rank in ranks[end - count : end])[:140] for end, count in zip(ends, counts, strict=True)]


def word_piece(texts: list[str]) -> Any:
    """A tokenizer such as BERT's for Korean: word pieces, 32,000 of them, learned from some of the texts."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    tokenizer.train_from_iterator(texts, vocab_size=32_000, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, pad_token="[PAD]")


if __name__ == "__main__":
    sys.exit(main())
