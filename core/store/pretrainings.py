"""Pretrainings: backbones that went on learning from a contest's texts. Each was made by a job, whose number it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from core.base.errors import NotFoundError
from core.specs.progress import EpochReport
from core.specs.recipe import Recipe
from core.store import tables
from core.store.database import Store
from core.store.digests import check_live, insert_row, read_rows
from core.store.runs import free_name


@dataclass(frozen=True)
class Pretraining:
    """`path` is the folder of its encoder and tokenizer, relative to the workspace, and `fingerprint` that of the artefact. `facts` hold its
    `epochs` (see `reports`), `best_epoch`, whose weights were left, and what else is worth knowing."""

    id: int
    contest_id: int
    name: str
    recipe: Recipe
    path: str
    fingerprint: str
    facts: Mapping[str, Any]
    created_at: float

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace, and what `model.start_from` names."""
        return f"p{self.id}"

    @property
    def reports(self) -> tuple[EpochReport, ...]:
        """The epochs, number 0 before anything was learned; `valid_loss` is that of the texts that were held out."""
        return tuple(EpochReport(**report) for report in self.facts["epochs"])

    @property
    def losses(self) -> tuple[float, float]:
        """The loss per masked token of held-out texts before, and of the epoch whose weights were left."""
        by_epoch = {report.epoch: report.valid_loss for report in self.reports}
        return by_epoch[0], by_epoch[self.facts["best_epoch"]]


def add_pretraining(
    connection: Connection,
    *,
    job_id: int,
    contest_id: int,
    recipe: Recipe,
    path: str,
    fingerprint: str,
    facts: Mapping[str, Any],
    epochs: Sequence[EpochReport],
    now: float,
) -> None:
    """Add what a job made, inside the transaction that ends it. A name that is taken gets a number. Raises StateError where the contest was
    deleted meanwhile."""
    check_live(connection, tables.contests, [contest_id])
    values = {
        "id": job_id,
        "contest_id": contest_id,
        "name": free_name(connection, tables.pretrainings, contest_id, recipe.name),
        "recipe": recipe.to_dict(),
        "path": path,
        "fingerprint": fingerprint,
        "facts": {**facts, "epochs": [epoch.to_dict() for epoch in epochs]},
        "created_at": now,
    }
    insert_row(connection, tables.pretrainings, values)


def list_pretrainings(store: Store, contest_id: int | None = None, *, with_trash: bool = False) -> tuple[Pretraining, ...]:
    """All of them, or those of one contest, newest first."""
    columns = tables.pretrainings.c
    where = () if contest_id is None else (columns.contest_id == contest_id,)
    with store.read() as connection:
        rows = read_rows(connection, tables.pretrainings, *where, order=[columns.id.desc()], with_trash=with_trash)
    return tuple(Pretraining(recipe=Recipe.model_validate(row.pop("recipe")), **row) for row in rows)


def get_pretraining(store: Store, ref: str, contest_id: int | None = None) -> Pretraining:
    """The one of that reference ("p17") or name, of one contest where given. Raises NotFoundError, which names those that are there."""
    known = list_pretrainings(store, contest_id)
    found = next((each for each in known if ref in (each.ref, each.name)), None)
    if found is None:
        fix = "restore it from the trash (`python -m core trash list`), or use one that is there"
        raise NotFoundError.among("pretraining", ref, (f"{each.ref} ({each.name})" for each in known), fix=fix)
    return found
