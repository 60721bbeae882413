"""A hand-built ONNX network that looks for a red square, so that what it must say is known without training, and without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.onnx.runtime import INPUT, OUTPUT, metadata_of
from core.specs.network import NetworkSpec

SIDE, SQUARE = 64, 9
CLASSES = ("빨간 사각형", "none")


def spec_of_finder(**changes: object) -> NetworkSpec:
    """What the finder is."""
    values = {
        "modality": "image",
        "labels": "one",
        "classes": CLASSES,
        "fold": 0,
        "backbone": "by hand",
        "library": "builtin",
        "input_px": SIDE,
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
    }
    return NetworkSpec.model_validate({**values, **changes})


def write_finder(path: Path, spec: NetworkSpec | None = None) -> None:
    """A network whose first class is the likelier the redder the reddest square of SQUARE pixels is; what is grey is of the others."""
    spec = spec or spec_of_finder()
    redness = np.zeros((len(spec.classes), 3, SQUARE, SQUARE), dtype=np.float32)
    redness[0] = np.array([1.0, -0.5, -0.5])[:, None, None] / SQUARE**2 / 25
    bias = np.zeros(len(spec.classes), dtype=np.float32)
    bias[0] = -2
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["pixels", "redness", "bias"], ["map"]),
        helper.make_node("GlobalMaxPool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "finder",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(spec.classes)])],
        [numpy_helper.from_array(redness, "redness"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, metadata_of(spec))
    onnx.save(model, path)
