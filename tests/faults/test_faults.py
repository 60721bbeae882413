"""Every fault script with a small n, and with its bug planted, which it must see: a test of the test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.__main__ import FAULTS

ROOT = Path(__file__).parents[2]
SMALL = {
    "kill_worker": 2,
    "kill_writer": 12,
    "stop_anywhere": 4,
    "missing_pieces": 30,
    "kill_trash": 12,
    "disk_full": 4,
    "out_of_memory": 3,
    "lost_workers": 25,
    "frozen_worker": 20,
    "reused_pid": 10,
    "two_servers": 3,
    "kill_server": 3,
    "damaged_files": 120,
    "malformed_inputs": 12,
    "hard_inputs": 18,
    "generated_inputs": 800,
    "paths_outside": 18,
    "hidden_pickles": 9,
}
PLANTED = {
    "kill_worker": 1,
    "kill_writer": 12,
    "stop_anywhere": 2,
    "missing_pieces": 1,
    "kill_trash": 60,
    "disk_full": 1,
    "out_of_memory": 1,
    "lost_workers": 40,
    "frozen_worker": 5,
    "reused_pid": 5,
    "two_servers": 1,
    "kill_server": 1,
    "damaged_files": 36,
    "malformed_inputs": 9,
    "hard_inputs": 9,
    "generated_inputs": 1200,
    "paths_outside": 9,
    "hidden_pickles": 45,
}


def outcome_of(name: str, n: int, *options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", f"tests.faults.{name}", "--n", str(n), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_every_script_has_its_small_n() -> None:
    assert set(FAULTS.values()) == set(SMALL) == set(PLANTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_fault_is_survived(name: str) -> None:
    code, outcome = outcome_of(name, SMALL[name])
    assert (code, outcome["n"], outcome["bad"], outcome["lost"]) == (0, SMALL[name], 0, 0), outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_bug_is_seen(name: str) -> None:
    code, outcome = outcome_of(name, PLANTED[name], "--mutant")
    assert code == 1 and outcome["bad"] + outcome["lost"] > 0, outcome


@pytest.mark.slow
def test_the_planted_bug_is_seen_in_the_rows_of_the_database_too() -> None:
    code, outcome = outcome_of("damaged_files", 600, "--mutant", "--only", "database")
    assert code == 1 and outcome["bad"] > 0, outcome
