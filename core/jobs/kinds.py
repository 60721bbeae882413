"""What kinds of jobs there are. The worker runs all of them in one shell: claim, reports, wishes to stop, verdict, full disk, lack of memory.

A new kind is one more file beside `fold.py` and one more entry in `KINDS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.base.errors import StateError
from core.jobs import export, fold, predict, pretrain, register
from core.jobs.reporter import Reporter
from core.store.attempts import Record
from core.store.jobs import EXPORT, FOLD, PREDICT, PREDICT_NOW, PRETRAIN, REGISTER, Job
from core.workspace import Workspace

J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Kind(Generic[J]):
    """What is to be known about the jobs of a kind.

    `needed_bytes`: the disk space that one needs, before it is claimed. `run`: do the work in the worker's process, and return what writes
    its result into the store, in the transaction that ends the job. It calls its last argument often, raises `Interrupted` when that
    is true, and imports torch, if it needs it, before the first call: until then a wish to stop ends the process at once. `cleanup`: remove
    what a finished job does not need any more. `can_halve`: whether it can go on with less memory after that ran out (`Job.halvings`).
    """

    needed_bytes: Callable[[Workspace, J], int]
    run: Callable[[Workspace, J, Reporter, Callable[[], bool]], Record]
    cleanup: Callable[[Workspace, J], None] = lambda _workspace, _job: None
    can_halve: Callable[[Workspace, J], bool] = lambda _workspace, _job: False


KINDS: dict[str, Kind[Any]] = {
    FOLD: Kind(needed_bytes=fold.needed_bytes, run=fold.run, cleanup=fold.cleanup, can_halve=fold.can_halve),
    PRETRAIN: Kind(needed_bytes=pretrain.needed_bytes, run=pretrain.run, cleanup=pretrain.cleanup, can_halve=pretrain.can_halve),
    PREDICT: Kind(needed_bytes=predict.needed_bytes, run=predict.run, can_halve=predict.can_halve),
    PREDICT_NOW: Kind(needed_bytes=predict.needed_bytes, run=predict.run, can_halve=predict.can_halve),
    EXPORT: Kind(needed_bytes=export.needed_bytes, run=export.run),
    REGISTER: Kind(needed_bytes=register.needed_bytes, run=register.run),
}


def kind_of(job: Job) -> Kind[Any]:
    """What is to be known about a job of its kind. Raises StateError for a kind that this version does not know."""
    check_kind(job.kind)
    return KINDS[job.kind]


def check_kind(name: str) -> None:
    """Raise StateError for a kind that this version does not know."""
    if name not in KINDS:
        raise StateError(
            "there is no kind of job named '{kind}'",
            where="kind",
            why="this version knows {kinds}",
            fix="update Pitwall, or cancel the job",
            kind=name,
            kinds=", ".join(KINDS),
        )
