"""From a trained network to one ONNX file that says the same, and to its int8 version. Needs torch.

The exporter is that of `torch.export`, torch's default since 2.9, which reads a dynamic batch, and of texts a dynamic length, from the graph itself.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.base.errors import StateError
from core.base.messages import reason
from core.data.texts import TextRows
from core.onnx.runtime import BATCH, INPUT, OUTPUT, VIEWS, Images, OnnxPredictor, load_onnx, metadata_of
from core.onnx.text import INPUTS, LOGITS, OnnxTextPredictor, load_onnx_text, text_metadata
from core.specs.network import NetworkSpec
from core.training.loss import Activation
from core.training.precision import Precision
from core.training.predictor import TorchPredictor
from models.spec import Pixels

OPSET = 20
"""Read by every ONNX Runtime since 1.17 (January 2024)."""
MOST = 1e-4
"""A probability may differ by so much from torch's in fp32."""
BATCHES = (1, 2, 5)
"""The batches in which a file is compared with its network."""
QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Concat")
"""Operators that int8 computes. The last layer's output stays fp32: 8 bits of logits would be steps of a tenth."""
N_IN_FLOAT = 2
"""The first convolutions stay fp32: they are next to no work, and in int8 they cost EfficientNet-Lite0 more log loss than all others together."""


@dataclass(frozen=True)
class Parity:
    """How a file and its network differ on the same rows, from the file or the text to the probability: the largest difference of a probability at
    each batch of BATCHES, and the share of rows whose likeliest class is the same."""

    differences: tuple[float, ...]
    argmax_agreement: float


class _ImageGraph(nn.Module):
    """A classifier with its activation behind it, over pixels."""

    def __init__(self, model: nn.Module, activation: Activation) -> None:
        super().__init__()
        self.model, self.activation = model, activation

    def forward(self, image: Tensor) -> Tensor:
        return self.activation.probabilities(self.model({INPUT: image}).float())


class _TextGraph(nn.Module):
    """A classifier with its activation behind it, over token ids; its logits too, whose mean over windows predicts."""

    def __init__(self, model: nn.Module, activation: Activation) -> None:
        super().__init__()
        self.model, self.activation = model, activation

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model({"input_ids": input_ids, "attention_mask": attention_mask}).float()
        return self.activation.probabilities(logits), logits


def export_network(network: TorchPredictor, path: Path, rows: Sequence[Path]) -> Parity:
    """Write an image network on the CPU to `path` and compare the two on images at `rows`, five at the most.

    A file above 2 GB has its weights beside it. Raises StateError for a network that ONNX cannot say, or whose file says something else.
    """
    spec = _with_pixels(network)
    if made_by_torch := [view for view in spec.views if view not in VIEWS]:
        raise StateError(
            "a network that predicts in the views {views} cannot be exported",
            where=spec.backbone,
            why="the views are made by torch; ONNX Runtime has {known}",
            fix="export the run that the views were added to, or predict with torch",
            views=", ".join(made_by_torch),
            known=", ".join(VIEWS),
        )
    graph = _ImageGraph(network.model.to(memory_format=torch.contiguous_format), _activation(spec))  # pyright: ignore[reportCallIssue]
    example = torch.zeros((2, 3, spec.input_px, spec.input_px), dtype=torch.uint8)
    _write(graph, {INPUT: (example, {0: "batch"})}, (OUTPUT,), path, spec, metadata_of(spec))
    return _checked(path, compare(replace(network, precision=Precision("fp32", "compared")), load_onnx(path), rows))


def export_text_network(network: TorchPredictor, path: Path, rows: Sequence[str], tokenizer: Path) -> Parity:
    """Write a text network on the CPU to `path`, with the tokenizer whose JSON is in a file, and compare the two on the texts `rows` and on ones
    that are as long as it reads.

    Raises StateError for a network that ONNX cannot say, one without such a tokenizer, or whose file says something else.
    """
    spec = network.spec
    if not tokenizer.is_file():
        raise StateError(
            "{backbone} cannot be exported to ONNX",
            where=str(tokenizer),
            why="its tokenizer is none of the library tokenizers, so that it cannot stand in the file",
            fix="predict with torch",
            backbone=spec.backbone,
        )
    if spec.truncation == "windows" and spec.t2 != 1:
        raise StateError(
            "{backbone} cannot be exported to ONNX",
            where=str(path),
            why="the mean over windows has no tempered softmax outside torch",
            fix="predict with torch",
            backbone=spec.backbone,
        )
    made = network.make_rows([], [])
    assert isinstance(made, TextRows)
    inputs = {name: (torch.ones((2, 7), dtype=torch.int64), {0: "batch", 1: "length"}) for name in INPUTS}  # one tensor would be one input
    known = metadata_of(spec) | text_metadata(tokenizer.read_text(encoding="utf-8"), made.cut, made.pad_id)
    network.model.float()  # bfloat16 in float32 is the same numbers, and what ONNX Runtime computes with
    _write(_TextGraph(network.model, _activation(spec)), inputs, (OUTPUT, LOGITS), path, spec, known)
    exported = load_onnx_text(path)
    longest = " ".join([*rows, *(["text"] * spec.max_tokens)])
    return _checked(path, compare(replace(network, precision=Precision("fp32", "compared")), exported, [*rows[:1], longest, *rows[1:]]))


def _activation(spec: NetworkSpec) -> Activation:
    return Activation(spec.labels == "several", spec.one_vs_rest, spec.t2)


def _write(
    graph: nn.Module,
    inputs: Mapping[str, tuple[Tensor, dict[int, str]]],
    outputs: Sequence[str],
    path: Path,
    spec: NetworkSpec,
    known: dict[str, str],
) -> None:
    """Export a graph with an example of each input and the names of its dynamic axes."""
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # torch's fused encoder layer is no operator of ONNX
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # what its libraries say to each other
            program = torch.onnx.export(
                graph.eval(),
                tuple(example for example, _ in inputs.values()),
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamic_shapes={name: axes for name, (_, axes) in inputs.items()},
                verbose=False,
            )
        assert program is not None
        program.model.metadata_props.update(known)
        program.save(path, external_data=False)
    except Exception as problem:  # the exporter's errors have no class in common
        raise StateError(
            "{backbone} cannot be exported to ONNX",
            where=str(path),
            why=reason(problem)[:300],
            fix="predict with torch",
            backbone=spec.backbone,
        ) from problem
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


def _checked(path: Path, parity: Parity) -> Parity:
    """Raise StateError where a file differs too much from its network."""
    if max(parity.differences) > MOST:
        raise StateError(
            "the ONNX file says something else than its network",
            where=str(path),
            why="a probability differs by {n:.1e}, more than {most:.0e}",
            fix="predict with torch",
            n=max(parity.differences),
            most=MOST,
        )
    return parity


def _with_pixels(network: TorchPredictor) -> NetworkSpec:
    """What a network is; one that an earlier version kept says itself how images reach it."""
    pixels: Pixels | None = getattr(network.model, "pixels", None)
    if network.spec.mean or pixels is None:
        return network.spec
    return network.spec.model_copy(update={"interpolation": pixels.interpolation, "mean": pixels.mean, "std": pixels.std})


def compare(network: TorchPredictor, exported: OnnxPredictor | OnnxTextPredictor, rows: Sequence[Path] | Sequence[str]) -> Parity:
    """What both say of the same images or texts, which are repeated where there are fewer than the largest of BATCHES."""
    differences, same = list[float](), list[bool]()
    for n in BATCHES:
        batch = [rows[number % len(rows)] for number in range(n)]
        ours, theirs = network.predict(batch), exported.predict(batch)  # pyright: ignore[reportArgumentType]
        differences.append(float(np.abs(ours - theirs).max()))
        same += (ours.argmax(axis=1) == theirs.argmax(axis=1)).tolist()
    return Parity(tuple(differences), float(np.mean(same)))


def has_fast_int8() -> bool:
    """Whether this processor adds products of eight bits in 32 (VNNI; ARM always does). Without, weights need seven bits, or sums overflow."""
    abilities: dict[str, Any] = dict(torch.cpu.get_capabilities())
    return "x86" not in str(abilities.get("architecture", "")) or any(abilities.get(name) for name in ("avx512_vnni", "avx_vnni"))


def quantise(source: Path, path: Path, images: Sequence[Images]) -> int:
    """Write the int8 version of a file to `path`, its ranges those that `images` (n, 3, size, size) reach; returns the bits of its weights.

    Static, with QuantizeLinear and DequantizeLinear around what is computed in int8, a scale for each channel of weights.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[Images] = (np.stack(images[at : at + BATCH]) for at in range(0, len(images), BATCH))

        def get_next(self) -> dict[str, Any] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    is_narrow = not has_fast_int8()
    logging.getLogger("onnxruntime.quantization").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)
        convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        quantize_static(
            prepared,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=convolutions[:N_IN_FLOAT],
            per_channel=True,
            reduce_range=is_narrow,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
    _keep_metadata(source, path)
    return 7 if is_narrow else 8


def quantise_text(source: Path, path: Path) -> int:
    """Write the int8 version of a text network's file to `path`; returns the bits of its weights.

    Dynamic: the weights of linear layers are integers with a scale for each channel, the ranges of what they read are found for each batch.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    is_narrow = not has_fast_int8()
    logging.getLogger("onnxruntime.quantization").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_dynamic(
            source, path, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, reduce_range=is_narrow, weight_type=QuantType.QInt8
        )
    finally:
        logging.getLogger().removeFilter(_no_advice)
    _keep_metadata(source, path)
    return 7 if is_narrow else 8


def _no_advice(record: logging.LogRecord) -> bool:
    """Whether what the root logger hears is none of the quantiser's advice, which it gives whoever asks."""
    return "quant_pre_process" not in record.getMessage() and "pre-processing before quantization" not in record.getMessage()


def _keep_metadata(source: Path, path: Path) -> None:
    import onnx

    model = onnx.load(path)
    known = {entry.key: entry.value for entry in onnx.load(source, load_external_data=False).metadata_props}
    onnx.helper.set_model_props(model, known)
    onnx.save(model, path)
