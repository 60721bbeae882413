"""A network as one ONNX file, run by ONNX Runtime, and from images to probabilities. Imports no torch, so the server and the jobs that predict
with it stay free of it.

The file suffices: its metadata are the fields of `NetworkSpec`, each as JSON, and how pixels reach the graph (`PIXELS`).
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from core.base.errors import CheckpointError
from core.base.messages import reason
from core.base.settings import parse_settings
from core.data.images import open_image, squeeze
from core.specs.data_settings import ViewName
from core.specs.network import NetworkSpec
from core.training.machine import own_cores

INPUT, OUTPUT = "image", "probabilities"
PIXELS = {"layout": "NCHW", "values": "uint8", "channel_order": "RGB", "crop": "none", "normalisation": "in-graph"}
"""What a reader of the file has to know beside the fields of `NetworkSpec`: the whole image is resized to the square, its values 0 to 255."""
BATCH = 8
"""Images at once. On a processor larger batches are slower: what lies between two layers outgrows the cache."""

Array = NDArray[np.float32]
Images = NDArray[np.uint8]

VIEWS: dict[ViewName, Callable[[Images], Images]] = {
    "plain": lambda images: images,
    "mirror": lambda images: images[..., ::-1],
    "flip": lambda images: images[..., ::-1, :],
    "rotate90": lambda images: np.rot90(images, 1, (-2, -1)),
    "rotate180": lambda images: np.rot90(images, 2, (-2, -1)),
    "rotate270": lambda images: np.rot90(images, 3, (-2, -1)),
}
"""The views of `core.data.views` that only turn images (n, 3, height, width); the others are made by torch."""


@dataclass(frozen=True)
class OnnxPredictor:
    """What a file of ONNX predicts with: a `Predictor` of `core.training.predictor`."""

    spec: NetworkSpec
    session: ort.InferenceSession

    def predict(
        self, rows: Sequence[str] | Sequence[Path], *, sha256: Sequence[str] = (), after_batch: Callable[[int], None] | None = None
    ) -> Array:
        """Probabilities (n, n_classes) of the images at these paths; one whose `sha256` is given and differs is refused.

        `after_batch(n)` hears of every n rows, and may raise to stop. Raises InputError for an image that cannot be read.
        """
        found = np.empty((len(rows), len(self.spec.classes)), dtype=np.float32)
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            hashes = sha256[part] or [""] * len(rows[part])
            images = np.stack([self.read(Path(row), sha256=own) for row, own in zip(rows[part], hashes, strict=True)])
            found[part] = self.predict_images(images)
            if after_batch is not None:
                after_batch(len(images))
        return found

    def read(self, path: Path, *, sha256: str = "", content: bytes | None = None) -> Images:
        """An image as the network reads it, (3, size, size). Raises InputError."""
        return self.pixels_of(self.open(path, sha256=sha256, content=content))

    def open(self, path: Path, *, sha256: str = "", content: bytes | None = None) -> Image.Image:
        """An image as the contest's own are opened. Raises InputError."""
        return open_image(path, sha256=sha256, white_level=self.spec.white_level, short_px=self.spec.short_px, content=content)

    def pixels_of(self, image: Image.Image) -> Images:
        """An opened image as the network reads it, (3, size, size)."""
        return np.asarray(squeeze(image, self.spec.input_px, self.spec.interpolation)).transpose(2, 0, 1)

    def predict_images(self, images: Images) -> Array:
        """Probabilities (n, n_classes) of images (n, 3, size, size): the mean over the network's views."""
        of_view = [self._run(VIEWS[view](images)) for view in self.spec.views]
        return np.asarray(np.mean(of_view, axis=0, dtype=np.float64), dtype=np.float32)

    def _run(self, images: Images) -> Array:
        (prob,) = self.session.run([OUTPUT], {INPUT: np.ascontiguousarray(images)})
        return np.asarray(prob)


def load_onnx(path: Path) -> OnnxPredictor:
    """The image network in a file. Raises CheckpointError where it cannot be read, or says not what it is."""
    session, spec, _ = open_session(path)
    return OnnxPredictor(spec, session)


def open_session(path: Path) -> tuple[ort.InferenceSession, NetworkSpec, dict[str, str]]:
    """The graph in a file, what the network is, and all of the file's metadata. Raises CheckpointError."""
    try:
        session = ort.InferenceSession(path, _options(), providers=["CPUExecutionProvider"])
        known = session.get_modelmeta().custom_metadata_map
        values = {name: json.loads(known[name]) for name in NetworkSpec.model_fields if name in known}
    except Exception as problem:  # its errors have no class in common
        raise CheckpointError(
            "{file} cannot be read by ONNX Runtime", where=str(path), why=reason(problem), fix="export the network again", file=path.name
        ) from problem
    return session, parse_settings(NetworkSpec, values, where=str(path), error=CheckpointError), known


def metadata_of(spec: NetworkSpec) -> dict[str, str]:
    """What is written into a file beside the graph."""
    how = PIXELS if spec.modality == "image" else {}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in spec.to_dict().items()} | how


def _options() -> ort.SessionOptions:  # pyright: ignore[reportUnknownParameterType]  # it ships no types
    """A thread for each core of this process, or as many as OMP_NUM_THREADS says; those that wait sleep, since others train beside them."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or len(own_cores()))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
