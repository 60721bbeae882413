"""What a process says, without the secrets of its environment: its output becomes a log that a person can download and pass on."""

import base64
import io
import netrc
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import quote

NAMES = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET|_PASS|_PWD|_AUTH|CREDENTIALS)$", re.IGNORECASE)
"""Variables whose value is a secret."""
USER_OF_ADDRESS = re.compile(r"(\w+://)[^/@\s]+@")
AUTHORIZATION = re.compile(r"\b(Basic|Bearer) [\w+/=.~-]{8,}", re.IGNORECASE)
MIN_CHARS = 4


def without_tokens(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A text without the value of any variable that holds a secret, the passwords of ~/.netrc, the user and password of an address, and
    what follows Basic or Bearer."""
    for secret in sorted({*_of(environment), *_of_netrc()}, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(secret, "***")
    return AUTHORIZATION.sub(r"\1 ***", USER_OF_ADDRESS.sub(r"\1***@", text))


def _of(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if NAMES.search(name):
            for line in filter(lambda line: len(line) >= MIN_CHARS, map(str.strip, value.splitlines())):
                yield from (line, quote(line, safe=""), base64.b64encode(line.encode()).decode())


@cache
def _of_netrc() -> frozenset[str]:
    """The passwords that libraries find by themselves, such as that of Weights & Biases."""
    file = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    with suppress(OSError, netrc.NetrcParseError):
        return frozenset(password for _, _, password in netrc.netrc(file).hosts.values() if len(password) >= MIN_CHARS)
    return frozenset()


class _Masked(io.BufferedIOBase):
    """Writes whole lines to a file descriptor, each without secrets. Threads may share it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:
        with self._lock:
            *lines, self._rest = re.split(rb"(?<=[\r\n])", self._rest + bytes(data))
            if lines:
                self._put(b"".join(lines))
        return len(data)

    def close(self) -> None:
        with self._lock:
            rest, self._rest = self._rest, b""
            if rest:
                self._put(rest + b"\n")
        super().close()

    def _put(self, lines: bytes) -> None:
        left = without_tokens(lines.decode(errors="backslashreplace")).encode()
        while left:
            left = left[os.write(self._descriptor, left) :]


def mask_output(*, silence_others: bool = False) -> None:
    """From now on what this process prints, logs, warns of and raises goes to its standard error without secrets.

    `silence_others`: what libraries write past Python, and what processes say that they start, goes nowhere.
    """
    descriptor = os.dup(2)
    if silence_others:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for standard in (1, 2):
            os.dup2(nowhere, standard)
    masked: Any = _Masked(descriptor)
    sys.stdout = sys.stderr = io.TextIOWrapper(masked, encoding="utf-8", errors="backslashreplace", line_buffering=True)
