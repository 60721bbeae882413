"""Event files for TensorBoard: one with points per fold, always whole, so that no reader meets a step twice.

An attempt that goes on writes a new file of all points there are, and empties the old one by putting another in its place.
Whoever still writes to that (a worker that was frozen and comes back) writes to a file that nobody finds any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

# pyright: reportAttributeAccessIssue=false
# The classes of protocol buffers are made when they are imported.
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.record_writer import RecordWriter

from core.tracking.tracker import Outcome, Point, TrackedFold

_numbers = count()


class TensorBoardFold:
    """The event file of a fold, open for more points."""

    command = ""  # one for the whole workspace, see board.py

    def __init__(self, fold: TrackedFold, history: Sequence[Point], record: str = "") -> None:
        del record  # the folder is found by the run's name
        folder = Path(fold.events_dir)
        folder.mkdir(parents=True, exist_ok=True)
        older = list(folder.glob("events.out.tfevents.*"))
        # Sorted by name, a later file comes later: TensorBoard, when it looks already, reads files in that order.
        path = folder / f"events.out.tfevents.{int(fold.started_at):010d}.{fold.token:06d}.{next(_numbers):03d}.pitwall"
        aside = folder / f".{fold.token}.{next(_numbers)}.tmp"
        self.place = str(folder)
        self._stream = aside.open("wb")
        self._writer = RecordWriter(self._stream)
        self._write(_opening(fold))
        self.log(history)
        aside.rename(path)
        for file in older:
            self._empty(file)

    def log(self, points: Sequence[Point]) -> None:
        """Add points; they are with the system when this returns."""
        self._write(
            Event(
                wall_time=point.at,
                step=point.step,
                summary=Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]),
            )
            for point in points
        )
        self._stream.flush()

    def close(self, outcome: Outcome) -> None:
        """Close the file."""
        del outcome
        self._stream.close()

    def _empty(self, file: Path) -> None:
        """Put a file without points in the place of an older one. A TensorBoard that has that open looks for it before it reads on."""
        aside = file.with_name(f".{next(_numbers)}.empty.tmp")
        with aside.open("wb") as stream:
            RecordWriter(stream).write(_version().SerializeToString())
        aside.rename(file)

    def _write(self, events: Iterable[Any]) -> None:
        for event in events:
            self._writer.write(event.SerializeToString())


def _version() -> Any:
    return Event(wall_time=time.time(), file_version="brain.Event:2")


def _opening(fold: TrackedFold) -> list[Any]:
    """What a file begins with: its version, the word that voids what was read before it, and the recipe as a text."""
    now = time.time()
    recipe = Summary.Value(
        tag="recipe",
        metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")),
        tensor=TensorProto(
            dtype="DT_STRING",
            string_val=[f"```yaml\n{fold.recipe}\n```".encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        ),
    )
    return [
        _version(),
        Event(wall_time=now, session_log=SessionLog(status=SessionLog.START)),
        Event(wall_time=now, summary=Summary(value=[recipe])),
    ]
