"""Words of a training text changed at random: some left out, pairs swapped, punctuation marks put between them. Imports no torch."""

import random
import re

from core.specs.data_settings import AugmentSettings

MARKS = (".", ";", "?", ":", "!", ",")
"""What AEDA puts between words."""
FIXED = re.compile(r"\[[^\[\]\s]+\]|<[^<>\s]+>")
"""A token that tokenizers and templates name, such as [SEP] or </s>: a word that holds one stays where it is."""


def edit_words(text: str, settings: AugmentSettings, rng: random.Random) -> str:
    """A text as an epoch reads it. What stands between its words, which are what white space divides, stays.

    Each kind changes its share of the texts. Random deletion leaves out each word with the probability `word_share`, but never all of them; random
    swap exchanges as many pairs as that is of the words, at least one (EDA, Wei and Zou 2019, arXiv 1901.11196). AEDA puts from 1 up to a third of
    the number of words as marks before words drawn at random (Karimi et al. 2021, arXiv 2108.13230).
    """
    deletes, swaps, marks = (rng.random() < share for share in (settings.word_deletion, settings.word_swap, settings.aeda))
    words, spaces = re.findall(r"\S+", text), re.findall(r"\s+", text.strip())
    if len(words) < 2 or not (deletes or swaps or marks):
        return text
    free = [place for place, word in enumerate(words) if not FIXED.search(word)]
    if deletes and free:
        out = {place for place in free if rng.random() < settings.word_share}
        out -= {rng.choice(free)} if len(out) == len(words) else set()
        kept = [place for place in range(len(words)) if place not in out]
        spaces = [spaces[place - 1] for place in kept[1:]]
        words = [words[place] for place in kept]
        free = [place for place, word in enumerate(words) if not FIXED.search(word)]
    if swaps and len(free) > 1:
        for _ in range(max(1, round(settings.word_share * len(words)))):
            one, other = rng.sample(free, 2)
            words[one], words[other] = words[other], words[one]
    if marks:
        for place in rng.sample(range(len(words)), rng.randint(1, max(1, len(words) // 3))):
            words[place] = f"{rng.choice(MARKS)} {words[place]}"
    return "".join(part for pair in zip(words, [*spaces, ""], strict=True) for part in pair)
