"""What was asked of a run's networks: the test set again, given files, or one text. An answer is an artefact beside the run's folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import publishing, verify
from core.base.files import sha256_file
from core.contest.table import load_table
from core.predictions.again import Rows, predict_run, read_given, rows_of_test
from core.predictions.oof import load_test_prob
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace

PREDICTIONS_FILE = "predictions.parquet"


@dataclass(frozen=True)
class Answer:
    """Probabilities `prob` (n, n_classes) of rows by id. Of the test set, `largest_change` is that against the stored ones; of other rows,
    `n_seen` counts those that are training rows, so that most of the networks have seen them with their truth."""

    ids: tuple[str, ...]
    prob: NDArray[np.float32]
    largest_change: float | None = None
    n_seen: int = 0

    def to_table(self, classes: Sequence[str]) -> pd.DataFrame:
        """Id and a column for each class."""
        table = pd.DataFrame(self.prob, columns=pd.Index(classes))
        table.insert(0, "id", list(self.ids), allow_duplicates=True)
        return table


def rows_asked(workspace: Workspace, contest: Contest, asked: Mapping[str, Any]) -> Rows:
    """The rows of `files` (paths relative to the workspace) or `text`; with neither the test set. Raises InputError."""
    if "text" in asked:
        return Rows(["1"], [asked["text"]])
    if "files" in asked:
        return read_given([workspace.absolute(path) for path in asked["files"]], contest.spec)
    return rows_of_test(load_table(workspace, contest))


def write_answer(
    workspace: Workspace, contest: Contest, run: Run, rows: Rows, folder: Path, *, device: str, after_batch: Callable[[int], None]
) -> None:
    """Predict `rows` by the networks of all finished folds and publish the answer as `folder`. Raises as `predict_run` does."""
    prob = predict_run(workspace, contest, run, rows, device=device, after_batch=after_batch)
    facts: dict[str, Any] = {"run": run.ref, "device": device}
    if rows.is_test:
        facts["largest_change"] = float(np.abs(prob - load_test_prob(workspace, run)).max(initial=0.0))
    else:
        train = load_table(workspace, contest).train
        known = set(train["input"] if contest.spec.modality == "text" else train["sha256"])
        facts["n_seen"] = sum((sha256_file(row) if isinstance(row, Path) else row) in known for row in rows.inputs)
    parents = {f"fold {result.fold}": result.fingerprint for result in run.results}
    with publishing(folder, kind="predictions", parents=parents, facts=facts) as to:
        numbers = [str(number) for number in range(len(contest.spec.classes))]
        Answer(tuple(rows.ids), prob).to_table(numbers).to_parquet(to / PREDICTIONS_FILE)


def read_answer(folder: Path) -> Answer:
    """An answer, its bytes verified. Raises CheckpointError."""
    facts = verify(folder).facts
    table = pd.read_parquet(folder / PREDICTIONS_FILE)
    prob = table.drop(columns="id").to_numpy(dtype=np.float32)
    return Answer(tuple(table["id"].astype("str")), prob, facts.get("largest_change"), facts.get("n_seen", 0))
