"""Submissions: the ledger of every file that was written for a contest, and from what. Rows are only added."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from core.specs.kept import HiddenScores, Lineage
from core.store import tables
from core.store.database import Store
from core.store.digests import insert_row, read_rows


@dataclass(frozen=True)
class Submission:
    """A written submission. `source` is the run or blend it came from ("r1", "b2"); `hidden_scores` only a sample contest has."""

    id: int
    contest_id: int
    source: str
    name: str
    filename: str
    sha256: str
    path: str
    n_rows: int
    lineage: Lineage
    hidden_scores: HiddenScores | None
    created_at: float

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"s{self.id}"


def _submission(values: dict[str, Any]) -> Submission:
    lineage, hidden = Lineage.model_validate(values.pop("lineage")), values.pop("hidden_scores")
    return Submission(lineage=lineage, hidden_scores=hidden and HiddenScores.model_validate(hidden), **values)


def add_submission(
    store: Store,
    *,
    contest_id: int,
    source: str,
    name: str,
    filename: str,
    sha256: str,
    path: str,
    n_rows: int,
    lineage: Lineage,
    hidden_scores: HiddenScores | None = None,
    now: float | None = None,
) -> Submission:
    """Add a submission to the ledger."""
    values = {
        "contest_id": contest_id,
        "source": source,
        "name": name,
        "filename": filename,
        "sha256": sha256,
        "path": path,
        "n_rows": n_rows,
        "lineage": lineage.to_dict(),
        "hidden_scores": hidden_scores and hidden_scores.to_dict(),
        "created_at": time.time() if now is None else now,
    }
    with store.transaction() as connection:
        added = insert_row(connection, tables.submissions, values).id
        return _submission(read_rows(connection, tables.submissions, tables.submissions.c.id == added)[0])


def list_submissions(store: Store, contest_id: int | None = None) -> tuple[Submission, ...]:
    """All submissions, or those of one contest, newest first."""
    columns = tables.submissions.c
    where = () if contest_id is None else (columns.contest_id == contest_id,)
    with store.read() as connection:
        return tuple(map(_submission, read_rows(connection, tables.submissions, *where, order=[columns.id.desc()])))
