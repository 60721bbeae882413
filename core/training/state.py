"""What a checkpoint holds: the state of a fold that cannot be derived from its seed, as safetensors and JSON; no pickle.

Not in it, because it is derived: the order of rows, augmentation, dropout, the learning rate. A writer saves it every so many seconds, at
the ends of epochs, and at once when training is told to stop.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel

from core.artefacts import load_manifest, publishing
from core.base.errors import AlignmentError, CheckpointError
from core.base.files import write_json
from core.base.messages import msg, reason
from core.specs.progress import EpochReport, Interrupted
from core.training.checkpoint import (
    KIND,
    LAYOUT,
    STATE_FILE,
    Checkpointing,
    checkpoint_name,
    list_checkpoints,
    newest_verified,
    prune,
    remove_checkpoints,
    remove_unfinished,
)
from core.training.network import copy_weights

AFFORDABLE = 0.01
"""The share of the time that checkpoints at the ends of epochs may take; those of the clock are few."""
_FIX = "the checkpoint before it can be resumed from; else retry the run from nothing"

log = logging.getLogger(__name__)
Tensors = dict[str, Tensor]


@dataclass
class TrainPosition:
    """How far a fold is, and what it has come to so far.

    `step` steps of `epoch` are done; `loss_sum` is the objective summed over their rows, `log_loss_sum` their plain cross-entropy,
    `n_right` how many of them were right (None where a checkpoint of before did not count them), `epoch_s` their seconds. `epochs` are
    the reports of the epochs before, `kept` those whose weights are in the checkpoint; `threads` says (epoch, step, n) from when on n threads computed, where that changed. `resumed` has one entry for each time the fold went on from a checkpoint.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    log_loss_sum: float = 0.0
    n_right: int | None = 0
    epoch_s: float = 0.0
    elapsed_s: float = 0.0
    kept: list[int] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    resumed: list[dict[str, Any]] = field(default_factory=list)
    threads: list[list[int]] = field(default_factory=list)

    def reports(self) -> list[EpochReport]:
        """The finished epochs as they were reported."""
        return [EpochReport(**report) for report in self.epochs]

    def add(self, loss: float, log_loss: float, n_right: int) -> None:
        """Add the sums of a step's rows."""
        self.loss_sum, self.log_loss_sum = self.loss_sum + loss, self.log_loss_sum + log_loss
        self.n_right = None if self.n_right is None else self.n_right + n_right

    def has_threads(self, n: int) -> None:
        """Note that the next step computes with n threads, where the last one that changed their number had others."""
        if self.threads and self.threads[-1][2] != n:
            self.threads.append([self.epoch, self.step + 1, n])

    def next_epoch(self) -> None:
        self.epoch, self.step, self.loss_sum, self.log_loss_sum, self.n_right, self.epoch_s = self.epoch + 1, 0, 0.0, 0.0, 0, 0.0


@dataclass
class TrainState:
    """All of it while a fold trains; `kept` are the weights of finished epochs (see averaging.py)."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    position: TrainPosition = field(default_factory=TrainPosition)
    kept: Mapping[int, Tensors] = field(default_factory=dict)
    scaler: GradScaler = field(default_factory=lambda: GradScaler("cpu", enabled=False))

    def snapshot(self) -> Snapshot:
        """A copy on the CPU, which training does not touch any more; the only part of a checkpoint that training waits for."""
        files = {"network": copy_weights(self.model), "optimizer": _copy_moments(self.model, self.optimizer)}
        if self.average is not None:
            files["average"] = copy_weights(self.average)
        if self.scaler.is_enabled():
            files["scaler"] = {name: torch.tensor(value) for name, value in self.scaler.state_dict().items()}
        # Replaced as a whole by better ones, never changed in place
        files |= {_kept_name(place): dict(weights) for place, weights in enumerate(self.kept.values())}
        position = TrainPosition(**json.loads(json.dumps(asdict(self.position))))
        return Snapshot(replace(position, kept=list(self.kept)), files)

    def restore(self, folder: Path) -> None:
        """Become what the checkpoint in `folder` holds. CheckpointError names whatever is missing; nothing is filled in."""
        manifest = load_manifest(folder)
        position, names = _read_position(folder)
        kept = [_kept_name(place) for place in range(len(position.kept))]
        wanted = {"network", "optimizer", *kept}
        wanted |= {name for name, is_there in (("average", self.average is not None), ("scaler", self.scaler.is_enabled())) if is_there}
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
        if self.scaler.is_enabled():
            self.scaler.load_state_dict({name: tensor.item() for name, tensor in files["scaler"].items()})
        self.kept = {epoch: files[name] for epoch, name in zip(position.kept, kept, strict=True)}
        self.position = position


def _kept_name(place: int) -> str:
    """The file of weights that are kept, by their place: the first as it was called when there was one."""
    return f"best-{place + 1}" if place else "best"


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
    if raw.get("layout") == 2:
        raw = _of_second_layout(raw)
    if raw.get("layout") == 3:
        raw = _of_third_layout(raw)
    if raw.get("layout") == 4:
        raw = _of_fourth_layout(raw)
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
    """A state of layout 1 as one of layout 2: the objective was the plain cross-entropy then."""
    position = dict(raw["place"])
    if "loss_sum" in position:
        position["log_loss_sum"] = position["loss_sum"]
    if "epochs" in position:
        position["epochs"] = [{"train_log_loss": report.get("train_loss"), **report} for report in position["epochs"]]
    return {"layout": 2, "position": position, **{key: raw[key] for key in raw if key != "place"}}


def _of_second_layout(raw: dict[str, Any]) -> dict[str, Any]:
    """A state of layout 2 as one of layout 3: of its epochs nobody knows how many training rows were right."""
    position = dict(raw.get("position", {}))
    if "step" in position:
        position["n_right"] = None if position["step"] else 0
    if "epochs" in position:
        position["epochs"] = [{**report, "train_accuracy": None} for report in position["epochs"]]
    return {**raw, "layout": 3} | ({"position": position} if "position" in raw else {})


def _of_third_layout(raw: dict[str, Any]) -> dict[str, Any]:
    """A state of layout 3 as one of layout 4: the number of threads stayed the same then."""
    return {**raw, "layout": 4} | ({"position": {**raw["position"], "threads": []}} if "position" in raw else {})


def _of_fourth_layout(raw: dict[str, Any]) -> dict[str, Any]:
    """A state of layout 4 as one of now: the weights of the best epoch were kept, its score beside its number."""
    position = dict(raw.get("position", {}))
    position.pop("best_score", None)
    if "best_epoch" in position:
        best = position.pop("best_epoch")
        position["kept"] = [best] if best else []
    return {**raw, "layout": LAYOUT} | ({"position": position} if "position" in raw else {})


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
    """The optimiser's state as `exp_avg/<parameter>` and so on, what a whole group has in common as `step/#<group>`; parameters that never had
    a gradient have none. What is no tensor is derived: Muon's choice of parameters."""
    of = {name: optimizer.state.get(parameter, {}) for name, parameter in model.named_parameters()}
    of |= {f"#{number}": group for number, group in enumerate(optimizer.param_groups)}
    return {
        f"{kind}/{name}": value.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for name, state in of.items()
        for kind, value in state.items()
        if isinstance(value, Tensor)
    }


def _load_moments(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Tensors, folder: Path) -> None:
    if not tensors:
        raise _missing(folder, "the moments of its optimiser")
    by_owner: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        by_owner.setdefault(name, {})[kind] = tensor
    # An optimiser may keep other kinds for other parameters, as Muon does, but none keeps a part of what it keeps for another one.
    kinds = {frozenset(parts) for parts in by_owner.values()}
    parameters, groups = dict(model.named_parameters()), {f"#{number}": group for number, group in enumerate(optimizer.param_groups)}
    for name, parts in by_owner.items():
        for kind in sorted(set().union(*(more for more in kinds if more > set(parts))) - set(parts)):
            raise _missing(folder, msg("{names} of {name}", names=f"{kind}/{name}", name="optimizer"))
        if name in groups:
            groups[name].update(parts)
            continue
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


def _missing(folder: Path, what: str) -> CheckpointError:
    return CheckpointError(
        "a checkpoint lacks {name}",
        where=str(folder),
        why="a state that is not whole would train on differently, unseen",
        fix=_FIX,
        name=what,
    )


class CheckpointWriter:
    """Writes checkpoints of one fold. A context: when training is interrupted inside it, the state is written before it ends.

    Training waits only for a copy in memory; a thread writes, hashes and syncs it. A write that fails is raised at the next step.
    """

    def __init__(self, checkpointing: Checkpointing | None, state: TrainState, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._checkpointing = checkpointing
        self._state = state
        self._clock = clock
        self._saved_at = clock()
        self._saved = (state.position.epoch, state.position.step)
        self._cost_s = self._waited_s = self._wrote_s = 0.0
        self._n_written = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self.restarted_for = ""
        """What changed since checkpoints of an older version, so that the fold starts anew; "" when it does not."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if isinstance(problem, Interrupted):
                self.save()
            if kind is None:
                self._join()
        finally:
            self._pool.shutdown()

    def resume(self) -> bool:
        """Bring the state to the newest checkpoint that verifies; False when there is none.

        Raises AlignmentError when it was made from other data, folds, settings or versions, CheckpointError when it is not whole. One of
        an older layout, whose fingerprints were computed in another way, cannot be told from that: then the fold starts anew, and says so.
        """
        if self._checkpointing is None:
            return False
        folder, identity = self._checkpointing.folder, self._checkpointing.identity
        remove_unfinished(folder)
        try:
            found = newest_verified(folder, identity)
        except AlignmentError as refusal:
            newest = load_manifest(list_checkpoints(folder)[0].path)
            if newest.facts.get("layout", 1) >= 2:  # what a fingerprint is made of is the same since then
                raise
            self.restarted_for = ", ".join(identity.changed(newest))
            log.warning("its checkpoints are of an older version, so this fold starts anew: %s", refusal.why)
            remove_checkpoints(folder)
            return False
        if found is None:
            return False
        self._state.restore(found.path)
        self._saved = (found.epoch, found.step)
        log.info("resumed from %s: epoch %d, %d steps done", found.path.name, found.epoch, found.step)
        return True

    def after_step(self) -> None:
        """Write the state if it is time to."""
        if self._writing is not None and self._writing.done():
            self._join()
        if self._checkpointing is not None and self._clock() - self._saved_at >= self._checkpointing.every_s:
            self._start()

    def after_epoch(self, *, is_last: bool) -> None:
        """Write the state if that is affordable; after the last epoch always, so that predicting never costs the training."""
        if self._checkpointing is None:
            return
        if is_last:
            self._join()
        rested = self._clock() - self._saved_at
        if is_last or (self._n_written and rested >= self._cost_s / AFFORDABLE) or rested >= self._checkpointing.every_s:
            self._start()

    def save(self) -> None:
        """Write the state now, and wait until it is on the disk."""
        self._join()
        if self._checkpointing is not None:
            self._start()
            self._join()

    @property
    def facts(self) -> dict[str, float | int]:
        """What it took: checkpoints written, seconds that training waited for them, seconds of the writing thread."""
        return {"written": self._n_written, "waited_s": round(self._waited_s, 3), "wrote_s": round(self._wrote_s, 3)}

    def _start(self) -> None:
        """Copy the state and hand it to a thread; nothing while one is still being written, or when this state is there."""
        position = self._state.position
        now = (position.epoch, position.step)
        if now == self._saved or (self._writing is not None and not self._writing.done()):
            return
        self._join()
        began = self._clock()
        snapshot = self._state.snapshot()
        self._saved_at, self._saved = began, now
        self._waited_s += self._clock() - began
        self._writing = self._pool.submit(self._write, snapshot, began)

    def _write(self, snapshot: Snapshot, began: float) -> None:
        assert self._checkpointing is not None
        write_checkpoint(self._checkpointing, snapshot)
        spent, position = self._clock() - began, snapshot.position
        self._cost_s, self._wrote_s, self._n_written = spent, self._wrote_s + spent, self._n_written + 1
        log.info("checkpoint: epoch %d, %d steps done, %.2f s", position.epoch, position.step, spent)

    def _join(self) -> None:
        """Wait for what is being written; its error is raised here, once."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def write_checkpoint(checkpointing: Checkpointing, snapshot: Snapshot) -> Path:
    """Publish a snapshot as the newest checkpoint, then remove the oldest ones; returns its folder."""
    position = snapshot.position
    destination = checkpointing.folder / checkpoint_name(position.epoch, position.step, checkpointing.token)
    facts = {
        "layout": LAYOUT,
        "epoch": position.epoch,
        "step": position.step,
        "n_steps": checkpointing.n_steps,
        "best_epoch": position.kept[0] if position.kept else 0,
        "scores": position.epochs[-1]["scores"] if position.epochs else {},
        "created_at": time.time(),
    }
    with publishing(destination, kind=KIND, parents=checkpointing.identity.facts, facts=facts) as folder:
        snapshot.write(folder)
    prune(checkpointing.folder, keep=checkpointing.keep, token=checkpointing.token)
    return destination
