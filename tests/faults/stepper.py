"""Kills a piece of work at one of its system calls, by ptrace: the kernel stops a forked child at every call, and the parent counts.

So every state in which a kill can leave the disk is reached once, without luck and without another program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable

TRACEME, SYSCALL, SETOPTIONS = 0, 24, 0x4200
GOOD_STOPS, END_WITH_PARENT = 1, 0x100000
"""Stops at system calls are told apart from signals; the child dies if this process does."""
AT_CALL = signal.SIGTRAP | 0x80

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long


def kill_at(work: Callable[[], None], call: int) -> bool:
    """Do `work` in a forked child that is killed with -9 as it enters its system call number `call`, from 1; the call is not made.

    False when the work ended well before that. Only the child's main thread is counted. Raises RuntimeError when the work failed.
    """
    return _follow(work, call)[0]


def count_calls(work: Callable[[], None]) -> int:
    """How many system calls `work` makes."""
    return _follow(work, sys.maxsize)[1]


def _follow(work: Callable[[], None], call: int) -> tuple[bool, int]:
    pid = os.fork()
    if pid == 0:
        _be_followed(work)
    _, status = os.waitpid(pid, 0)
    _ask(SETOPTIONS, pid, GOOD_STOPS | END_WITH_PARENT)
    n_entered, is_inside, passed_on = 0, False, 0
    while True:
        _ask(SYSCALL, pid, passed_on)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise RuntimeError(f"the work failed after {n_entered} system calls")
            return False, n_entered
        if os.WIFSIGNALED(status):
            raise RuntimeError(f"the work was ended by signal {os.WTERMSIG(status)}")
        passed_on = 0
        if os.WSTOPSIG(status) != AT_CALL:
            passed_on = os.WSTOPSIG(status)
            continue
        is_inside = not is_inside
        n_entered += is_inside
        if is_inside and n_entered == call:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True, n_entered


def _be_followed(work: Callable[[], None]) -> None:
    """In the child; never returns."""
    code = 1
    try:
        _ask(TRACEME, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    except BaseException:  # noqa: BLE001  # as the interpreter does with what nobody caught
        traceback.print_exc()
    finally:
        os._exit(code)


def _ask(request: int, pid: int, data: int) -> None:
    if _ptrace(request, pid, None, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")
