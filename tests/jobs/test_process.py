from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.jobs.process import ProcessIdentity, is_alive, of_pid, of_self, terminate

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def child():
    process = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, start_new_session=True)
    yield process
    assert process.stdin
    process.stdin.close()
    process.wait()


def test_this_process_knows_itself() -> None:
    me = of_self()
    assert me.pid == os.getpid() and is_alive(me) and of_pid(me.pid) == me
    assert ProcessIdentity.from_dict(me.to_dict()) == me


def test_a_stopped_process_is_alive_and_an_ended_one_is_not(child: subprocess.Popen[bytes], wait_for: Callable[..., float]) -> None:
    identity = of_pid(child.pid)
    assert identity
    os.kill(child.pid, signal.SIGSTOP)
    assert is_alive(identity)
    assert terminate(identity)
    wait_for(lambda: not is_alive(identity))  # also while it is a zombie, before anybody has asked for its exit code
    assert child.wait() == -signal.SIGKILL
    assert of_pid(child.pid) is None and not terminate(identity)


def test_no_signal_goes_to_a_stranger_with_the_same_pid(child: subprocess.Popen[bytes]) -> None:
    identity = of_pid(child.pid)
    assert identity
    for stranger in (replace(identity, start_time="1"), replace(identity, boot_id="another boot")):
        assert not is_alive(stranger) and not terminate(stranger)
    assert child.poll() is None


def test_terminate_takes_the_whole_group_of_a_leader(wait_for: Callable[..., float]) -> None:
    script = (
        f"import subprocess, sys; child = subprocess.Popen({SLEEPER!r}, stdin=subprocess.PIPE); print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True, text=True) as parent:
        assert parent.stdout
        grandchild = of_pid(int(parent.stdout.readline()))
        leader = of_pid(parent.pid)
        assert grandchild and leader and terminate(leader)
    wait_for(lambda: not is_alive(grandchild), 10)
