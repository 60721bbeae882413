"""What ONNX Runtime predicts from a file alone, and which region mattered, by a network whose answers are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.base.errors import CheckpointError, InputError
from core.onnx.occlusion import find_region
from core.onnx.runtime import VIEWS, load_onnx
from tests.onnx.nets import CLASSES, SIDE, SQUARE, spec_of_finder, write_finder, write_reader

ROOT = Path(__file__).parents[2]


@pytest.fixture
def finder(tmp_path: Path) -> Path:
    path = tmp_path / "finder.onnx"
    write_finder(path)
    return path


def with_square(rng: np.random.Generator) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Noise with a red square somewhere, and the middle of it as shares of width and height."""
    image = rng.integers(40, 216, (3, SIDE, SIDE)).astype(np.uint8)
    top, left = rng.integers(0, SIDE - SQUARE, 2)
    image[:, top : top + SQUARE, left : left + SQUARE] = np.array([230, 20, 20])[:, None, None]
    return image, ((left + SQUARE / 2) / SIDE, (top + SQUARE / 2) / SIDE)


def test_a_planted_square_is_the_region_that_mattered(finder: Path) -> None:
    network, rng, n_right = load_onnx(finder), np.random.default_rng(0), 0
    for _ in range(40):
        image, (x, y) = with_square(rng)
        region = find_region([network], [image], 0)
        left, top, right, bottom = region.box
        n_right += left <= x <= right and top <= y <= bottom
        assert region.fall > 0.1 and region.falls.max() == np.float32(region.fall)
    assert n_right >= 36, "nine tenths of them"


def test_the_region_is_asked_of_the_network_that_is_surest(finder: Path, tmp_path: Path) -> None:
    image, _ = with_square(np.random.default_rng(1))
    blind = np.full_like(image, 128)
    network = load_onnx(finder)
    assert find_region([network, network], [blind, image], 0).network == 1
    assert find_region([network, network], [image, blind], 0).network == 0


def test_a_file_says_all_that_is_needed_to_predict_with_it(finder: Path, tmp_path: Path) -> None:
    known = {entry.key: entry.value for entry in onnx.load(finder).metadata_props}
    assert all(name in known for name in ("classes", "mean", "std", "input_px", "interpolation", "channel_order", "crop", "views"))
    network = load_onnx(finder)
    assert network.spec == spec_of_finder() and network.spec.classes == CLASSES
    image, _ = with_square(np.random.default_rng(2))
    path = tmp_path / "image.png"
    Image.fromarray(image.transpose(1, 2, 0)).save(path)
    prob = network.predict([path] * 35)
    assert prob.shape == (35, 2) and np.allclose(prob.sum(axis=1), 1) and prob[0, 0] > 0.9
    assert prob[:1].tobytes() == network.predict_images(network.read(Path("dropped.png"), content=path.read_bytes())[None]).tobytes()
    with pytest.raises(InputError, match="is not an image"):
        network.read(Path("dropped.png"), content=b"none")
    with pytest.raises(InputError, match="not the one that was registered"):
        network.predict([path], sha256=["0" * 64])


def test_of_several_views_the_mean_is_predicted(tmp_path: Path) -> None:
    views = ("mirror", "flip", "rotate90")
    write_finder(tmp_path / "views.onnx", spec_of_finder(views=views))
    image, _ = with_square(np.random.default_rng(3))
    network = load_onnx(tmp_path / "views.onnx")
    turned = [image[..., ::-1], image[:, ::-1], np.rot90(image, 1, (1, 2))]
    alone = [network._run(np.ascontiguousarray(each[None])) for each in turned]  # pyright: ignore[reportPrivateUsage]
    np.testing.assert_allclose(network.predict_images(image[None]), np.mean(alone, axis=0), atol=1e-6)
    assert set(VIEWS) <= set(get_args(type(network.spec).model_fields["views"].annotation)[0].__args__)


def test_what_is_no_network_is_refused_by_name(finder: Path, tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"none")
    with pytest.raises(CheckpointError, match=r"none\.onnx cannot be read by ONNX Runtime"):
        load_onnx(tmp_path / "none.onnx")
    model = onnx.load(finder)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "silent.onnx")
    with pytest.raises(CheckpointError):
        load_onnx(tmp_path / "silent.onnx")


def test_predicting_and_explaining_load_no_torch(finder: Path, tmp_path: Path) -> None:
    write_reader(tmp_path / "reader.onnx", CLASSES, key="goal")
    program = f"""
import sys
from pathlib import Path
import numpy as np
from core.onnx.occlusion import find_region
from core.onnx.runtime import load_onnx
from core.onnx.text import load_onnx_text
from core.predictions.words import look_at_text
network = load_onnx({str(finder)!r})
image = np.zeros((3, {SIDE}, {SIDE}), dtype=np.uint8)
assert network.predict_images(image[None]).shape == (1, 2)
find_region([network], [image], 0)
reader = load_onnx_text(Path({str(tmp_path / "reader.onnx")!r}))
text = "late goal wins"
assert look_at_text([[reader]], text).words.strongest(text, 1)[0][0] == "goal"
print(*sorted(name for name in ("torch", "torchvision", "timm", "transformers") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
