"""What a person starts while the disk is full ends in one typed error and leaves nothing half written; the engine comes up all the same."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.__main__ import main
from core.jobs.engine import Engine, holder_of
from core.workspace import Workspace
from tests.finished_workspace import finish_headlines

COMMANDS = {
    "contest add": "contest add {more} --name more",
    "sample": "sample digits",
    "folds make": "folds make headlines --n 4",
    "train --queue": "train headlines --recipe {recipe} --queue",
    "blend": "blend headlines one two --name mix",
    "submit": "submit one -o {here}/file.csv",
    "predictions import": "predictions import headlines {oof} {test}",
    "predictions export": "predictions export one --oof {here}/one.csv",
    "queue pause": "queue pause",
}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond some bytes, which is how a used up quota looks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def words(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> dict[str, Path]:
    """What the commands are given: a contest with two runs is in the workspace, another is not yet."""
    finish_headlines(workspace, write_headlines(tmp_path / "headlines"), {"one": 2.0, "two": 3.0})
    given = {name: tmp_path / f"{name}.csv" for name in ("oof", "test", "recipe")}
    given["recipe"].write_text("name: tiny\nmodality: text\nmodel: {backbone: tiny_transformer, pretrained: false}\n", encoding="utf-8")
    assert (
        main(["--workspace", str(workspace.root), "predictions", "export", "one", "--oof", str(given["oof"]), "--test", str(given["test"])])
        == 0
    )
    return {**given, "more": write_headlines(tmp_path / "more"), "here": tmp_path / "here"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_full_disk_says_so_and_leaves_nothing(
    command: str, words: dict[str, Path], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words["here"].mkdir()
    before = {path for path in (*workspace.root.rglob("*"), *words["here"].rglob("*")) if path.is_file()}
    capsys.readouterr()
    with full_disk():
        code = main(["--workspace", str(workspace.root), *COMMANDS[command].format(**words).split(), "--json"])
    said = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert (code, said["type"]) == (2, "DiskFull"), said
    assert "make space" in said["fix"]
    assert {path for path in (*workspace.root.rglob("*"), *words["here"].rglob("*")) if path.is_file()} == before


def test_an_engine_comes_up_on_a_full_disk_and_is_the_only_one(workspace: Workspace) -> None:
    """Also where the file of its lock is new and its reserve is spent; who holds it is then not known."""
    assert workspace.store
    first, second = Engine(workspace, ("cpu",)), Engine(workspace, ("cpu",))
    try:
        with full_disk():
            assert first.start() and first.status().held_by == "another process" and holder_of(workspace.engine_lock_path) is None
            assert not second.start()
    finally:
        second.stop()
        first.stop()
