"""Fixtures for every room: a workspace of one's own, and two CPU threads at most."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.workspace import ENV_VARIABLE, Workspace, open_workspace

# Before torch is loaded anywhere, workers included: the tests share two cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(autouse=True)
def _no_workspace_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may open the workspace of the person who runs it."""
    monkeypatch.delenv(ENV_VARIABLE, raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace in a temporary folder."""
    return open_workspace(tmp_path / "workspace")
