"""What holds for every command: help, one typed error, the workspace, the engine, and the pages of documentation that list them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_group

from core.__main__ import COMMANDS, main
from core.commands.settings import settings_page
from core.jobs.engine import EngineLock
from tests.commands.conftest import Terminal

ROOT = Path(__file__).parents[2]


def test_help_comes_in_the_order_of_the_flow_and_quickly() -> None:
    done = subprocess.run([sys.executable, "-m", "core", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = done.stdout.split("Commands:")[1]
    assert [line.split()[0] for line in commands.splitlines() if line.startswith("  ") and line.split()[0] in COMMANDS] == list(COMMANDS)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["contest"], ["folds"]])
def test_a_group_without_a_command_shows_its_help(terminal: Terminal, arguments: list[str]) -> None:
    code, out, err = terminal.run(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage:")


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (["nope"], "InputError", "nope"),
        (["runs"], "InputError", "CONTEST"),
        (["contest", "list", "--colour"], "InputError", "--colour"),
        (["folds", "make", "x", "--n", "many"], "InputError", "--n"),
        (["runs", "x"], "NotFoundError", "x"),
        (["show", "r9"], "NotFoundError", "r9"),
        (["sample", "nope"], "NotFoundError", "nope"),
        (["submit", "b1", "-o", "x.csv"], "NotFoundError", "b1"),
        (["contest", "add", "/no/such/folder"], "InputError", "/no/such/folder"),
    ],
)
def test_whatever_is_wrong_is_one_typed_error_and_exit_code_2(terminal: Terminal, arguments: list[str], kind: str, says: str) -> None:
    error = terminal.refused(*arguments)
    assert error["type"] == kind
    assert says in error["what"] + error["where"]
    assert error["fix"]
    code, out, err = terminal.run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"{kind}: ") and err.count("Error: ") == 1


def test_a_second_engine_is_refused_and_names_the_first(terminal: Terminal) -> None:
    lock = EngineLock(terminal.workspace.engine_lock_path, "the workbench")
    assert lock.acquire(now=0.0)
    try:
        code, _, err = terminal.run("engine", "--drain")
    finally:
        lock.release()
    assert code == 2 and err.startswith("StateError") and "the workbench" in err


def test_an_engine_with_an_empty_queue_drains_at_once(terminal: Terminal) -> None:
    code, out, _ = terminal.run("engine", "--drain")
    assert (code, out) == (0, "")


def test_the_workspace_option_stands_before_or_behind(terminal: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.read("sample", "news")
    assert main(["contest", "list", "--json", "--workspace", str(terminal.workspace.root)]) == 0
    assert [each["contest"] for each in json.loads(capsys.readouterr().out)] == ["news"]
    assert main(["contest", "list", "--json", "--workspace", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page(), "run `make docs`"


def test_every_setting_is_explained() -> None:
    from core.commands.settings import all_settings

    assert [row["setting"] for _, _, rows in all_settings() for row in rows if not row["meaning"]] == []


def test_every_command_stands_in_the_page_of_the_command_line() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    made = {name: place for place, _ in COMMANDS.values() for name in get_group(import_module(f"core.commands.{place}").app).commands}
    assert made == {name: place for name, (place, _) in COMMANDS.items()}
    assert [name for name in COMMANDS if f"| `{name}" not in page] == []


def test_every_preset_that_the_documents_name_exists() -> None:
    from core.recipes.plan import load_preset

    named = {
        name
        for page in ("README.md", "docs/cli.md")
        for name in re.findall(r"--recipe ([\w.-]+)", (ROOT / page).read_text(encoding="utf-8"))
    }
    named -= {"NAME", "suggested"}
    assert named and all(load_preset(name) for name in named)
