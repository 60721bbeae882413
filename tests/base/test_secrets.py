"""No secret of the environment reaches a log, whoever says it and how."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.base.secrets import without_tokens

ROOT = Path(__file__).parents[2]
SECRET = "swordfish/0123456789"
SAYS = """
import os, subprocess, sys, threading, warnings
from core.base.secrets import mask_output
mask_output(silence_others="alone" in sys.argv)
secret = os.environ["SOME_API_KEY"]
def fail(): raise RuntimeError(f"thread with {secret}")
print("print", secret)
sys.stdout.write("in " + secret[:5]); sys.stdout.write(secret[5:] + " two\\n")
sys.stderr.buffer.write(f"bytes {secret}\\n".encode())
warnings.warn(f"warning {secret}")
thread = threading.Thread(target=fail); thread.start(); thread.join()
if "alone" in sys.argv: subprocess.run(["/bin/sh", "-c", "echo a child says $SOME_API_KEY"]); os.write(2, f"past Python {secret}\\n".encode())
print("the last word", secret, end="")
sys.stderr.close(); os._exit(0)
"""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("abcdef123456 at http://me:pass@host:5000/x with swordfish in /home/me", "*** at http://***@host:5000/x with *** in /home/me"),
        ("?key=a%2Fb%20secret or a/b secret, YS9iIHNlY3JldA== too", "?key=*** or ***, *** too"),
        ("Authorization: Bearer 0123456789abcdef, basic Zm9vOmJhcg==", "Authorization: Bearer ***, basic ***"),
        ("first of two, and\nsecond of two", "***, and\n***"),
        ("sword and swordfish1", "*** and ***"),
        ("a basic idea", "a basic idea"),
    ],
    ids=["variables and addresses", "encoded", "headers", "lines", "one begins another", "plain words"],
)
def test_a_text_keeps_no_secret(text: str, left: str) -> None:
    environment = {"WANDB_API_KEY": "abcdef123456", "tracking_password": "swordfish", "HOME": "/home/me", "EMPTY_TOKEN": "", "PWD": "/home"}
    more = {"MY_CREDENTIALS": "first of two\nsecond of two", "DB_PASS": "a/b secret", "A_TOKEN": "sword", "B_TOKEN": "swordfish1"}
    assert without_tokens(text, environment | more) == left


@pytest.mark.parametrize("alone", [True, False])
def test_nothing_that_a_process_says_has_a_secret_in_it(alone: bool, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine api.example.org login me password netrcword\n")
    script = SAYS + f"\n# {SECRET}"
    environment = {**os.environ, "SOME_API_KEY": SECRET, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, *(["alone"] if alone else [])], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "" and SECRET not in done.stderr and SECRET[:9] not in done.stderr and "netrcword" not in done.stderr
    for said in ("print ***", "in *** two", "bytes ***", "warning ***", "thread with ***", "the last word ***"):
        assert said in done.stderr
