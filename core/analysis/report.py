"""Tables that leave the house as CSV: readable in a spreadsheet, Hangul included, and never run as a formula there."""

from __future__ import annotations

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def report_csv(frame: pd.DataFrame) -> bytes:
    """A report as CSV with a byte-order mark; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = [_harmless(value) for value in safe[column]]
    safe.columns = [_harmless(name) for name in safe.columns]
    return safe.to_csv(index=False, lineterminator="\n").encode("utf-8-sig")


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
