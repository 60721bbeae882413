"""Every fault script with a small n, and with its bug planted, which it must see: a test of the test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.__main__ import scripts

ROOT = Path(__file__).parents[2]
SMALL = {
    "a1": 2,
    "a2": 12,
    "a3": 4,
    "a4": 30,
    "c1": 4,
    "d2": 3,
    "b1": 25,
    "b3": 20,
    "b5": 10,
    "b6": 3,
    "b7": 3,
    "c4": 120,
    "e1": 12,
    "e2": 18,
    "f1": 800,
    "g1": 18,
    "g2": 9,
}
PLANTED = {
    "a1": 1,
    "a2": 12,
    "a3": 2,
    "a4": 1,
    "c1": 1,
    "d2": 1,
    "b1": 40,
    "b3": 5,
    "b5": 5,
    "b6": 1,
    "b7": 1,
    "c4": 36,
    "e1": 9,
    "e2": 9,
    "f1": 1200,
    "g1": 9,
    "g2": 45,
}


def outcome_of(name: str, n: int, *options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", f"tests.faults.{name}", "--n", str(n), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_every_script_has_its_small_n() -> None:
    assert set(scripts()) >= set(SMALL) == set(PLANTED)


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
    code, outcome = outcome_of("c4", 200, "--mutant", "--only", "database")
    assert code == 1 and outcome["bad"] > 0, outcome
