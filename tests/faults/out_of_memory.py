"""D2. Memory runs out: the micro-batch is halved until it fits, at most five times; every step keeps its rows and its learning rate.

Out of memory is what torch raises when a batch in the network has more rows than a limit, from the start or from some step on, in
training or in validation; or a kill by the kernel, which counts it. Where nothing is left to halve, the failure is typed and has a fix.
The bug to plant: with the micro-batch the batch is halved.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from core.data.batches import batches_of, cut
from core.jobs import supervisor
from core.jobs.engine import Engine
from core.store.attempts import MOST_HALVINGS
from core.store.jobs import Job
from core.store.runs import FoldResult, Run, get_run
from core.training import fold, machine
from core.training.predictor import EVALUATION_FACTOR
from core.training.task import FoldOutput, FoldTask
from core.workspace import Workspace, open_workspace
from models.spec import Classifier
from tests.faults import places
from tests.faults.fault import Given, Outcome, main
from tests.faults.forked import forked_workers, import_torch, lost_checkpoints, run_to_end
from tests.faults.tiny import N_TRAIN, Tiny, add_tiny
from tests.finished_workspace import read_fold_predictions

FULL_N = 40
ROOT = Path(__file__).parents[2]
N_EPOCHS = 3
N_VALID = N_TRAIN // 3
CLOSE = 0.05
"""How far a probability may be from the calm run's: the same sums in another order, and nine steps of an optimiser on them."""
IN_A_PROCESS = "PITWALL_FAULT_D2"
"""The variable that tells a worker which is a real process how memory lacks there."""


@dataclass(frozen=True)
class Lack:
    """More than `limit` rows do not fit, from the training step `from_step` of the whole fold on.

    `where` is "training", "validation", or "kernel": in training, and it is the system that ends the worker.
    """

    limit: int
    from_step: int = 1
    where: str = "training"
    batch_size: int = 8
    modality: str = "text"
    is_process: bool = False

    def micro_batch(self, n_halvings: int) -> int:
        return -(-self.batch_size // 2**n_halvings)

    @property
    def n_steps(self) -> int:
        """Steps of the whole fold."""
        return N_EPOCHS * len(cut(N_TRAIN - N_VALID, self.batch_size))

    @property
    def n_halvings(self) -> int:
        """How often the micro-batch is to be halved: until it fits, or cannot be halved any more."""
        return next((n for n in range(MOST_HALVINGS) if self._fits(n) or self.micro_batch(n) == 1), MOST_HALVINGS)

    @property
    def is_hopeless(self) -> bool:
        return not self._fits(self.n_halvings)

    def _fits(self, n_halvings: int) -> bool:
        micro = self.micro_batch(n_halvings)
        if self.where == "validation":
            batches = cut(N_VALID, micro * EVALUATION_FACTOR)
        else:
            steps = batches_of(np.arange(N_TRAIN - N_VALID), self.batch_size)
            batches = [part for rows in steps for part in cut(len(rows), micro)]
        return max(part.stop - part.start for part in batches) <= self.limit


LACKS = (
    Lack(2),
    Lack(1),
    Lack(0),
    Lack(4, where="kernel", from_step=3),
    Lack(3, from_step=5),
    Lack(2, batch_size=64),
    Lack(1, batch_size=64),
    Lack(6, where="validation"),
    Lack(2, from_step=4, is_process=True),
    Lack(2, modality="image", from_step=2),
    Lack(1, where="kernel"),
    Lack(0, batch_size=2),
)


def run(given: Given) -> Outcome:
    """`n` runs, in which memory lacks in these ways in turn."""
    outcome, workspace = Outcome(), open_workspace(given.root / "workspace")
    supervisor.WATCH_S = 0.02
    lacks = [LACKS[number % len(LACKS)] for number in range(given.n)]
    # After the first round memory begins to lack at any step.
    lacks = [replace(lack, from_step=given.rng.randint(1, lack.n_steps)) if turn >= len(LACKS) else lack for turn, lack in enumerate(lacks)]
    modalities = sorted({lack.modality for lack in lacks})
    import_torch(*modalities)
    machine.VMSTAT = given.root / "vmstat"
    tinies = {modality: add_tiny(workspace, modality, given.root / modality) for modality in modalities}
    engine, calm = Engine(workspace, ("cpu",)), dict[tuple[str, int], "Seen"]()
    for lack in lacks:
        machine.VMSTAT.write_text("oom_kill 3\n")
        key = (lack.modality, lack.batch_size)
        if key not in calm:
            calm[key] = _train(engine, tinies[lack.modality], Lack(10**6, batch_size=lack.batch_size), given)
        if problem := _problem(lack, _train(engine, tinies[lack.modality], lack, given), calm[key], workspace):
            outcome.wrong(f"{lack}: {problem}")
    workspace.store.close()
    return outcome


@dataclass(frozen=True)
class Seen:
    """How a run went: its job, its result if it has one, and the steps that were done, as `_note_steps` notes them."""

    job: Job
    result: FoldResult | None
    steps: list[dict[str, Any]]


def _train(engine: Engine, tiny: Tiny, lack: Lack, given: Given) -> Seen:
    workspace = engine.workspace
    run: Run = tiny.launch(
        model={"dropout": 0.0}, epochs=N_EPOCHS, patience=0, batch_size=lack.batch_size, accumulate=1, precision="fp32", checkpoint_s=1
    )
    notes = given.root / f"steps-{run.id}"
    notes.touch()
    told = {"lack": asdict(lack), "notes": str(notes), "vmstat": str(machine.VMSTAT), "is_mutant": given.is_mutant}
    with ExitStack() as stack:
        if lack.is_process:
            stack.enter_context(_told_to_processes(told, given.root))
        else:
            stack.enter_context(forked_workers(workspace, prepare=lambda _: inject(told)))
        job = run_to_end(engine, run.jobs[0].id)
    results = get_run(workspace.store, run.id).results
    return Seen(job, results[0] if results else None, [json.loads(line) for line in notes.read_text().splitlines()])


@contextmanager
def _told_to_processes(told: dict[str, Any], folder: Path) -> Iterator[None]:
    (folder / "sitecustomize.py").write_text(
        "import sys\nif 'core.jobs.worker' in sys.orig_argv:\n    import tests.faults.out_of_memory as fault\n    fault.inject()\n"
    )
    os.environ.update({IN_A_PROCESS: json.dumps(told), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"})
    try:
        yield
    finally:
        del os.environ[IN_A_PROCESS], os.environ["PYTHONPATH"]


def _problem(lack: Lack, seen: Seen, calm: Seen, workspace: Workspace) -> str:
    """What is wrong with a run in which memory lacked; empty when nothing is."""
    job, result = seen.job, seen.result
    if job.halvings != lack.n_halvings:
        return f"halved {job.halvings} times, not {lack.n_halvings}: {job.error}"
    for step in seen.steps:
        if {**step, "most": 0} not in [{**other, "most": 0} for other in calm.steps]:
            return f"another step than in the calm run: {step}"
    if lack.is_hopeless:
        error = job.error or {}
        is_typed = job.state == "failed" and error.get("type") == "OutOfMemory" and error.get("fix")
        return "" if is_typed and result is None else f"the job is {job.state}: {error}"
    if job.state != "done" or result is None or calm.result is None:
        return f"the job is {job.state}: {job.error}"
    if {(step["epoch"], step["step"]) for step in seen.steps} != {(step["epoch"], step["step"]) for step in calm.steps}:
        return "there are other steps than in the calm run"
    if result.facts["micro_batch"] != lack.micro_batch(job.halvings) or seen.steps[-1]["most"] > lack.micro_batch(job.halvings):
        return f"it says {result.facts['micro_batch']} rows at once, and computed {seen.steps[-1]['most']}"
    if lost := lost_checkpoints(workspace, job):
        return lost[0]
    # A network with batch statistics is another one with other micro-batches.
    if lack.modality == "text":
        found, expected = (read_fold_predictions(workspace.absolute(item.path)).valid_prob for item in (result, calm.result))
        if (far := float(np.abs(found - expected).max())) > CLOSE:
            return f"its predictions are {far:.3f} away from the calm run's"
    return ""


def inject(told: dict[str, Any] | None = None) -> None:
    """In a worker: let memory lack as `told`, or as the environment says, and note down every step that was done."""
    told = told or json.loads(os.environ[IN_A_PROCESS])
    assert told is not None
    lack, notes = Lack(**told["lack"]), Path(told["notes"])
    places.keep_every_step()
    if told["is_mutant"]:
        _plant()
    learn, is_lacking = fold.train_step, False

    def check(module: nn.Module, given: tuple[Any, ...]) -> None:
        if not isinstance(module, Classifier) or torch.is_inference_mode_enabled() != (lack.where == "validation"):
            return
        if not (is_lacking or lack.where == "validation") or len(given[0]["row"]) <= lack.limit:
            return
        if lack.where == "kernel":
            counter = Path(told["vmstat"])
            counter.write_text(f"oom_kill {int(counter.read_text().split()[1]) + 1}\n")
            places.kill_self()
        raise torch.OutOfMemoryError(f"out of memory: {len(given[0]['row'])} rows, there is room for {lack.limit}")

    def learn_and_note(task: FoldTask, setup: Any, parts: Any, batches: Any, epoch: int, step: int) -> float:
        nonlocal is_lacking
        n_steps = len(cut(len(task.train_idx), task.recipe.train.batch_size))
        is_lacking = (epoch - 1) * n_steps + step >= lack.from_step
        loss = learn(task, setup, parts, batches, epoch, step)
        said = {
            "epoch": epoch,
            "step": step,
            "rows": np.concatenate(parts).tolist(),
            "lr": setup.optimizer.param_groups[0]["lr"],
            "most": max(map(len, parts)),
        }
        with notes.open("a") as stream:
            stream.write(json.dumps(said) + "\n")
        return loss

    register_module_forward_pre_hook(check)
    fold.train_step = learn_and_note


def _plant() -> None:
    train = fold._train_fold  # pyright: ignore[reportPrivateUsage]

    def train_less(task: FoldTask, report: Any, should_stop: Any) -> FoldOutput:
        settings = task.recipe.train.model_copy(update={"batch_size": task.micro_batch})
        return train(replace(task, recipe=task.recipe.model_copy(update={"train": settings}), halvings=0), report, should_stop)

    fold._train_fold = train_less  # pyright: ignore[reportPrivateUsage]


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
