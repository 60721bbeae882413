"""Arrays of artefacts: read as plain `.npy` and as nothing else, never as a pickle or an archive that a name dresses up."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.base.errors import CheckpointError


def read_array(path: Path, *, fix: str) -> NDArray[Any]:
    """The array in a `.npy` file; CheckpointError, naming the file, when it is anything else."""
    try:
        with path.open("rb") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError, TokenError) as problem:
        raise CheckpointError(f"{path.name} cannot be read", where=str(path), why=" ".join(str(problem).split()), fix=fix) from None
