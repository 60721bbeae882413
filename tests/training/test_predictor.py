"""A trained network predicts again from its folder alone, and says the same to the last byte."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.artefacts import MANIFEST, verify, write_manifest
from core.base.errors import CheckpointError
from core.specs.network import NETWORK_FILE, read_network_spec
from core.training.network import WEIGHTS_FILE
from core.training.predictor import TorchPredictor, load_network
from tests.training.small_tasks import IMAGE, TEXT, make_task, recipe_of, train

pytestmark = pytest.mark.slow  # networks train here

SHORT = {"epochs": 1, "batch_size": 8}
RECIPES: dict[str, dict[str, Any]] = {
    "image": IMAGE,
    "text": TEXT,
    "image in three views": {**IMAGE, "train": SHORT, "predict": {"views": ["plain", "mirror", "rotate90"]}},
    "image in bf16": {**IMAGE, "train": {**SHORT, "precision": "bf16"}},
    "text in bf16, in parts, averaged": {**TEXT, "train": {**SHORT, "precision": "bf16", "accumulate": 3}, "average": {"ema": 0.9}},
    "image, asked for each class": {**IMAGE, "train": SHORT, "loss": {"kind": "bce"}},
    "text with a tempered softmax": {**TEXT, "train": SHORT, "loss": {"kind": "bi_tempered"}},
    "a transformer of fixed size": {**IMAGE, "model": {"backbone": "test_vit.r160_in1k", "pretrained": False}, "train": SHORT},
    "image pooled by GeM, in masks, computed again": {
        **IMAGE,
        "model": {
            "backbone": "test_vit.r160_in1k",
            "pretrained": False,
            "dropout": 0.2,
            "dropout_masks": 3,
            "global_pool": "gem",
            "grad_checkpointing": True,
        },
        "train": SHORT,
    },
    "text in windows, by length": {
        **TEXT,
        "input": {"max_tokens": 8, "truncation": "windows", "windows": 3},
        "train": {**SHORT, "group_by_length": True},
    },
    "text pooled by GeM": {**TEXT, "model": {"backbone": "tiny_transformer", "pretrained": False, "pooling": "gem"}, "train": SHORT},
    "EfficientNet-Lite0": {**IMAGE, "model": {"backbone": "tf_efficientnet_lite0.in1k", "drop_path": 0.1}, "train": SHORT},
    "MiniLM": {**TEXT, "model": {"backbone": "sentence-transformers/all-MiniLM-L6-v2"}, "train": SHORT},
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_predicts_again_from_its_folder_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path, recipe_of(RECIPES[name]))
    output, _, _ = train(task)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(task.network_dir, elsewhere)
    shutil.rmtree(task.out_dir)
    for module in ("models.text", "models.image"):
        monkeypatch.setattr(f"{module}.find_weights", lambda *_: pytest.fail("pretrained weights are looked for"))
    network = load_network(elsewhere)
    assert (network.spec.classes, network.spec.labels, network.spec.seed, network.spec.fold) == (task.classes, "one", 0, 0)
    assert network.predict(task.test_inputs).tobytes() == output.test_prob.tobytes()
    held_out: list[Any] = [task.inputs[row] for row in task.valid_idx]
    assert network.predict(held_out).tobytes() == output.valid_prob.tobytes()
    assert network.predict([]).shape == (0, 3)
    assert sorted(verify(elsewhere).files) == sorted(path.name for path in elsewhere.iterdir() if path.name != MANIFEST)


def test_of_several_views_the_mean_is_predicted(tmp_path: Path) -> None:
    """The views are pixels turned by hand here, each predicted alone by the same network; the files have its size."""
    turned = {"plain": np.asarray, "mirror": np.fliplr, "flip": np.flipud, "rotate90": np.rot90, "rotate180": lambda a: np.rot90(a, 2)}
    task = make_task(
        tmp_path, recipe_of(IMAGE, input={"size_px": 28}, train=SHORT, predict={"views": ["rotate180", "mirror", "flip", "rotate90"]})
    )
    output, _, _ = train(task)
    network = load_network(task.network_dir)
    assert isinstance(network, TorchPredictor) and network.spec.views == ("mirror", "flip", "rotate90", "rotate180")
    plain = dataclasses.replace(network, spec=network.spec.model_copy(update={"views": ("plain",)}))
    alone: list[NDArray[np.float32]] = []
    for view in network.spec.views:
        paths: list[Path] = [tmp_path / f"{view}-{number}.png" for number in range(len(task.test_inputs))]
        for source, path in zip(task.test_inputs, paths, strict=True):
            Image.fromarray(np.ascontiguousarray(turned[view](np.asarray(Image.open(source).convert("RGB"))))).save(path)
        alone.append(plain.predict(paths))
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    np.testing.assert_allclose(output.test_prob, np.mean(alone, axis=0), atol=1e-6)


def test_several_labels_have_a_probability_each(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (48, 3))
    task = make_task(tmp_path, recipe_of(TEXT), labels=labels, is_multilabel=True)
    output, _, _ = train(task)
    assert load_network(task.network_dir).predict(task.test_inputs).tobytes() == output.test_prob.tobytes()


def test_a_folder_that_is_damaged_or_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT, train=SHORT))
    train(task)
    whole = read_network_spec(task.network_dir)

    def changed(**values: Any) -> Path:
        folder = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(task.network_dir, folder)
        (folder / MANIFEST).unlink()
        (folder / NETWORK_FILE).write_text(json.dumps({**whole.to_dict(), **values}))
        write_manifest(folder, kind="network")
        return folder

    with pytest.raises(CheckpointError, match="nothing here loads this network") as caught:
        load_network(changed(family="boosted trees"))
    assert "boosted trees" in caught.value.why and "torch" in caught.value.why
    with pytest.raises(CheckpointError, match="setting"):
        load_network(changed(format=2))
    with pytest.raises(CheckpointError, match="weights cannot be loaded"):
        load_network(changed(classes=["a", "b"]))
    assert load_network(changed(view="")).spec == whole  # as the first files of format 1 are written
    folder = changed()
    raw = bytearray((folder / WEIGHTS_FILE).read_bytes())
    raw[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is damaged"):
        load_network(folder)
