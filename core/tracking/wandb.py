"""Weights & Biases: one run per fold, grouped by the run's name; into a folder of the workspace where there is no key or no network."""

import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # before it is imported: nothing about crashes leaves the machine

import wandb

from core.base.files import shell_path
from core.tracking.tracker import Outcome, Point, TrackedFold

PATIENCE_S = 5.0
INIT_S = 60.0
DEFAULT_URL = "https://api.wandb.ai"
EXIT_CODES: dict[Outcome, int] = {"done": 0, "failed": 1, "stopped": 255}


class WandbFold:
    """A fold as a run of Weights & Biases. The key is read from WANDB_API_KEY by the library itself, and from nowhere here."""

    def __init__(self, fold: TrackedFold, history: Sequence[Point], record: str) -> None:
        mode = choose_mode()
        if mode == "offline":
            remove_offline(fold.logs_dir, record)
        fold.logs_dir.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            mode=mode,
            dir=str(fold.logs_dir),
            project=fold.project,
            id=record,
            resume="allow" if mode == "online" else None,
            group=f"{fold.contest}/{fold.run}",
            job_type="fold",
            name=f"{fold.run}/fold-{fold.fold}",
            tags=[fold.contest],
            config={"contest": fold.contest, "run": fold.run, "ref": fold.ref, "fold": fold.fold, "recipe": dict(fold.settings)},
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                init_timeout=INIT_S,
            ),
        )
        folder = Path(self._run.dir).parent
        self.place = (self._run.url if mode == "online" else "") or str(folder)
        self.command = f"{shell_path(Path(sys.executable))} -m wandb sync {shell_path(folder)}" if mode == "offline" else ""
        # Where it was taken up, the server has all up to this step, and refuses to hear it again.
        self._last = int(self._run.starting_step) if self._run.resumed else 0
        self.log([point for point in history if point.step > self._last])

    def log(self, points: Sequence[Point]) -> None:
        """Add points; those the server has are left out."""
        for point in points:
            if point.step >= self._last:
                self._run.log(dict(point.values), step=point.step)
                self._last = point.step

    def close(self, outcome: Outcome) -> None:
        """End the run; waits until the server has it all."""
        self._run.finish(exit_code=EXIT_CODES[outcome])


def choose_mode() -> Any:
    """What WANDB_MODE says; else online where there is a key in the environment and the server answers, else offline."""
    said = os.environ.get("WANDB_MODE")
    if said:
        return said
    return "online" if os.environ.get("WANDB_API_KEY") and answers(os.environ.get("WANDB_BASE_URL") or DEFAULT_URL) else "offline"


def answers(url: str) -> bool:
    """Whether a server answers there, in whatever words; through the proxy that the environment names."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def remove_offline(logs_dir: Path, run_id: str) -> None:
    """Remove the folders of a run that is written anew: synced together, the two would be one run with every step twice."""
    for folder in (logs_dir / "wandb").glob(f"offline-run-*-{run_id}"):
        shutil.rmtree(folder)
