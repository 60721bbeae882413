"""What a rerun reads: the engine's status once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.engine import Engine, EngineStatus
from core.store.runs import Run

OpenPage = Callable[..., AppTest]
PAGES = ("home", "data", "folds", "train", "runs", "ensemble", "errors", "submit")


@pytest.mark.parametrize("page", PAGES)
def test_a_rerun_reads_the_status_of_the_engine_once(
    open_page: OpenPage, done: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    at = open_page(page)
    read, reads = Engine.status, []

    def status(engine: Engine) -> EngineStatus:
        reads.append(engine)
        return read(engine)

    monkeypatch.setattr(Engine, "status", status)
    assert not at.run().exception
    assert len(reads) == 1
    assert not at.run().exception
    assert len(reads) == 2, "what happened since is seen by the next rerun"
