"""Reads what Weights & Biases keeps of an offline run: a log of records in blocks, as LevelDB keeps its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
HEAD = struct.Struct("<IHB")
FILE_HEAD = 7
FULL, LAST = 1, 4


def read_records(folder: Path) -> Iterator[Any]:
    """All records of the run in a folder, as the library's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("*.wandb")
    data, at, whole = path.read_bytes(), FILE_HEAD, b""
    while at + HEAD.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD.size:
            at += left
            continue
        _, size, kind = HEAD.unpack_from(data, at)
        if not kind:
            return
        at += HEAD.size
        whole += data[at : at + size]
        at += size
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
