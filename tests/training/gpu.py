"""What only a CUDA card can show of training, checked on one in under eight minutes. Prints one JSON document.

    python tests/training/gpu.py [--device cuda:0] [--folder FOLDER]

Exit code 0: all of it holds; 1: something does not; 3: there is no card, or something is missing. It runs in any Python that has torch,
torchvision, timm, transformers, pydantic, PyYAML and psutil, and imports no more of Pitwall than training itself. With `--device cpu` the checks
that need no card run on the processor, in small.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
NEEDED = ("torch", "torchvision", "timm", "transformers", "pydantic", "yaml", "psutil", "safetensors")
NO_CARD = 3
LIMIT_S = 460.0
"""No check begins after so many seconds."""

CLASSES = ("square", "columns", "rows", "noise")
SETTINGS: dict[str, dict[str, Any]] = {
    "model": {"backbone": "resnet18.a1_in1k", "pretrained": False, "dropout": 0.0},
    "input": {"size_px": 64},
    "augment": {"min_crop": 0.8, "hflip": False, "jitter": 0.1},
    "optim": {"lr": 2e-3},
    "train": {"epochs": 4, "batch_size": 32, "precision": "auto"},
}
SMALL = {"model": {"backbone": "test_resnet.r160_in1k"}, "input": {"size_px": 32}, "train": {"epochs": 2, "batch_size": 16}}
"""What differs on the processor."""
TOLERANCE = 0.08
"""How far probabilities of equal trainings on a card may differ, on average over all rows: its kernels add in no fixed order."""
PEAK = (0.85, 1.15)
"""The peak that a dry run says, as a share of the fold's real one."""
LEAST_PACE = 0.97


class Failed(Exception):
    """A check that does not hold; its text says why."""


@dataclass(frozen=True)
class Place:
    """Where the checks run, and with how many images."""

    device: str
    folder: Path

    @property
    def is_card(self) -> bool:
        return self.device.startswith("cuda")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--folder", type=Path, help="where images and folds are written; by default a folder that is removed in the end")
    parser.add_argument("--only", nargs="*", default=[], help="names of checks, in place of all")
    parser.add_argument("--fold", type=int, default=-1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return _unable(f"this Python ({sys.executable}) has no {', '.join(missing)}")
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        return _unable(f"torch {torch.__version__} finds no CUDA card on this machine: nothing was checked")
    with tempfile.TemporaryDirectory(prefix="pitwall-gpu-") as temporary:
        place = Place(options.device, (options.folder or Path(temporary)).resolve())
        place.folder.mkdir(parents=True, exist_ok=True)
        if options.fold >= 0:
            print(json.dumps(_one_fold(place, options.fold)))
            return 0
        report = run_checks(place, options.only)
    print(json.dumps(report, indent=2))
    return int(not report["ok"])


def _unable(why: str) -> int:
    print(json.dumps({"ok": False, "checked": 0, "error": why}, indent=2))
    print(why, file=sys.stderr)
    return NO_CARD


def run_checks(place: Place, only: list[str]) -> dict[str, Any]:
    """Every check that this place can make, each with `ok`, its seconds and its figures."""
    began, results = time.monotonic(), dict[str, dict[str, Any]]()
    for name, check in CHECKS.items():
        if (only and name not in only) or (not place.is_card and name in ON_CARDS):
            continue
        started = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        if started - began > LIMIT_S:
            results[name] = {"ok": False, "error": "no time was left for it"}
            continue
        try:
            found = {"ok": True, **check(place)}
        except Failed as problem:
            found = {"ok": False, "error": str(problem)}
        except Exception:  # noqa: BLE001  # one check that breaks must not hide the others
            found = {"ok": False, "error": traceback.format_exc(limit=-4)}
        results[name] = {**found, "seconds": round(time.monotonic() - started, 1)}
        _let_go(place)
    is_ok = bool(results) and all(result["ok"] for result in results.values())
    return {"ok": is_ok, "checked": len(results), "seconds": round(time.monotonic() - began, 1), **_machine(place), "checks": results}


def _machine(place: Place) -> dict[str, Any]:
    import timm
    import torch
    import transformers

    card = {}
    if place.is_card:
        card = {"card": torch.cuda.get_device_name(place.device), "memory_bytes": torch.cuda.mem_get_info(place.device)[1]}
    versions = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "timm": timm.__version__,
        "transformers": transformers.__version__,
    }
    return {"device": place.device, **card, "cpus": os.cpu_count(), "versions": versions}


# Tasks


def images(place: Place, n: int, px: int) -> list[Path]:
    """Noise of 0 to 119 with a bright square, columns, rows, or nothing in it, by turns; files that are there stay."""
    import numpy as np
    from PIL import Image

    folder = place.folder / f"images-{px}"
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.jpg" for number in range(n)]
    rng, step = np.random.default_rng(0), max(2, px // 8)
    for number, path in enumerate(paths):
        pixels = rng.integers(0, 120, (px, px, 3), dtype=np.uint8)
        if number % 4 == 0:
            pixels[px // 4 : px // 2, px // 4 : px // 2] += 130
        elif number % 4 == 1:
            pixels[:, ::step] += 130
        elif number % 4 == 2:
            pixels[::step] += 130
        if not path.exists():
            Image.fromarray(pixels).save(path, quality=90)
    return paths


def make_task(place: Place, *, n: int = 0, px: int = 0, fold: int = 0, **sections: dict[str, Any]) -> Any:
    """A fold of three; its rows are `n` images of `px` pixels, and its output goes to a fresh folder."""
    import numpy as np

    from core.specs.recipe import Recipe
    from core.training.task import FoldTask

    n, px = n or (960 if place.is_card else 96), px or (96 if place.is_card else 40)
    own = SETTINGS if place.is_card else {name: {**SETTINGS.get(name, {}), **SMALL.get(name, {})} for name in {**SETTINGS, **SMALL}}
    recipe = Recipe.model_validate({name: {**own.get(name, {}), **sections.get(name, {})} for name in {**own, **sections}})
    rows = np.arange(n)
    return FoldTask(
        recipe=recipe,
        metric="log_loss",
        classes=CLASSES,
        inputs=images(place, n, px),
        labels=rows % 4,
        train_idx=rows[rows // 4 % 3 != fold],
        valid_idx=rows[rows // 4 % 3 == fold],
        test_inputs=[],
        fold=fold,
        weights_dir=place.folder,
        out_dir=Path(tempfile.mkdtemp(dir=place.folder)),
        device=place.device,
    )


def train(task: Any, report: Callable[[Any], None] = lambda _: None, should_stop: Callable[[], bool] = lambda: False) -> Any:
    from core.training.fold import train_fold

    return train_fold(task, report=report, should_stop=should_stop)


def difference(one: Any, other: Any) -> float:
    import numpy as np

    return float(np.abs(one.valid_prob - other.valid_prob).mean())


def _let_go(place: Place) -> None:
    import torch

    gc.collect()
    if place.is_card:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1.0, torch.device(place.device))


def require(holds: bool, why: str) -> None:
    if not holds:
        raise Failed(why)


# Checks


def precisions(place: Place) -> dict[str, Any]:
    """bf16 and fp16 learn what fp32 learns, and what they leave predicts the same again from its folder."""
    import numpy as np
    import torch

    from core.training.precision import choose_precision, computes_in_bf16
    from core.training.predictor import load_network

    device, found = torch.device(place.device), dict[str, Any]()
    natives = ["fp32", *(["bf16"] if computes_in_bf16(device)[0] else []), *(["fp16"] if place.is_card else [])]
    expected = "bf16" if "bf16" in natives else "fp32"
    require(choose_precision("auto", device).name == expected, f"auto is not {expected}")
    for name in natives:
        task = make_task(place, train={"precision": name})
        output = train(task)
        again = load_network(task.network_dir, device=place.device).predict([task.inputs[row] for row in task.valid_idx])
        found[name] = {
            "log_loss": round(output.scores["log_loss"], 4),
            "seconds": round(output.elapsed_s, 2),
            "again": float(np.abs(again - output.valid_prob).max()),
        }
        require(output.facts["precision"] == name, f"{name} was asked for, {output.facts['precision']} computed")
        loss, most = output.scores["log_loss"], (0.7 if place.is_card else 2) * math.log(len(CLASSES))  # a processor makes only eight steps
        require(loss < most, f"{name} learned nothing: log loss {loss:.3f}")
        require(found[name]["again"] < 0.02, f"a network of {name} predicts otherwise from its folder, by {found[name]['again']:.4f}")
        if name == "fp16":
            found[name]["loss_scale"] = _scale_after(task)
            require(found[name]["loss_scale"] >= 1, "the scale of fp16's gradients fell below 1")
    return found


def _scale_after(task: Any) -> float:
    """The scale of the gradients after the steps of an epoch."""
    from core.training.setup import set_up
    from core.training.step import cut_micro_batches, cut_steps, order_rows, train_step

    setup = set_up(task)
    setup.model.train()
    for number, rows in enumerate(cut_steps(task, order_rows(task, 1, setup.loader.rows.lengths)), start=1):
        parts = cut_micro_batches(task, rows)
        train_step(task, setup, parts, setup.loader.load(1, parts), 1, number)
    return float(setup.scaler.get_scale())


def channels_last(place: Place) -> dict[str, Any]:
    """Kernels and maps lie channels-last from the images to the last convolution."""
    import torch
    from torch import nn

    from core.training.setup import set_up

    task = make_task(place)
    setup, layouts = set_up(task), list[bool]()

    def look(_layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        layouts.extend(one.is_contiguous(memory_format=torch.channels_last) for one in (inputs[0], output))

    for layer in setup.model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(look)
            layouts.append(layer.weight.is_contiguous(memory_format=torch.channels_last))
    batch = next(setup.loader.load(1, [task.train_idx[:8]]))
    with setup.precision.autocast(setup.device):
        setup.model({name: tensor.to(setup.device) for name, tensor in batch.items()})
    require(len(layouts) > 20 and all(layouts), f"{layouts.count(False)} of {len(layouts)} tensors are not channels-last")
    return {"tensors": len(layouts)}


def resume(place: Place) -> dict[str, Any]:
    """A fold that was stopped and goes on ends where one ends that was never stopped, as near as two that were not."""
    from core.specs.progress import Interrupted, Progress
    from core.training.checkpoint import Checkpointing, Identity

    precision = "fp16" if place.is_card else "auto"
    calm, twin = (make_task(place, train={"precision": precision}) for _ in range(2))
    output, again = train(calm), train(twin)
    kept = Checkpointing(Path(tempfile.mkdtemp(dir=place.folder)), Identity({}), token=1, every_s=9999)
    task = replace(make_task(place, train={"precision": precision}), checkpointing=kept)
    steps = 0

    def hear(said: Any) -> None:
        nonlocal steps
        steps += isinstance(said, Progress) and said.phase == "training"

    is_stopped, half = False, math.ceil(len(task.train_idx) / task.recipe.train.batch_size * 1.5)
    try:
        train(task, hear, lambda: steps >= half)
    except Interrupted:
        is_stopped = True
    require(is_stopped, "the fold was not stopped")
    went_on = train(replace(task, out_dir=Path(tempfile.mkdtemp(dir=place.folder)), checkpointing=replace(kept, token=2)))
    require(bool(went_on.facts["resumed"]), "the fold did not go on from its checkpoint")
    twins, stopped = difference(output, again), difference(output, went_on)
    most = TOLERANCE if place.is_card else 0.0
    require(stopped <= max(most, 2 * twins), f"after a stop probabilities differ by {stopped:.5f}, between two runs without by {twins:.5f}")
    return {"precision": went_on.facts["precision"], "between_equal_runs": twins, "after_a_stop": stopped}


def peak(place: Place) -> dict[str, Any]:
    """A dry run says the memory that the fold then takes."""
    import torch

    from core.training.dry_run import dry_run

    found = dict[str, Any]()
    for backbone, px, batch in (("resnet18.a1_in1k", 128, 64), ("convnext_tiny.fb_in22k_ft_in1k", 224, 32)):
        sections = {"model": {"backbone": backbone}, "input": {"size_px": px}, "train": {"epochs": 1, "batch_size": batch}}
        costs = dry_run(make_task(place, n=480, **sections), max_halvings=0)
        _let_go(place)
        torch.cuda.reset_peak_memory_stats(place.device)
        train(make_task(place, n=480, **sections))
        real = torch.cuda.max_memory_allocated(place.device)
        found[backbone] = {"said_bytes": costs.peak_bytes, "real_bytes": real, "share": round(costs.peak_bytes / real, 3)}
        _let_go(place)
    for backbone, one in found.items():
        require(PEAK[0] <= one["share"] <= PEAK[1], f"of the real peak of {backbone} the dry run says {one['share']}")
    return found


def halving(place: Place) -> dict[str, Any]:
    """Where memory runs out the micro-batch is halved, and the fold learns the same; a transformer, as batch norm depends on the micro-batch."""
    import torch

    from core.base.errors import OutOfMemory
    from core.training.dry_run import dry_run

    sections = {
        "model": {"backbone": "vit_small_patch16_224.augreg_in21k_ft_in1k"},
        "input": {"size_px": 224},
        "optim": {"lr": 3e-4},
        "train": {"epochs": 1, "batch_size": 96, "precision": "auto"},
        "augment": {"mixup": 0.2},
    }
    whole = make_task(place, n=480, **sections)
    costs = dry_run(whole, max_halvings=0)
    output = train(whole)
    _let_go(place)
    fraction = 0.7 * costs.peak_bytes / torch.cuda.mem_get_info(place.device)[1]
    torch.cuda.set_per_process_memory_fraction(fraction, torch.device(place.device))
    task = make_task(place, n=480, **sections)
    try:
        train(task)
    except OutOfMemory as problem:
        said = str(problem)
    else:
        raise Failed("memory did not run out")
    _let_go_only(place)
    halved = dry_run(task, max_halvings=4)
    require(halved.halvings >= 1, "the dry run did not halve its micro-batch")
    _let_go_only(place)
    smaller = train(replace(make_task(place, n=480, **sections), halvings=halved.halvings))
    change = difference(output, smaller)
    require(change <= TOLERANCE, f"in smaller parts the fold learns something else: {change:.4f}")
    return {"halvings": halved.halvings, "micro_batch": halved.micro_batch, "difference": change, "said": said.splitlines()[0]}


def _let_go_only(place: Place) -> None:
    """Give memory back, and keep the limit."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(place.device)


def _one_fold(place: Place, fold: int) -> dict[str, Any]:
    """In a process of its own: a fold, with its seconds and predictions."""
    output = train(make_task(place, fold=fold))
    return {"elapsed_s": output.elapsed_s, "log_loss": output.scores["log_loss"], "prob": output.valid_prob.round(5).tolist()}


def two_folds(place: Place) -> dict[str, Any]:
    """Two processes train two folds on one card at once, and each ends as it does alone."""
    import numpy as np

    images(place, 960 if place.is_card else 96, 96 if place.is_card else 40)  # written once, by this process

    def start(fold: int) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--device",
            place.device,
            "--folder",
            str(place.folder),
            "--fold",
            str(fold),
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
        output, errors = process.communicate(timeout=200)
        require(process.returncode == 0, f"a fold ended with code {process.returncode}: {errors.strip()[-300:]}")
        return json.loads(output.splitlines()[-1])

    began = time.monotonic()
    alone = [answer(start(fold)) for fold in (0, 1)]
    one_by_one_s = time.monotonic() - began
    began = time.monotonic()
    both = [answer(process) for process in [start(0), start(1)]]
    at_once_s = time.monotonic() - began
    changes = [float(np.abs(np.array(one["prob"]) - np.array(other["prob"])).mean()) for one, other in zip(alone, both, strict=True)]
    most = TOLERANCE if place.is_card else 1e-4
    require(max(changes) <= most, f"beside another fold probabilities differ by {max(changes):.4f}")
    return {"one_by_one_s": round(one_by_one_s, 1), "at_once_s": round(at_once_s, 1), "difference": max(changes)}


def throughput(place: Place) -> dict[str, Any]:
    """Our epoch against the same network, batch and precision in a bare loop over tensors in memory."""
    found = dict[str, Any]()
    backbones = (("resnet18.a1_in1k", 224), ("convnext_base.fb_in22k_ft_in1k", 224)) if place.is_card else (("test_resnet.r160_in1k", 32),)
    for backbone, px in backbones:
        pairs = [(our_pace(place, backbone, px), bare_pace(place, backbone, px)) for _ in range(2 if place.is_card else 1)]
        ours, bare = (max(paces) for paces in zip(*pairs, strict=True))
        found[backbone] = {"px": px, "rows_per_s": round(ours), "bare_rows_per_s": round(bare), "ratio": round(ours / bare, 3)}
    slow = [name for name, one in found.items() if one["ratio"] < LEAST_PACE]
    require(not (slow and place.is_card), f"slower than {LEAST_PACE} of the bare loop: {json.dumps(found)}")
    return found


def _timed(place: Place, backbone: str, px: int) -> Any:
    n, batch, workers = (1536, 64, min(12, os.cpu_count() or 1)) if place.is_card else (96, 16, 0)
    train = {"epochs": 3, "batch_size": batch, "loader_workers": workers, "precision": "auto"}
    return make_task(place, n=n, px=px + 32, model={"backbone": backbone}, input={"size_px": px}, optim={"lr": 1e-4}, train=train)


def our_pace(place: Place, backbone: str, px: int) -> float:
    """Rows a second of the epochs after the first one, by their own clock: their steps alone, as the bare loop has no validation."""
    from core.specs.progress import Progress

    task, times = _timed(place, backbone, px), list[tuple[int, float]]()

    def hear(said: Any) -> None:
        if isinstance(said, Progress) and said.phase == "training":
            times.append((said.epoch, time.perf_counter()))

    train(task, hear)
    batch = task.recipe.train.batch_size
    spans = [[at for epoch, at in times if epoch == wanted] for wanted in (2, 3)]
    return sum(batch * (len(span) - 2) for span in spans) / sum(span[-2] - span[0] for span in spans)  # a last step may be shorter


def bare_pace(place: Place, backbone: str, px: int) -> float:
    """The same steps over tensors in memory: network, optimiser, precision and clipping, without a loader and all else that a fold does."""
    import torch
    import torch.nn.functional as F

    from core.training.setup import set_up

    task = _timed(place, backbone, px)
    setup = set_up(task)
    setup.model.train()
    batch, clip = task.recipe.train.batch_size, task.recipe.optim.clip_norm
    pixels = torch.randint(0, 255, (8, batch, px, px, 3), dtype=torch.uint8).permute(0, 1, 4, 2, 3)
    pixels = pixels.pin_memory() if place.is_card else pixels
    labels = torch.randint(0, len(CLASSES), (8, batch))

    def steps() -> Iterator[int]:
        for number in range(40 if place.is_card else 8):
            inputs = {"image": pixels[number % 8].to(setup.device, non_blocking=True)}
            setup.optimizer.zero_grad(set_to_none=True)
            with setup.precision.autocast(setup.device):
                logits = setup.model(inputs)
            loss = F.cross_entropy(logits.float(), labels[number % 8].to(setup.device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(setup.model.parameters(), clip)
            setup.optimizer.step()
            loss.item()
            yield number

    times = [time.perf_counter() for _ in steps()]
    skipped = len(times) // 4
    return batch * (len(times) - 1 - skipped) / (times[-1] - times[skipped])


CHECKS: dict[str, Callable[[Place], dict[str, Any]]] = {
    "precisions": precisions,
    "channels_last": channels_last,
    "resume": resume,
    "dry_run_peak": peak,
    "memory_halving": halving,
    "two_folds_on_one_card": two_folds,
    "throughput": throughput,
}
ON_CARDS = ("dry_run_peak", "memory_halving")
"""Checks that say nothing on a processor."""


if __name__ == "__main__":
    sys.exit(main())
