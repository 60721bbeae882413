"""E2. Inputs that are hard but valid: none is refused, and what is read is what was meant, texts to the letter and pixels as they look.

The bug to plant: images of any mode are converted by Pillow's own rules, which cut off deep greys and show what is transparent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table, load_truth
from core.data import images
from core.workspace import Workspace, open_workspace
from tests.faults.fault import Given, Outcome, main
from tests.inputs.hard_contests import KINDS, Expected

PER_KIND = 50
FULL_N = PER_KIND * len(KINDS)


def run(given: Given) -> Outcome:
    """Register `n` contests, each kind in turn, and read all their training rows."""
    outcome, workspace = Outcome(), open_workspace(given.root / "workspace")
    if given.is_mutant:
        images.to_rgb = lambda image: image.convert("RGB")
    for number, (kind, make) in enumerate(islice(cycle(KINDS.items()), given.n)):
        root = given.root / "contests" / f"c{number}"
        expected = make(root, given.rng)
        wrong = _read(workspace, root, expected)
        if wrong:
            outcome.wrong(f"{kind}, {expected.name}: {wrong}")
    return outcome


def _read(workspace: Workspace, root: Path, expected: Expected) -> str:
    """What is wrong with a contest as it was understood, "" when nothing is."""
    try:
        inspection = inspect_path(root)
        contest = add_contest(workspace, inspection.draft)
        table = load_table(workspace, contest)
        inputs = table.train["input"].tolist()
        if expected.texts is not None:
            truth = load_truth(workspace, contest).labels.tolist()
            seen = [_names(row, inspection.draft.classes) for row in truth]
            if seen != expected.sets:
                return f"classes are others, first {seen[0]}"
            return "" if inputs == expected.texts else f"texts are others, first {inputs[0]!r}"
        found = [
            np.asarray(images.open_image(table.image_path(name), sha256=sha256))
            for name, sha256 in zip(inputs, table.train["sha256"], strict=True)
        ]
    except Exception as problem:  # noqa: BLE001  # any refusal is what this looks for
        return f"{type(problem).__name__}: {problem}"
    for row, (seen, meant) in enumerate(zip(found, expected.pixels or [], strict=True)):
        if seen.shape != meant.shape:
            return f"row {row} is {seen.shape} instead of {meant.shape}"
        far = float(np.abs(seen.astype(int) - meant.astype(int)).mean())
        if far > expected.tolerance:
            return f"row {row} is {far:.1f} grey levels off"
    return ""


def _names(truth: int | list[int], classes: Sequence[str]) -> set[str]:
    """The classes of a row, from its class index or from 0 and 1 for each class."""
    if isinstance(truth, int):
        return {classes[truth]}
    return {name for name, has in zip(classes, truth, strict=True) if has}


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
