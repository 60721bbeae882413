"""What keeps a device from taking jobs: a person who paused the queue, or a disk that is full. Runs are paused on their own row.

A hold is a fact in the store, so that every engine, page and command sees the same one, and a restart forgets none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, select

from core.store import tables
from core.store.database import Store
from core.store.digests import read_row
from core.store.tables import raw_columns, values_of

HoldKind = Literal["person", "disk"]

EVERY_DEVICE = "*"

_holds = tables.holds.c


@dataclass(frozen=True)
class Hold:
    """Why a device takes no jobs, since when (epoch seconds). `needed_bytes` of free space end a hold of kind "disk"."""

    device: str
    kind: HoldKind
    error: dict[str, str] | None
    needed_bytes: int
    since: float

    def covers(self, device: str) -> bool:
        """Whether this keeps `device` from taking jobs."""
        return self.device in (EVERY_DEVICE, device)


def list_holds(store: Store) -> tuple[Hold, ...]:
    """All holds, the oldest first."""
    with store.read() as connection:
        return read_holds(connection)


def read_holds(connection: Connection) -> tuple[Hold, ...]:
    """All holds, the oldest first, in the caller's snapshot."""
    query = select(*raw_columns(tables.holds)).order_by(_holds.since, _holds.device)
    return tuple(Hold(**read_row(tables.holds, row)) for row in connection.execute(query))


def pause_devices(store: Store, *, now: float, device: str = EVERY_DEVICE) -> None:
    """Take no more jobs on `device`, or on any; what runs there stops within a step and goes back. Twice is once."""
    with store.transaction() as connection:
        _put(connection, Hold(device=device, kind="person", error=None, needed_bytes=0, since=now))


def resume_devices(store: Store, device: str = EVERY_DEVICE) -> bool:
    """Lift every hold of `device`, or all holds there are, those of a full disk too; False when there was none."""
    which = [] if device == EVERY_DEVICE else [_holds.device == device]
    with store.transaction() as connection:
        return connection.execute(delete(tables.holds).where(*which)).rowcount > 0


def hold_for_disk(connection: Connection, device: str, *, error: Mapping[str, str], needed_bytes: int, now: float) -> None:
    """Keep `device` from taking jobs until `needed_bytes` are free, inside the caller's transaction."""
    _put(connection, Hold(device=device, kind="disk", error=dict(error), needed_bytes=needed_bytes, since=now))


def hold_device_for_disk(store: Store, device: str, *, error: Mapping[str, str], needed_bytes: int, now: float) -> None:
    """`hold_for_disk` in a transaction of its own."""
    with store.transaction() as connection:
        hold_for_disk(connection, device, error=error, needed_bytes=needed_bytes, now=now)


def lift_disk_hold(store: Store, device: str) -> None:
    """Space was made: let `device` take jobs again."""
    with store.transaction() as connection:
        connection.execute(delete(tables.holds).where(_holds.device == device, _holds.kind == "disk"))


def is_held(device: str | ColumnElement[str], *, kind: HoldKind | None = None) -> ColumnElement[bool]:
    """A condition: some hold, of that kind where given, covers the device."""
    covering = exists().where((_holds.device == EVERY_DEVICE) | (_holds.device == device))
    return covering if kind is None else covering.where(_holds.kind == kind)


def _put(connection: Connection, hold: Hold) -> None:
    connection.execute(delete(tables.holds).where(_holds.device == hold.device, _holds.kind == hold.kind))
    connection.execute(insert(tables.holds).values(values_of(tables.holds, hold)))
