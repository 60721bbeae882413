"""What a checkpoint holds: the state of a fold that cannot be derived from its seed, as safetensors and JSON; no pickle.

Not in it, because it is derived: the order of rows, augmentation, dropout, the learning rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from core.artefacts import load_manifest
from core.base.errors import AlignmentError, CheckpointError
from core.base.files import write_json
from core.base.messages import msg, reason
from core.specs.progress import EpochReport
from core.training.checkpoint import LAYOUT
from core.training.weights import copy_weights

STATE_FILE = "state.json"
Tensors = dict[str, Tensor]


@dataclass
class TrainPosition:
    """How far a fold is, and what it has come to so far.

    `step` steps of `epoch` are done; `loss_sum` is the objective summed over their rows, `log_loss_sum` their plain cross-entropy,
    `epoch_s` their seconds. `epochs` are the reports of the epochs before. `resumed` has one entry for each time the fold went on
    from a checkpoint.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    log_loss_sum: float = 0.0
    epoch_s: float = 0.0
    elapsed_s: float = 0.0
    best_epoch: int = 0
    best_score: float | None = None
    epochs: list[dict[str, Any]] = field(default_factory=list)
    resumed: list[dict[str, Any]] = field(default_factory=list)

    def reports(self) -> list[EpochReport]:
        """The finished epochs as they were reported."""
        return [EpochReport(**report) for report in self.epochs]

    def next_epoch(self) -> None:
        """Go to the start of the epoch after."""
        self.epoch, self.step, self.loss_sum, self.log_loss_sum, self.epoch_s = self.epoch + 1, 0, 0.0, 0.0, 0.0


@dataclass
class TrainState:
    """All of it while a fold trains; `best` are the weights of the best epoch, empty before the first one ends."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    position: TrainPosition = field(default_factory=TrainPosition)
    best: Tensors = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        """A copy on the CPU, which training does not touch any more; the only part of a checkpoint that training waits for."""
        files = {"network": copy_weights(self.model), "optimizer": _copy_moments(self.model, self.optimizer)}
        if self.average is not None:
            files["average"] = copy_weights(self.average)
        if self.best:
            files["best"] = dict(self.best)  # replaced as a whole by a better one, never changed in place
        return Snapshot(TrainPosition(**json.loads(json.dumps(asdict(self.position)))), files)

    def restore(self, folder: Path) -> None:
        """Become what the checkpoint in `folder` holds. CheckpointError names whatever is missing; nothing is filled in."""
        manifest = load_manifest(folder)
        position, names = _read_position(folder)
        wanted = {"network", "optimizer", *(("average",) if self.average is not None else ()), *(("best",) if position.best_epoch else ())}
        for file in (STATE_FILE, *(f"{name}.safetensors" for name in sorted(wanted))):
            if file not in manifest.files:
                raise _missing(folder, msg("the sha256 of {file}", file=file))
        files: dict[str, Tensors] = {}
        for name in sorted(wanted):
            if name not in names:
                raise _missing(folder, msg("the tensors of {name}", name=name))
            files[name] = _read_tensors(folder, name, names[name])
        _load(self.model, files["network"], folder, "network")
        if self.average is not None:
            _load(self.average, files["average"], folder, "average")
        _load_moments(self.model, self.optimizer, files["optimizer"], folder)
        self.best = files.get("best", {})
        self.position = position


@dataclass(frozen=True)
class Snapshot:
    """A state that is ready to be written: its position, and tensors by file and name."""

    position: TrainPosition
    files: Mapping[str, Tensors]

    @property
    def n_bytes(self) -> int:
        """What its tensors take, in memory and on the disk."""
        return sum(tensor.nbytes for tensors in self.files.values() for tensor in tensors.values())

    def write(self, folder: Path) -> None:
        """Write it into a checkpoint's folder: one safetensors file per part, and `state.json` with the names of all tensors."""
        for name, tensors in self.files.items():
            save_file(tensors, folder / f"{name}.safetensors")
        names = {name: sorted(tensors) for name, tensors in self.files.items()}
        write_json(folder / STATE_FILE, {"layout": LAYOUT, "position": asdict(self.position), "tensors": names})


def _read_position(folder: Path) -> tuple[TrainPosition, dict[str, list[str]]]:
    try:
        raw = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CheckpointError("a checkpoint cannot be read", where=str(folder / STATE_FILE), why=reason(problem), fix=_FIX) from None
    if "layout" not in raw and "place" in raw:
        raw = _of_first_layout(raw)
    for key in ("layout", "position", "tensors"):
        if key not in raw:
            raise _missing(folder, key)
    if raw["layout"] != LAYOUT:
        why = msg("its layout is {found}, this version of Pitwall writes {known}", found=raw["layout"], known=LAYOUT)
        raise AlignmentError("this fold cannot be resumed: {names} changed", where=str(folder), why=why, fix=_FIX, names="layout")
    for item in fields(TrainPosition):
        if item.name not in raw["position"]:
            raise _missing(folder, f"position.{item.name}")
    for number, report in enumerate(raw["position"]["epochs"], start=1):
        for item in fields(EpochReport):
            if item.name not in report:
                raise _missing(folder, msg("{name} of the report of epoch {epoch}", name=item.name, epoch=number))
    return TrainPosition(**raw["position"]), raw["tensors"]


def _of_first_layout(raw: dict[str, Any]) -> dict[str, Any]:
    """A state of layout 1 as one of now: the objective was the plain cross-entropy then."""
    position = dict(raw["place"])
    if "loss_sum" in position:
        position["log_loss_sum"] = position["loss_sum"]
    if "epochs" in position:
        position["epochs"] = [{"train_log_loss": report.get("train_loss"), **report} for report in position["epochs"]]
    return {"layout": LAYOUT, "position": position, **{key: raw[key] for key in raw if key != "place"}}


def _read_tensors(folder: Path, name: str, names: list[str]) -> Tensors:
    path = folder / f"{name}.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise CheckpointError("a checkpoint cannot be read", where=str(path), why=reason(problem), fix=_FIX) from None
    absent = sorted(set(names) ^ set(tensors))  # a tensor, or its name where all of them are listed
    if absent:
        raise _missing(folder, msg("{names} of {name}", names=", ".join(absent), name=name))
    return tensors


def _load(module: nn.Module, tensors: Tensors, folder: Path, name: str) -> None:
    own = module.state_dict()
    absent = [key for key in own if key not in tensors]
    if absent:
        raise _missing(folder, msg("{names} of {name}", names=", ".join(absent), name=name))
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as problem:
        why = " ".join(str(problem).split())[:300]
        raise CheckpointError("the {name} of a checkpoint does not fit", where=str(folder), why=why, fix=_FIX, name=name) from None


def _copy_moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """The optimiser's state as `exp_avg/<parameter>` and so on; parameters that never had a gradient have none."""
    found: Tensors = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"{key}/{name}"] = value.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
    return found


def _load_moments(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Tensors, folder: Path) -> None:
    if not tensors:
        raise _missing(folder, "the moments of its optimiser")
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        by_parameter.setdefault(name, {})[kind] = tensor
    kinds = {kind for parts in by_parameter.values() for kind in parts}
    parameters = dict(model.named_parameters())
    for name, parts in by_parameter.items():
        for kind in sorted(kinds):
            if kind not in parts:
                raise _missing(folder, msg("{names} of {name}", names=f"{kind}/{name}", name="optimizer"))
        if name not in parameters:
            raise CheckpointError(
                "the optimiser of a checkpoint does not fit", where=str(folder), why="there is no {name}", fix=_FIX, name=name
            )
        parameter = parameters[name]
        state = optimizer.state[parameter]
        for kind, tensor in parts.items():
            # A moment lies in memory as its parameter does (channels last, say): a fused kernel walks both in step.
            same_shape = tensor.shape == parameter.shape
            state[kind] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor) if same_shape else tensor.to(parameter.device)


_FIX = "the checkpoint before it can be resumed from; else retry the run from nothing"


def _missing(folder: Path, what: str) -> CheckpointError:
    return CheckpointError(
        "a checkpoint lacks {name}",
        where=str(folder),
        why="a state that is not whole would train on differently, unseen",
        fix=_FIX,
        name=what,
    )
