"""`tensorboard` as a person calls it: it serves until Ctrl-C, and then ends well."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from core.__main__ import main
from core.workspace import Workspace

ROOT = Path(__file__).parents[2]


def test_the_command_can_be_had_without_running_it(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tensorboard", "--command", "--workspace", str(workspace.root)]) == 0
    assert capsys.readouterr().out.strip().endswith(f"-m tensorboard.main --logdir {workspace.events_dir}")


@pytest.mark.slow
def test_it_serves_until_it_is_interrupted(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "core", "tensorboard", "--workspace", str(workspace.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
            assert process.returncode == 0 and "stopped" in said
        finally:
            process.kill()
