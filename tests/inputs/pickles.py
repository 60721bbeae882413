"""Pickles that do something when they are opened, dressed as files of other kinds. What they do is make a folder: the mark."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np


class Payload:
    """An object whose unpickling makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def as_pickle(path: Path, mark: Path) -> None:
    """A plain pickle, whatever its name says."""
    path.write_bytes(pickle.dumps(Payload(mark)))


def as_old_pickle(path: Path, mark: Path) -> None:
    """A pickle of the first protocol, which is readable text."""
    path.write_bytes(pickle.dumps(Payload(mark), protocol=0))


def as_joblib(path: Path, mark: Path) -> None:
    """What joblib writes."""
    joblib.dump({"model": Payload(mark)}, path)


def as_array(path: Path, mark: Path) -> None:
    """An array of objects, with the header of a good array."""
    array = np.empty((1,), dtype=object)
    array[0] = Payload(mark)
    with path.open("wb") as stream:
        np.save(stream, array, allow_pickle=True)


def as_archive(path: Path, mark: Path) -> None:
    """A compressed archive of arrays of objects."""
    inner = path.with_name("inner.npy")
    as_array(inner, mark)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "arr_0.npy")
    inner.unlink()


def as_torch(path: Path, mark: Path) -> None:
    """What `torch.save` writes: a zip with a pickle inside."""
    import torch

    torch.save({"state_dict": {"conv_stem.weight": torch.zeros(2)}, "hook": Payload(mark)}, path)


def as_old_torch(path: Path, mark: Path) -> None:
    """What `torch.save` wrote once: pickles one after the other."""
    import torch

    torch.save({"_conv_stem.weight": Payload(mark)}, path, _use_new_zipfile_serialization=False)


PLAIN = [as_pickle, as_old_pickle, as_joblib, as_array, as_archive]
TORCH = [as_torch, as_old_torch]
