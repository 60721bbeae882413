"""The end of a log that may be growing: read without loading the whole file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LogTail:
    """The last lines of a log, and how long the log was when it was read."""

    text: str
    n_bytes: int
    is_cut: bool


def read_tail(path: Path, *, max_bytes: int = 64_000) -> LogTail:
    """The last `max_bytes` of a text file, from the start of a line on; a file that is not there is empty."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - max_bytes))
            raw = stream.read()
    except FileNotFoundError:
        return LogTail("", 0, is_cut=False)
    is_cut = size > max_bytes
    if is_cut:
        raw = raw[raw.find(b"\n") + 1 :]
    return LogTail(raw.decode("utf-8", errors="replace"), size, is_cut)
