"""Event files for TensorBoard: one with points per fold, always whole, so that no reader meets a step twice.

An attempt that goes on writes a new file: what the older one holds from before its first step, and what follows. The older one is
then emptied by putting another in its place. A worker that was frozen and comes back writes to a file that nobody finds any more.
"""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# pyright: reportAttributeAccessIssue=false
# The classes of protocol buffers are made when they are imported.
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New as RecordReader
from tensorboard.summary.writer.record_writer import RecordWriter

from core.tracking.tracker import Point, TrackedFold

FILES = "events.out.tfevents.*"
RECIPE = "recipe"
_numbers = count()


@dataclass(frozen=True)
class Recorded:
    """What an event file holds. `began` is the token of the attempt that began from nothing; later ones went on from it."""

    began: int
    points: tuple[Point, ...]


class EventFile:
    """The event file of one attempt, open for more points. The attempt begins at `step`, after the epochs that are `known`; `images`
    (height, width, 3) are shown beside its curves."""

    def __init__(self, fold: TrackedFold, step: int, known: Sequence[Point], images: Sequence[NDArray[np.uint8]] = ()) -> None:
        folder = Path(fold.events_dir)
        folder.mkdir(parents=True, exist_ok=True)
        older = sorted(folder.glob(FILES))
        before = read_events(older[-1]) if older and step > 1 else None
        self.began = before.began if before else fold.token
        # Sorted by name, a later file comes later: TensorBoard, when it looks already, reads files in that order.
        self.path = folder / f"events.out.tfevents.{int(fold.started_at):010d}.{fold.token:06d}.{next(_numbers):03d}.pitwall"
        aside = folder / f".{fold.token}.{next(_numbers)}.tmp"
        self._stream = aside.open("wb")
        self._writer = RecordWriter(self._stream)
        for event in _opening(fold, self.began, images):
            self._writer.write(event.SerializeToString())
        self.add(_merged([point for point in before.points if point.step < step] if before else [], known))
        aside.rename(self.path)
        for file in older:
            _empty(file)

    def add(self, points: Sequence[Point]) -> None:
        """Add points; they are with the system when this returns, so that a kill does not lose them."""
        for point in points:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]
            self._writer.write(Event(wall_time=point.at, step=point.step, summary=Summary(value=values)).SerializeToString())
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


class EventReader:
    """Reads an event file while it grows."""

    def __init__(self, path: Path) -> None:
        self._reader = RecordReader(str(path))

    def events(self) -> Iterator[Any]:
        """The whole events that were not given yet; nothing after a record that is cut short or damaged."""
        while True:
            try:
                self._reader.GetNext()
            except (OutOfRangeError, DataLossError):
                return
            yield Event.FromString(self._reader.record())

    def points(self) -> list[Point]:
        """The points that were not given yet."""
        found = ((event, {value.tag: value.simple_value for value in event.summary.value}) for event in self.events())
        return [Point(event.step, event.wall_time, values) for event, values in found if RECIPE not in values and values]


def read_events(path: Path) -> Recorded | None:
    """What is in an event file of ours; None where its head cannot be read."""
    reader = EventReader(path)
    for event in reader.events():
        if event.HasField("session_log"):
            # 0.1 did not write who began: its own attempt, as far as the file says.
            began = int(event.session_log.msg or path.name.split(".")[4])
            return Recorded(began, tuple(reader.points()))
    return None


def _merged(before: Sequence[Point], known: Sequence[Point]) -> list[Point]:
    """The steps of an earlier attempt, and all epochs, also those that a kill kept out of its file; epochs keep their first time."""
    first_at = {point.step: point.at for point in before if point.is_epoch}
    epochs = [replace(point, at=first_at.get(point.step, point.at)) for point in known]
    return sorted([*(point for point in before if not point.is_epoch), *epochs], key=lambda point: (point.step, point.is_epoch))


def _empty(file: Path) -> None:
    """Put a file without points in the place of an older one. A TensorBoard that has that open looks for it before it reads on."""
    aside = file.with_name(f".{next(_numbers)}.empty.tmp")
    with aside.open("wb") as stream:
        RecordWriter(stream).write(_version().SerializeToString())
    aside.rename(file)


def _version() -> Any:
    return Event(wall_time=time.time(), file_version="brain.Event:2")


def _opening(fold: TrackedFold, began: int, images: Sequence[NDArray[np.uint8]]) -> list[Any]:
    """What a file begins with: its version, the mark that voids what was read before it, and the recipe as a text with the images."""
    now = time.time()
    recipe = Summary.Value(
        tag=RECIPE,
        metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")),
        tensor=TensorProto(
            dtype="DT_STRING",
            string_val=[f"```yaml\n{fold.recipe}\n```".encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        ),
    )
    return [
        _version(),
        Event(wall_time=now, session_log=SessionLog(status=SessionLog.START, msg=str(began))),
        Event(wall_time=now, summary=Summary(value=[recipe, *(_image(f"images/{place}", pixels) for place, pixels in enumerate(images))])),
    ]


def _image(tag: str, pixels: NDArray[np.uint8]) -> Any:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    height, width, n_channels = pixels.shape
    image = Summary.Image(height=height, width=width, colorspace=n_channels, encoded_image_string=encoded.getvalue())
    return Summary.Value(tag=tag, image=image)
