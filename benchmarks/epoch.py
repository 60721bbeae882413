"""How fast an epoch of images is: against a bare loop over tensors, and against the script that people write. Prints one JSON document.

    python benchmarks/epoch.py loop [--pairs 5] [--networks lite0,resnet18] [--px 128,224]
    python benchmarks/epoch.py script [--pairs 3] [--networks lite0,resnet18] [--px 128,224] [--images 320]

`loop`: images a second in the training steps of a fold, warm cache, the recipe's own augmentation, checkpoints, against the same network,
batch and precision over uint8 tensors in memory: no loader, no augmentation, no bookkeeping, no clipping. Exit code 1 where a median of
the pairs is below .97.

`script`: two epochs and their validation on JPEG photographs with a short side of 1,000 px, by the recipe's defaults (the first epoch builds
the cache) against ImageFolder, DataLoader, and fp32 with the same first weights, batch, optimiser and crops. Seconds an epoch, the
validation's log loss of both. Exit code 1 where a network is less than twice as fast, or its loss higher by more than twice the noise of seeds.

Both sides take turns. `loop` measures each network and size in a process of its own, in a worker's environment; of `script` each training is
a process, ours in a worker's environment, the script in that of who calls this.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from core.jobs.devices import worker_environment  # noqa: E402

BATCH, WARM = 32, 2
STEPS = {128: 14, 224: 9}
"""Steps of a measured epoch, of which the first WARM are not counted."""
NETWORKS = {"lite0": "tf_efficientnet_lite0.in1k", "resnet18": "resnet18.a1_in1k"}
N_CLASSES = 4
ALL_CORES = {"OMP_NUM_THREADS": str(os.cpu_count())}
"""Both sides keep all threads, whatever else runs."""
LEAST_OF_LOOP, LEAST_OF_SCRIPT = 0.97, 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("against", choices=("loop", "script"))
    parser.add_argument("--pairs", type=int, default=0, help="default: 5 for loop, 3 for script")
    parser.add_argument("--networks", default="lite0,resnet18")
    parser.add_argument("--px", default="128,224")
    parser.add_argument("--images", type=int, default=320, help="script: photographs to train on; a quarter as many are validated")
    parser.add_argument("--child", nargs=4, metavar=("NETWORK", "PX", "FOLDER", "WHAT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    n_pairs = given.pairs or {"loop": 5, "script": 3}[given.against]
    if given.child:
        network, px, folder, what = given.child
        print(json.dumps(child(network, int(px), Path(folder), what, n_pairs)))
        return 0
    report: dict[str, Any] = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    is_met = True
    with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as scratch:
        photographs = Path(scratch) / "photographs"
        n, px = (BATCH * max(STEPS.values()), 400) if given.against == "loop" else (given.images, 1000)
        write_photographs(photographs, n, n // 4, px)
        for network in given.networks.split(","):
            for px in map(int, given.px.split(",")):
                pairs = (loop_pairs if given.against == "loop" else script_pairs)(network, px, photographs, n_pairs)
                found = (of_loop if given.against == "loop" else of_script)(pairs)
                report[f"{network}, {px} px"] = found
                is_met &= found["is_met"]
    print(json.dumps(report, indent=1))
    return int(not is_met)


def child(network: str, px: int, photographs: Path, what: str, number: int) -> Any:
    """What a process of its own measures: all pairs of `loop`, or one training of one side of `script`."""
    if what == "loop":
        loop = Loop(network, px, photographs)
        return [loop.pair(pair) for pair in range(number)]
    script = Script(network, px, photographs)
    return script.ours(number) if what == "ours" else script.script(number)


def run_child(against: str, network: str, px: int, photographs: Path, what: str, number: int) -> Any:
    command = [sys.executable, str(Path(__file__).resolve()), against, "--pairs", str(number)]
    environment = dict(os.environ) if what == "script" else worker_environment(ALL_CORES)
    command += ["--child", network, str(px), str(photographs), what]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def loop_pairs(network: str, px: int, photographs: Path, n_pairs: int) -> list[dict[str, float]]:
    return run_child("loop", network, px, photographs, "loop", n_pairs)


def script_pairs(network: str, px: int, photographs: Path, n_pairs: int) -> list[dict[str, float]]:
    """Which side comes first changes from pair to pair; the pair's number, from 1, is the seed of both."""
    pairs: list[dict[str, float]] = []
    for number in range(1, n_pairs + 1):
        sides = ("ours", "script")[:: 1 if number % 2 else -1]
        pairs.append({name: value for what in sides for name, value in run_child("script", network, px, photographs, what, number).items()})
    return pairs


def of_loop(pairs: list[dict[str, float]]) -> dict[str, Any]:
    """Images a second of both sides, and their ratio pair by pair."""
    ratios = [pair["ours"] / pair["bare"] for pair in pairs]
    medians = {name: round(statistics.median(pair[name] for pair in pairs), 1) for name in ("ours", "bare")}
    ratio = statistics.median(ratios)
    return {**medians, "ratios": [round(one, 3) for one in ratios], "ratio": round(ratio, 3), "is_met": ratio >= LEAST_OF_LOOP}


def of_script(pairs: list[dict[str, float]]) -> dict[str, Any]:
    """Seconds of first and second epoch of both sides, their ratios, and the losses."""
    found: dict[str, Any] = {}
    for name in ("ours_first_s", "ours_s", "script_first_s", "script_s", "ours_loss", "script_loss"):
        found[name] = round(statistics.median(pair[name] for pair in pairs), 3)
    cold = statistics.median(pair["script_first_s"] / pair["ours_first_s"] for pair in pairs)
    warm = statistics.median(pair["script_s"] / pair["ours_s"] for pair in pairs)
    differences = [pair["ours_loss"] - pair["script_loss"] for pair in pairs]
    noise = statistics.stdev(pair["script_loss"] for pair in pairs) if len(pairs) > 1 else 0.0
    is_equal = statistics.mean(differences) <= 2 * noise
    found |= {"times_as_fast_first": round(cold, 2), "times_as_fast": round(warm, 2), "noise": round(noise, 3)}
    return {**found, "is_met": warm >= LEAST_OF_SCRIPT and is_equal}


def write_photographs(folder: Path, n_train: int, n_valid: int, px: int) -> None:
    """JPEG files of classes that differ in the direction of a faint pattern, on scenes of their own, as ImageFolder reads them."""
    rng = np.random.default_rng(0)
    height, width = px, px * 4 // 3
    y, x = np.mgrid[:height, :width].astype(np.float32) / px
    for part, n in (("train", n_train), ("valid", n_valid)):
        for number in range(n):
            label = number % N_CLASSES
            scene = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
            angle, phase = label * np.pi / N_CLASSES, rng.uniform(0, 6)
            pattern = 14 * np.sin(60 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
            grain = rng.normal(0, 12, (height, width)).astype(np.float32)
            pixels = np.asarray(scene, dtype=np.float32) + (pattern + grain)[:, :, None]
            place = folder / part / f"class-{label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}.jpg", quality=90)


class Work:
    """A network at a size, and the files that it is trained on."""

    def __init__(self, network: str, px: int, photographs: Path) -> None:
        from core.jobs.worker import NICENESS

        os.nice(NICENESS)
        self.backbone, self.px, self.photographs = NETWORKS[network], px, photographs
        self.pretrained = network == "lite0"
        self.scratch = Path(tempfile.mkdtemp(dir=photographs.parent))
        self.train, self.valid = (
            sorted((photographs / part).rglob("*.jpg"), key=lambda path: int(path.stem)) for part in ("train", "valid")
        )
        self.sha256 = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in [*self.train, *self.valid]}

    def fold(self, n_train: int, n_valid: int, epochs: int, seed: int) -> list[Any]:
        """Train a fold; everything it reports, and when (seconds)."""
        from core.specs.recipe import Recipe
        from core.training.checkpoint import Checkpointing, Identity
        from core.training.fold import train_fold
        from core.training.task import FoldTask

        recipe = Recipe.model_validate(
            {
                "input": {"size_px": self.px, "reduced": True},
                "model": {"backbone": self.backbone, "pretrained": self.pretrained},
                "train": {"epochs": epochs, "batch_size": BATCH, "seed": seed},
            }
        )
        paths = [*self.train[:n_train], *self.valid[:n_valid]]
        out = Path(tempfile.mkdtemp(dir=self.scratch))
        (out / "fold").mkdir()
        task = FoldTask(
            recipe=recipe,
            metric="log_loss",
            classes=tuple(f"class-{number}" for number in range(N_CLASSES)),
            inputs=paths,
            labels=np.array([int(path.parent.name[-1]) for path in paths]),
            train_idx=np.arange(n_train),
            valid_idx=np.arange(n_train, len(paths)),
            test_inputs=[],
            fold=0,
            weights_dir=out,
            out_dir=out / "fold",
            cache_dir=self.scratch / "cache",
            sha256=[self.sha256[path] for path in paths],
            checkpointing=Checkpointing(out / "checkpoints", Identity({}), token=1),
        )
        said: list[Any] = []
        train_fold(task, report=lambda report: said.append((time.perf_counter(), report)), should_stop=lambda: False)
        return said

    def network(self, seed: int) -> Any:
        """The same network with the same first weights, and its optimiser as the recipe has it."""
        import torch

        from core.data.randomness import seed_network
        from core.specs.training_settings import OptimSettings
        from core.training.optim import make_optimizer
        from models.build import build_model
        from models.catalog import find_backbone
        from models.spec import ModelSpec

        seed_network(seed, 0)
        spec = ModelSpec(find_backbone(self.backbone), N_CLASSES, self.scratch, pretrained=self.pretrained, dropout=0.1, input_px=self.px)
        model = build_model(spec).train()
        return torch, model, make_optimizer(model, OptimSettings())


class Loop(Work):
    """A fold's training steps against a bare loop."""

    def pair(self, number: int) -> dict[str, float]:
        """Images a second of both, which come first in turns."""
        n_steps = STEPS[self.px]
        if number == 0:
            self.fold(n_steps * BATCH, 4, 1, 0)  # loads all libraries and fills the cache
        sides = [("ours", self.ours), ("bare", self.bare)][:: 1 if number % 2 else -1]
        return {name: side(n_steps) for name, side in sides}

    def ours(self, n_steps: int) -> float:
        times = [at for at, said in self.fold(n_steps * BATCH, 4, 1, 0) if getattr(said, "phase", "") == "training"]
        return BATCH * (len(times) - WARM) / (times[-1] - times[WARM - 1])

    def bare(self, n_steps: int) -> float:
        from core.training.precision import choose_precision

        torch, model, optimizer = self.network(0)
        device = torch.device("cpu")
        precision = choose_precision("auto", device)
        model.to(memory_format=torch.channels_last)
        pixels = torch.randint(0, 256, (n_steps, BATCH, 3, self.px, self.px), dtype=torch.uint8)
        labels = torch.randint(0, N_CLASSES, (n_steps, BATCH))
        began = 0.0
        for step in range(n_steps):
            if step == WARM:
                began = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            with precision.autocast(device):
                logits = model({"image": pixels[step].contiguous(memory_format=torch.channels_last)})
            torch.nn.functional.cross_entropy(logits.float(), labels[step]).backward()
            optimizer.step()
        return BATCH * (n_steps - WARM) / (time.perf_counter() - began)


class Script(Work):
    """Two epochs by the recipe's defaults against what a person writes in an afternoon."""

    def ours(self, seed: int) -> dict[str, float]:
        from core.specs.progress import EpochReport

        self.network(seed)  # loads all libraries, as it does on the other side before the clock starts
        said = self.fold(len(self.train), len(self.valid), 2, seed)
        first, second = ((at, report) for at, report in said if isinstance(report, EpochReport))
        return {"ours_first_s": first[0] - said[0][0], "ours_s": second[0] - first[0], "ours_loss": second[1].valid_loss}

    def script(self, seed: int) -> dict[str, float]:
        torch, model, optimizer = self.network(seed)
        from torch.utils.data import DataLoader
        from torchvision import transforms
        from torchvision.datasets import ImageFolder

        torch.manual_seed(seed)
        to_pixels = transforms.PILToTensor()  # the network normalises, as it does in ours
        augment = [
            transforms.RandomResizedCrop(self.px, scale=(0.7, 1)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.1, 0.1),
        ]
        plain = transforms.Compose([transforms.Resize((self.px, self.px)), to_pixels])
        train = ImageFolder(str(self.photographs / "train"), transforms.Compose([*augment, to_pixels]))
        valid = ImageFolder(str(self.photographs / "valid"), plain)
        # Worker processes would take the cores from the network: 0 is the fastest here, and torch's default.
        loaders = [DataLoader(part, batch_size=BATCH, shuffle=part is train) for part in (train, valid)]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=2 * len(loaders[0]), pct_start=0.1)
        took, loss = list[float](), 0.0
        for _ in range(2):
            began = time.perf_counter()
            model.train()
            for images, labels in loaders[0]:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model({"image": images}), labels).backward()
                optimizer.step()
                schedule.step()
            model.eval()
            with torch.no_grad():
                losses = [
                    torch.nn.functional.cross_entropy(model({"image": images}), labels, reduction="sum") for images, labels in loaders[1]
                ]
            loss = float(sum(losses)) / len(valid)
            took.append(time.perf_counter() - began)
        return {"script_first_s": took[0], "script_s": took[1], "script_loss": loss}


if __name__ == "__main__":
    sys.exit(main())
