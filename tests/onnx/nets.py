"""Hand-built ONNX networks, so that what they must say is known without training, and without torch: one looks for a red square, one for a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from core.data.tokens import Cut
from core.onnx.runtime import INPUT, OUTPUT, metadata_of
from core.onnx.text import INPUTS, LOGITS, text_metadata
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


def write_reader(path: Path, classes: tuple[str, ...], *, key: str, fold: int = 0) -> None:
    """A network of texts whose first class is likely where the word `key` stands, and unlikely elsewhere."""
    values = {
        "modality": "text",
        "labels": "one",
        "classes": classes,
        "fold": fold,
        "backbone": "by hand",
        "library": "builtin",
        "max_tokens": 512,
    }
    spec = NetworkSpec.model_validate(values)
    weights, bias = np.zeros((1, len(classes)), dtype=np.float32), np.zeros(len(classes), dtype=np.float32)
    weights[0, 0], bias[0] = 6, -3
    nodes = [
        helper.make_node("Equal", [INPUTS[0], "key"], ["is_key"]),
        helper.make_node("Cast", ["is_key"], ["found"], to=TensorProto.FLOAT),
        helper.make_node("Cast", [INPUTS[1]], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["found", "mask"], ["read"]),
        helper.make_node("ReduceMax", ["read", "axis"], ["any"], keepdims=1),
        helper.make_node("MatMul", ["any", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [LOGITS]),
        helper.make_node("Softmax", [LOGITS], [OUTPUT], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in INPUTS],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", len(classes)]) for name in (OUTPUT, LOGITS)],
        [
            numpy_helper.from_array(np.array(2, dtype=np.int64), "key"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, key: 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    helper.set_model_props(model, metadata_of(spec) | text_metadata(tokenizer.to_str(), Cut.made(spec, [1], []), 0))
    onnx.save(model, path)
