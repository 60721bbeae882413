"""The reduced images on the command line: listed, bounded, cleared."""

from __future__ import annotations

from pathlib import Path

from core.data.cache_space import USED
from tests.commands.conftest import Terminal


def put(root: Path, name: str, at: float) -> None:
    (root / name).mkdir(parents=True)
    (root / name / USED).touch()
    (root / name / "00000.pixels").write_bytes(bytes(600_000))


def test_they_are_listed_bounded_and_cleared(terminal: Terminal) -> None:
    assert "nothing is kept" in terminal.run("cache")[1]
    root = terminal.workspace.cache_dir
    for at, what in enumerate(("256", "tokens")):
        put(root, f"abc-{what}", at)
    assert [record["what"] for record in terminal.read("cache")] == ["256", "tokens"]
    assert "images of 256 px" in terminal.run("cache")[1] and "tokens of texts" in terminal.run("cache")[1]
    code, said, _ = terminal.run("cache", "--max-gb", "0.001")
    assert code == 0 and "600 kB removed; 600 kB of at most 1.0 MB" in said
    assert "of at most 1.0 MB" in terminal.run("cache")[1]
    assert "600 kB removed" in terminal.run("cache", "--clear")[1] and terminal.read("cache") == []
    assert terminal.refused("cache", "--max-gb", "-1")["fix"]
