"""Which trackers there are, and whether what they need is installed here. Imports none of them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from core.base.errors import NotFoundError, RecipeError
from core.base.files import shown_path
from core.tracking.tracker import Opener

OPENERS = {"tensorboard": "TensorBoardFold", "wandb": "WandbFold", "mlflow": "MlflowFold"}
"""Each in the file of its name, which imports the library of that name."""
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}
SECRET = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)$")

IsInstalled = Callable[[str], bool]


def is_installed(tracker: str) -> bool:
    """Whether the library can be imported; a folder that happens to have its name (W&B makes one) does not count."""
    spec = find_spec(tracker)
    return spec is not None and spec.origin is not None


def install_command(tracker: str) -> str:
    """What brings the library into the environment that this process runs in."""
    return f"{shown_path(Path(sys.executable))} -m pip install {PACKAGES[tracker]}"


def check_trackers(trackers: Sequence[str], is_installed: IsInstalled = is_installed) -> None:
    """Refuse a choice of trackers whose libraries are not here, with the command that brings them."""
    missing = [tracker for tracker in dict.fromkeys(trackers) if not is_installed(tracker)]
    if missing:
        raise RecipeError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            where="tracking.trackers",
            why="the recipe asks that the run is recorded there",
            fix=f"{' && '.join(map(install_command, missing))} — or take it out of the recipe",
        )


def opener(tracker: str) -> Opener:
    """The function that opens a tracker; imports its library. NotFoundError says how to install what is missing."""
    if not is_installed(tracker):
        raise NotFoundError(
            f"{tracker} is not installed", where="tracking", why="it is needed to record the run", fix=install_command(tracker)
        )
    return getattr(import_module(f"core.tracking.{tracker}"), OPENERS[tracker])


def without_tokens(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A message as it may be kept: every value of a variable that holds a secret is left out, and who is named in an address."""
    for name, value in environment.items():
        if SECRET.search(name) and len(value) > 3:
            text = text.replace(value, "***")
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1***@", text)
