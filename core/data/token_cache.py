"""Texts into tokens, once for all folds, epochs and runs: kept on the disk beside the reduced images, by the texts and the tokenizer. Imports no torch.

Few texts are encoded faster than a file is looked for, and a vocabulary that a fold has learned is no other fold's: neither is kept.
"""

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np

from core.base.files import fingerprint, written_aside
from core.data.cache_space import TOKENS, hold, make_room
from core.data.tokens import Tokens

LAYOUT = 1
N_AT_ONCE = 1000
"""Texts between two reports."""
N_KEPT = 5_000
"""The least texts that are kept."""
FILE = "tokens.npz"

Progress = Callable[[int, int], object]
"""Hears of (done, total) texts, and may raise to stop."""

log = logging.getLogger(__name__)


class Encoder(Protocol):
    """A tokenizer; `identity` is "" where no other fold has its vocabulary, else equal for tokenizers that give equal ids."""

    @property
    def identity(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]: ...


def tokens_of(texts: Sequence[str], encoder: Encoder, root: Path | None, progress: Progress) -> Tokens:
    """The tokens of texts, from the cache in `root` where they are there, else encoded, and kept there where there is room.

    What is kept is compared with its checksum each time it is read. Raises DiskFull.
    """
    if root is None or not encoder.identity or len(texts) < N_KEPT:
        return _encoded(texts, encoder, progress)
    folder = root / f"{_key(texts, encoder)[:20]}-{TOKENS}"
    descriptor = hold(folder)
    try:
        found = _read(folder / FILE, len(texts))
        if found is None:
            found = _encoded(texts, encoder, progress)
            if make_room(root, found.ids.nbytes + found.ends.nbytes, keep=folder):
                with written_aside(folder / FILE) as aside, aside.open("wb") as stream:
                    np.savez(stream, ids=found.ids, ends=found.ends)
            else:
                log.warning("the tokens of %d texts are not kept: the cache has no room for them", len(texts))
        return found
    finally:
        os.close(descriptor)


def _key(texts: Sequence[str], encoder: Encoder) -> str:
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8))
        digest.update(raw)
    how = {"layout": LAYOUT, "tokenizers": version("tokenizers"), "tokenizer": encoder.identity}
    return fingerprint({**how, "texts": digest.hexdigest()})


def _read(path: Path, n_texts: int) -> Tokens | None:
    """What is kept in a file; None where it is not there, or damaged: numpy reads the checksum of each array in it."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            found = Tokens(file["ids"], file["ends"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        log.warning("%s is made again: %s", path, problem)
        return None
    is_whole = len(found) == n_texts and found.ids.dtype == np.int32 and (found.ends[-1:] == len(found.ids)).all()
    return found if is_whole else None


def _encoded(texts: Sequence[str], encoder: Encoder, progress: Progress) -> Tokens:
    ids, lengths = list[np.ndarray](), list[int]()
    for start in range(0, len(texts), N_AT_ONCE):
        found = encoder.encode(texts[start : start + N_AT_ONCE])
        lengths += map(len, found)
        ids.append(np.fromiter((token for text in found for token in text), dtype=np.int32, count=sum(map(len, found))))
        progress(min(start + N_AT_ONCE, len(texts)), len(texts))
    return Tokens(np.concatenate([np.empty(0, dtype=np.int32), *ids]), np.cumsum(lengths, dtype=np.int64))
