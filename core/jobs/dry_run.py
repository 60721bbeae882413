"""The process of a dry run: `python -m core.jobs.dry_run --workspace DIR --contest ID --folds ID --recipe JSON ...`.

It prints one line of JSON, a forecast or a typed error, and ends; or at once when its standard input does, since then
nobody waits for the answer. It reads the workspace and writes only into `--scratch`, which its starter removes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from core.base.errors import PitwallError, bug
from core.base.messages import msg
from core.base.settings import parse_settings
from core.contest.table import load_kept
from core.folds.save import load_folds
from core.jobs.forecast import Forecast
from core.jobs.worker import NICENESS
from core.specs.recipe import Recipe
from core.store.attempts import MOST_HALVINGS
from core.store.contests import get_contest
from core.store.folds import get_folds
from core.workspace import open_workspace

log = logging.getLogger("core.jobs.dry_run")


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer on standard output."""
    parser = argparse.ArgumentParser(
        prog="core.jobs.dry_run", description="Try a few steps of a fold. Started by a rehearsal, not by hand."
    )
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--contest", type=int, required=True)
    parser.add_argument("--folds", type=int, required=True)
    parser.add_argument("--recipe", required=True, help="as JSON")
    parser.add_argument("--device", required=True)
    parser.add_argument("--halvings", type=int, default=0)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--began", type=float, default=time.time(), help="when this process was started, in epoch seconds")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, args=(given.scratch,), name="listener", daemon=True).start()
    try:
        answer = {"forecast": asdict(_forecast(given))}
    except PitwallError as error:
        answer = {"error": error.to_dict()}
    except Exception as problem:  # a bug is told to whoever asked, and keeps its traceback on standard error
        log.exception("a dry run met a bug")
        fix = "please report it; its traceback is in the terminal that runs Pitwall"
        answer = {"error": bug(problem, where=msg("a dry run on {device}", device=given.device), fix=fix)}
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()
    return 0


def _forecast(given: argparse.Namespace) -> Forecast:
    workspace = open_workspace(given.workspace)
    contest, folds = get_contest(workspace.store, given.contest), get_folds(workspace.store, given.folds)
    recipe = parse_settings(Recipe, json.loads(given.recipe), where="--recipe")
    pairs = load_folds(workspace, folds).keeping(load_kept(workspace, contest, contest.truth))
    # Imported here, when someone listens already: torch takes seconds to come up.
    from core.jobs.fold import load_task
    from core.training.dry_run import dry_run

    task = load_task(workspace, contest, folds, recipe, 0, device=given.device, out_dir=given.scratch, halvings=given.halvings)
    start_s = max(0.0, time.time() - given.began)
    costs = dry_run(task, max_halvings=MOST_HALVINGS)
    return Forecast(
        device=given.device,
        costs=costs,
        rows=tuple((len(pairs.train_idx(fold)), len(pairs.valid_idx(fold))) for fold in range(folds.n_folds)),
        n_test=len(task.test_inputs),
        n_classes=len(task.classes),
        n_epochs=recipe.train.epochs,
        start_s=start_s,
    )


def _end_with_parent(scratch: Path) -> None:
    """Wait for the end of standard input; nothing here needs to end in order."""
    while os.read(0, 4096):
        pass
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    code = main()
    # torch takes seconds to take itself down, and nobody waits for that.
    os._exit(code)
