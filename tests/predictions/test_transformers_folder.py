"""A network as a folder for plain transformers says the same in a process that has nothing of ours."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig

from core.base.errors import StateError
from core.predictions.transformers_folder import MOST, write_folder
from tests.onnx.text_networks import CLASSES, WORDS, keep_text_network

TEXTS = ["goal 경기", "vote <e> shares", "", "unheard of", " ".join([*WORDS] * 5)]
NETWORKS: dict[str, dict[str, Any]] = {
    "bert, its mean": {"family": "bert"},
    "a decoder, its last token, the tail of long texts": {"family": "qwen3", "pooling": "last", "truncation": "tail", "one_vs_rest": True},
    "attention over four layers, windows, several labels, a marker": {
        "family": "electra",
        "pooling": "attention",
        "layers": "last4_concat",
        "truncation": "windows",
        "labels": "several",
        "marker": "<e>",
    },
    "the maximum of weighted layers, both ends": {"family": "bert", "pooling": "max", "layers": "weighted", "truncation": "head_tail"},
    "two levels, in bfloat16": {"family": "bert", "coarse": (0, 1, 1), "dtype": "bfloat16"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folder_says_what_its_network_says(name: str, tmp_path: Path) -> None:
    network, folder = keep_text_network(tmp_path / "kept", **NETWORKS[name]), tmp_path / "folder"
    folder.mkdir()
    assert write_folder(network, tmp_path / "kept", folder, TEXTS, name="run", weights_dir=tmp_path) <= MOST
    assert AutoConfig.from_pretrained(folder).id2label == dict(enumerate(CLASSES))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert not any(module.split(".")[0] in ("core", "models", "app") for module in imported)
    assert "Licence" in (folder / "README.md").read_text(encoding="utf-8")


def test_predict_py_runs_where_nothing_of_ours_is(tmp_path: Path) -> None:
    network, folder = (
        keep_text_network(tmp_path / "kept", **NETWORKS["attention over four layers, windows, several labels, a marker"]),
        tmp_path / "folder",
    )
    folder.mkdir()
    write_folder(network, tmp_path / "kept", folder, TEXTS, name="run", weights_dir=tmp_path)
    asked = subprocess.run(
        [sys.executable, str(folder / "predict.py"), *TEXTS],
        cwd=tmp_path,
        env={"PATH": "", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = [json.loads(line) for line in asked.stdout.splitlines()]
    np.testing.assert_allclose([list(row.values()) for row in said], network.predict(TEXTS), atol=1e-5)
    assert [*said[0]] == list(CLASSES)


@pytest.mark.parametrize(("changes", "why"), [({"clean": {"repeats": 2}}, "cleaned"), ({"t2": 1.2}, "tempered")])
def test_what_transformers_cannot_say_is_refused(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    network = keep_text_network(tmp_path / "kept", "bert", **changes)
    with pytest.raises(StateError, match="cannot be exported as a folder") as caught:
        write_folder(network, tmp_path / "kept", tmp_path, TEXTS, name="run", weights_dir=tmp_path)
    assert why in caught.value.why
