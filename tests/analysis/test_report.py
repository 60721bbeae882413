"""Reports are safe in a spreadsheet."""

from __future__ import annotations

import io

import pandas as pd

from core.analysis.report import report_csv


def test_cells_that_look_like_formulas_are_made_harmless_and_numbers_stay() -> None:
    frame = pd.DataFrame({"=class": ["=1+1", "@cmd", "-a", "개", None], "recall": [-0.5, 0.25, 1, 0, 0]})
    data = report_csv(frame)
    assert data.startswith(b"\xef\xbb\xbf")
    back = pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", keep_default_na=False, dtype=str)
    assert list(back.columns) == ["'=class", "recall"]
    assert back.iloc[:, 0].tolist() == ["'=1+1", "'@cmd", "'-a", "개", ""]
    assert back["recall"].tolist() == ["-0.5", "0.25", "1.0", "0.0", "0.0"]
