"""A trained network and its ONNX file say the same, from the files of images to the probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.base.errors import StateError
from core.onnx.export import BATCHES, MOST, export_network, export_text_network, quantise, quantise_text
from core.onnx.runtime import load_onnx
from core.onnx.text import load_onnx_text
from core.training.precision import Precision
from core.training.predictor import TorchPredictor, load_network
from tests.onnx.text_networks import WORDS, keep_text_network
from tests.training.small_tasks import IMAGE, TEXT, make_task, recipe_of, train

pytestmark = pytest.mark.slow  # networks train here

SHORT = {"epochs": 1, "batch_size": 8}
RECIPES: dict[str, dict[str, Any]] = {
    "convolutional, in three views": {**IMAGE, "predict": {"views": ["plain", "mirror", "rotate90"]}},
    "mobile, with a tempered softmax": {
        **IMAGE,
        "model": {"backbone": "test_efficientnet.r160_in1k", "pretrained": False},
        "loss": {"kind": "bi_tempered"},
    },
    "vision transformer, pooled by GeM, in bf16, asked for each class": {
        **IMAGE,
        "model": {"backbone": "test_vit.r160_in1k", "pretrained": False, "global_pool": "gem"},
        "train": {"precision": "bf16"},
        "loss": {"kind": "bce"},
    },
}


def trained(folder: Path, base: dict[str, Any], **changes: Any) -> tuple[TorchPredictor, list[Path]]:
    """A small network that trained for an epoch, in fp32, and the files of the test rows, which are resized on the way."""
    task = make_task(folder, recipe_of(base, train=SHORT), **changes)
    train(task)
    network = load_network(task.network_dir)
    assert isinstance(network, TorchPredictor)
    return replace(network, precision=Precision("fp32", "")), [Path(path) for path in task.test_inputs]


@pytest.mark.parametrize("name", RECIPES)
def test_a_file_says_what_its_network_says(name: str, tmp_path: Path) -> None:
    network, rows = trained(tmp_path, RECIPES[name])
    parity = export_network(network, tmp_path / "network.onnx", rows)
    assert len(parity.differences) == len(BATCHES) and max(parity.differences) <= MOST and parity.argmax_agreement == 1
    exported = load_onnx(tmp_path / "network.onnx")
    ours, theirs = network.predict(rows), exported.predict(rows)
    np.testing.assert_allclose(theirs, ours, atol=MOST)
    assert exported.spec == network.spec and (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()


def test_int8_is_near_and_keeps_what_the_file_says(tmp_path: Path) -> None:
    network, rows = trained(tmp_path, IMAGE)
    export_network(network, tmp_path / "network.onnx", rows)
    plain = load_onnx(tmp_path / "network.onnx")
    assert quantise(tmp_path / "network.onnx", tmp_path / "int8.onnx", [plain.read(path) for path in rows]) in (7, 8)
    small = load_onnx(tmp_path / "int8.onnx")
    assert small.spec == plain.spec
    difference = np.abs(small.predict(rows) - plain.predict(rows)).max()
    assert 0 < difference < 0.1, "integers, and not another network"


def test_several_labels_have_a_probability_each(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (48, 3))
    network, rows = trained(tmp_path, IMAGE, labels=labels, is_multilabel=True)
    export_network(network, tmp_path / "network.onnx", rows)
    prob = load_onnx(tmp_path / "network.onnx").predict(rows)
    np.testing.assert_allclose(prob, network.predict(rows), atol=MOST)
    assert (np.abs(prob.sum(axis=1) - 1) > 0.01).any()


def test_a_file_that_would_say_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, rows = trained(tmp_path, IMAGE)
    exported = torch.onnx.export

    def export_another(model: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        with torch.no_grad():
            next(iter(model.parameters())).add_(0.05)
        program = exported(model, *arguments, **options)
        with torch.no_grad():
            next(iter(model.parameters())).sub_(0.05)
        return program

    monkeypatch.setattr(torch.onnx, "export", export_another)
    with pytest.raises(StateError, match="says something else"):
        export_network(network, tmp_path / "network.onnx", rows)


def test_views_that_need_torch_are_refused(tmp_path: Path) -> None:
    network, rows = trained(tmp_path, IMAGE)
    asked = replace(network, spec=network.spec.model_copy(update={"views": ("plain", "noise")}))
    with pytest.raises(StateError, match="in the views noise cannot be exported"):
        export_network(asked, tmp_path / "network.onnx", rows)


TEXTS: dict[str, dict[str, Any]] = {
    "of one label, cut": TEXT,
    "in windows, asked for each class": {
        **TEXT,
        "input": {"max_tokens": 8, "truncation": "windows", "windows": 3},
        "loss": {"kind": "bce"},
    },
}


def trained_on_texts(folder: Path, base: dict[str, Any], **changes: Any) -> tuple[TorchPredictor, Path]:
    """A small network of texts in fp32, and the file of its tokenizer."""
    task = make_task(folder, recipe_of(base, train=SHORT), **changes)
    train(task)
    network = load_network(task.network_dir)
    assert isinstance(network, TorchPredictor)
    return replace(network, precision=Precision("fp32", "")), task.network_dir / "tokenizer.json"


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_of_texts_says_what_its_network_says(name: str, tmp_path: Path) -> None:
    network, tokenizer = trained_on_texts(tmp_path, TEXTS[name])
    texts = ["", "경기 rises", "goal", "vote shares profit " * 20, *(f"match {'falls once more ' * n}" for n in range(6))]
    parity = export_text_network(network, tmp_path / "network.onnx", texts[:3], tokenizer)
    assert max(parity.differences) <= MOST
    exported = load_onnx_text(tmp_path / "network.onnx")
    ours = network.predict(texts)
    np.testing.assert_allclose(exported.predict(texts), ours, atol=MOST)
    np.testing.assert_allclose(exported.predict(texts[3:4]), ours[3:4], atol=MOST)
    assert exported.spec == network.spec
    assert quantise_text(tmp_path / "network.onnx", tmp_path / "int8.onnx") in (7, 8)
    difference = np.abs(load_onnx_text(tmp_path / "int8.onnx").predict(texts) - ours).max()
    assert 0 < difference < 0.1, "integers, and not another network"


def test_a_tokenizer_that_cannot_stand_in_the_file_is_refused(tmp_path: Path) -> None:
    network, _ = trained_on_texts(tmp_path, TEXT)
    with pytest.raises(StateError, match="cannot be exported") as caught:
        export_text_network(network, tmp_path / "network.onnx", ["goal"], tmp_path / "none.json")
    assert "tokenizer" in caught.value.why


NETWORKS: dict[str, dict[str, Any]] = {
    "a decoder by the last token of weighted layers": {"family": "qwen3", "pooling": "last", "layers": "weighted", "dtype": "bfloat16"},
    "attention over four layers, several labels in windows, a marker": {
        "family": "electra",
        "pooling": "attention",
        "layers": "last4_concat",
        "labels": "several",
        "truncation": "windows",
        "marker": "<e>",
    },
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_way_to_read_tokens_is_exported(name: str, tmp_path: Path) -> None:
    network = keep_text_network(tmp_path / "kept", **NETWORKS[name])
    texts = ["goal <e> 경기", "", "vote", " ".join([*WORDS] * 5), "rises falls rises"]
    parity = export_text_network(network, tmp_path / "network.onnx", texts, tmp_path / "kept" / "tokenizer.json")
    assert max(parity.differences) <= MOST
    prob = load_onnx_text(tmp_path / "network.onnx").predict(texts)
    np.testing.assert_allclose(prob, network.predict(texts), atol=MOST)
    assert (np.abs(prob.sum(axis=1) - 1) > 0.01).any() == (network.spec.labels == "several")
    assert np.ptp(prob, axis=0).max() > 0.01, "what is compared depends on the text"
