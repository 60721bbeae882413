"""The script that checks training on a card: what it says without one, and that it needs no more than training needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("gpu.py")
ABSENT = (
    "sqlalchemy",
    "alembic",
    "streamlit",
    "pandas",
    "pyarrow",
    "sklearn",
    "scipy",
    "plotly",
    "typer",
    "rich",
    "tensorboard",
    "charset_normalizer",
)
"""Packages of ours that another Python may not have."""


def checked(folder: Path, *options: str) -> tuple[int, dict[str, object], str]:
    """Exit code, document and messages of the script, in a Python that lacks `ABSENT`."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, str(SCRIPT), *options], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so(tmp_path: Path) -> None:
    code, report, said = checked(tmp_path)
    assert (code, report["ok"], report["checked"]) == (3, False, 0)
    assert "no CUDA card" in str(report["error"]) and str(report["error"]) in said


@pytest.mark.slow
def test_what_needs_no_card_holds_on_the_processor(tmp_path: Path) -> None:
    code, report, said = checked(tmp_path, "--device", "cpu", "--only", "precisions", "channels_last", "resume")
    assert code == 0, said + json.dumps(report, indent=2)
    assert report["ok"] and report["checked"] == 3
