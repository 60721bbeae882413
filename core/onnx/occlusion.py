"""What networks say of one image, and which region of it mattered: parts are greyed, and the fall of a class's probability is mapped (Zeiler
and Fergus 2014, arXiv 1311.2901). Needs no gradient, so it works on any runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.onnx.runtime import BATCH, Array, Images, OnnxPredictor

CELLS = 8
"""The map has so many cells each way. What is greyed at a time are two by two of them, so that a part on the border of cells is covered too."""

SHOWN_PX = 480


@dataclass(frozen=True)
class Region:
    """`falls` (CELLS, CELLS): of each cell, by how much the class's probability falls, in the mean of the squares that cover it.

    `box` is the square around the cell where it falls the most, as shares of width and height: left, top, right, bottom; `fall` that of
    this cell. `network` is the number of the network that was asked.
    """

    falls: Array
    box: tuple[float, float, float, float]
    fall: float
    network: int


@dataclass(frozen=True)
class Look:
    """What the networks of a run say of one image: probabilities `prob` (n_classes,), the image with at most SHOWN_PX a side, and the region that
    mattered for the likeliest class."""

    prob: Array
    image: Image.Image
    region: Region


def look_at(folds: Sequence[Sequence[OnnxPredictor]], name: str, content: bytes) -> Look:
    """Predict an image from the bytes of its file, as `predict_run` does: the mean over folds of the mean over a fold's networks.

    Raises InputError, which names the file `name`.
    """
    networks = [network for fold in folds for network in fold]
    image = networks[0].open(Path(name), content=content)
    of_fold = [np.mean([network.predict_images(network.pixels_of(image)[None])[0] for network in fold], axis=0) for fold in folds]
    prob = np.asarray(np.mean(of_fold, axis=0, dtype=np.float64), dtype=np.float32)
    region = find_region(networks, [network.pixels_of(image) for network in networks], int(prob.argmax()))
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return Look(prob, image, region)


def find_region(networks: Sequence[OnnxPredictor], images: Sequence[Images], label: int) -> Region:
    """The region of an image that mattered for the class `label`, asked of the network that is surest of it.

    `images` (3, size, size) are the image as each of the networks reads it.
    """
    sure = [float(network.predict_images(image[None])[0, label]) for network, image in zip(networks, images, strict=True)]
    number = int(np.argmax(sure))
    network, image = networks[number], images[number]
    greyed = _greyed(image, np.round(np.asarray(network.spec.mean) * 255).astype(np.uint8))
    prob = np.concatenate([network.predict_images(greyed[start : start + BATCH])[:, label] for start in range(0, len(greyed), BATCH)])
    squares = (sure[number] - prob).reshape(CELLS + 1, CELLS + 1)
    falls = (squares[:-1, :-1] + squares[1:, :-1] + squares[:-1, 1:] + squares[1:, 1:]) / 4
    row, column = (int(place) for place in np.unravel_index(falls.argmax(), falls.shape))
    left, top = ((place - 0.5) / CELLS for place in (column, row))
    box = (max(0.0, left), max(0.0, top), min(1.0, left + 2 / CELLS), min(1.0, top + 2 / CELLS))
    return Region(falls.astype(np.float32), box, float(falls[row, column]), number)


def _greyed(image: Images, grey: NDArray[np.uint8]) -> Images:
    """Copies of an image ((CELLS + 1) ** 2, 3, size, size), a square greyed in each: rows of squares from above, each from the left.

    Grey is the mean of the network's normalisation, so next to nothing once pixels are normalised.
    """
    size = image.shape[-1]
    edges = [round(place * size / CELLS) for place in range(CELLS + 1)]
    copies = np.repeat(image[None], (CELLS + 1) ** 2, axis=0)
    for number, copy in enumerate(copies):
        row, column = divmod(number, CELLS + 1)
        (top, bottom), (left, right) = ((edges[max(0, place - 1)], edges[min(CELLS, place + 1)]) for place in (row, column))
        copy[:, top:bottom, left:right] = grey[:, None, None]
    return copies
