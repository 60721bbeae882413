"""Fixtures for every room: a workspace of one's own, a small contest of texts, and two CPU threads at most."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.workspace import ENV_VARIABLE, Workspace, open_workspace

# Before torch is loaded anywhere, workers included: the tests share two cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait sleep; beside other tests spinning ones took many times as long

# Where the suite is started with interrupts ignored (nohup, some CI runners), every child would inherit that and never hear one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SUBJECTS = {"politik": ("minister", "parliament", "vote", "election"), "스포츠": ("goal", "match", "striker", "league")}
VERBS = ("wins", "loses", "delays", "praises", "opens", "leaves")


@pytest.fixture(autouse=True)
def _no_workspace_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may open the workspace of the person who runs it."""
    monkeypatch.delenv(ENV_VARIABLE, raising=False)


@pytest.fixture(autouse=True)
def _main_module_stays() -> Iterator[None]:
    """Streamlit makes the script of an `AppTest` the module `__main__`, which every process that is started later would run first."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace in a temporary folder."""
    return open_workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def write_headlines() -> Callable[[Path], Path]:
    """A function that fills a folder with a contest of texts: 48 training rows, 12 test rows, two classes, one in Hangul."""
    return write_headlines_to


def write_headlines_to(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    train, test, sample = ["id,text,label"], ["id,text"], ["id,label"]
    for number in range(60):
        label = list(SUBJECTS)[number % 2]
        text = f"{SUBJECTS[label][number // 2 % 4]} {VERBS[number // 8 % 6]} again, day {number}"
        if number < 48:
            train.append(f'h{number},"{text}",{label}')
        else:
            test.append(f'h{number},"{text}"')
            sample.append(f"h{number},politik")
    for name, lines in (("train.csv", train), ("test.csv", test), ("sample_submission.csv", sample)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
