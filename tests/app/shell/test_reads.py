"""What a rerun reads: the engine's status once, and no fold that this process has read before."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.engine import Engine, EngineStatus
from core.store.runs import Run

OpenPage = Callable[..., AppTest]
PAGES = ("home", "data", "folds", "train", "runs", "ensemble", "errors", "submit")
OPENED: list[str] | None = None


def record(event: str, arguments: tuple[Any, ...]) -> None:
    """Keep the paths of opened files while a test asks for it: an audit hook cannot be removed."""
    if OPENED is not None and event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(record)


@pytest.fixture
def files_read() -> Any:
    """The paths of all files that this process has opened since."""
    global OPENED
    OPENED = []
    yield OPENED
    OPENED = None


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
    assert len(reads) == 2, "the next rerun sees what happened since"


@pytest.mark.parametrize("page", ["train", "errors", "folds"])
def test_reruns_read_no_fold_from_disk_twice(open_page: OpenPage, done: tuple[Run, ...], files_read: list[str], page: str) -> None:
    def reads() -> int:
        return sum("/folds-" in path and path.endswith(".npy") for path in files_read)

    at = open_page(page)
    assert not at.exception
    assert reads() >= 1
    first = reads()
    for _ in range(2):
        assert not at.run().exception
    assert reads() == first
