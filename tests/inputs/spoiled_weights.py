"""Files of pretrained weights (safetensors) that are damaged or hold something else."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable

from safetensors.numpy import load, save


def _header(raw: bytes) -> tuple[dict[str, dict[str, object]], bytes]:
    size = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + size]), raw[8 + size :]


def _joined(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _entry(change: Callable[[dict[str, object], random.Random], object]) -> Callable[[bytes, random.Random], bytes]:
    """Change what the header says of a tensor."""

    def spoil(raw: bytes, rng: random.Random) -> bytes:
        header, data = _header(raw)
        change(header[rng.choice(sorted(key for key in header if key != "__metadata__"))], rng)
        return _joined(header, data)

    return spoil


def _tensors(change: Callable[[dict[str, object], str], object]) -> Callable[[bytes, random.Random], bytes]:
    """Write other tensors in a whole file."""

    def spoil(raw: bytes, rng: random.Random) -> bytes:
        tensors = load(raw)
        change(tensors, rng.choice(sorted(name for name, tensor in tensors.items() if tensor.ndim)))
        return save(tensors)

    return spoil


SPOILED: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda raw, rng: b"",
    "text": lambda raw, rng: b"<html>404 not found</html>\n" * rng.randrange(1, 40),
    "cut": lambda raw, rng: raw[: rng.randrange(1, len(raw) - 1)],
    "longer": lambda raw, rng: raw + bytes(rng.randrange(1, 99)),
    "a header that is too long": lambda raw, rng: struct.pack("<Q", rng.randrange(len(raw), 2**62)) + raw[8:],
    "a header that is no JSON": lambda raw, rng: raw[:8] + b"}" + raw[9:],
    "noise for a header": lambda raw, rng: raw[:8] + rng.randbytes(200) + raw[208:],
    "an unknown type": _entry(lambda entry, rng: entry.update(dtype="F33")),
    "offsets beyond the end": _entry(lambda entry, rng: entry.update(data_offsets=[0, 2**40])),
    "offsets backwards": _entry(lambda entry, rng: entry.update(data_offsets=list(reversed(list(entry["data_offsets"]))) or [1, 0])),  # type: ignore[call-overload]
    "a shape that does not fit": _entry(lambda entry, rng: entry.update(shape=[rng.randrange(2, 9), 99991])),
    "a negative shape": _entry(lambda entry, rng: entry.update(shape=[-1])),
    "a tensor less": _tensors(lambda tensors, name: tensors.pop(name)),
    "a tensor more": _tensors(lambda tensors, name: tensors.update({name + ".more": tensors[name]})),
    "a tensor of another shape": _tensors(lambda tensors, name: tensors.update({name: tensors[name][:0]})),  # type: ignore[index]
    "no tensors": lambda raw, rng: save({}),
    "of another network": lambda raw, rng: save({f"layer.{number}": tensor for number, tensor in enumerate(load(raw).values())}),
}
