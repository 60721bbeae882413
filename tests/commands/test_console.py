"""What a terminal would obey is shown in place of being done, wherever the command line prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.__main__ import main
from core.base.errors import InputError
from core.commands.console import note, print_error, print_json, print_table, say

EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b1A \u202egnp.exe \r 가"


@pytest.mark.parametrize(
    "speak",
    [
        say,
        note,
        print_json,
        lambda text: print_table([text], [[text]], title=text),
        lambda text: print_table(["a"], [], empty=text),
        lambda text: print_error(InputError(text, where=text, why=text, fix=text), as_json=False),
        lambda text: print_error(InputError(text, where=text), as_json=True),
    ],
)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_control_codes_are_shown(
    speak: Callable[[str], Any], is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")  # rich writes no codes of its own
    speak(EVIL)
    printed = "".join(capsys.readouterr())
    assert "가" in printed
    assert not [sign for sign in printed if sign != "\n" and not sign.isprintable()]


def test_json_keeps_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": EVIL})
    assert json.loads(capsys.readouterr().out) == {"name": EVIL}


def test_a_class_name_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"t{number},some words {number},{name}\n" for number, name in enumerate(("\x1b[2J", "b") * 4))
    (tmp_path / "train.csv").write_text("id,text,label\n" + rows, encoding="utf-8")
    assert main(["contest", "add", str(tmp_path), "--dry-run", "-w", str(tmp_path / "w")]) == 0
    printed = "".join(capsys.readouterr())
    assert "\\x1b[2J" in printed and "\x1b" not in printed


def test_a_name_is_printed_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich would read marks, links and codes of emoji in it, or fail."""
    name = "[/bold] :warning: [red]x[/red] [link=http://evil.example]y[/link]"
    print_table([name, f">{name}"], [[name, name]], title=name)
    say(name)
    note(name)
    said = capsys.readouterr()
    assert said.out.count(name) == 6 and said.err.strip() == name
