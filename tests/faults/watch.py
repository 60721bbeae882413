"""Watches a folder through the kernel (inotify): whoever opens, writes or removes something in it is seen, C libraries too."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

NONBLOCK = 0o4000
ACCESS, MODIFY, MOVED_FROM, MOVED_TO, CREATE, DELETE, OPEN = 0x1, 0x2, 0x40, 0x80, 0x100, 0x200, 0x20
NAMES = {
    ACCESS: "read",
    MODIFY: "written",
    MOVED_FROM: "moved away",
    MOVED_TO: "moved in",
    CREATE: "made",
    DELETE: "removed",
    OPEN: "opened",
}
HEADER = struct.Struct("iIII")


class Watch:
    """A watch on a folder and all folders below it, as they are now."""

    def __init__(self, root: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._folders: dict[int, Path] = {}
        for folder in [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]:
            number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), sum(NAMES))
            if number < 0:
                raise OSError(ctypes.get_errno(), f"inotify: {folder}")
            self._folders[number] = folder

    def seen(self) -> list[str]:
        """What has happened since the last look, such as "opened secret.png"."""
        try:
            raw = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return []
        found: list[str] = []
        while raw:
            number, mask, _, size = HEADER.unpack_from(raw)
            name = raw[HEADER.size : HEADER.size + size].rstrip(b"\0").decode("utf-8", "replace")
            raw = raw[HEADER.size + size :]
            what = ", ".join(word for bit, word in NAMES.items() if mask & bit)
            found.append(f"{what} {self._folders[number].name}/{name}")
        return found

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)
