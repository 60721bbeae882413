"""A contest in the shape of the used-car one: 33,137 images of glyphs in 396 classes, from registration to predictions. Prints JSON.

    python benchmarks/glyphs.py [--rows 33137] [--test 3000] [--px 64] [--backbone resnet10t.c3_in1k] [--fonts FILE...]

The glyphs are the first 396 open syllables of Hangul, in random colours, turned, and noisy, in the fonts that fontconfig names for Korean.
A fold of five is trained for an epoch from nothing, twice: the first builds the cache of reduced images, the second finds it. Each is a process
of its own, as a worker is; so is the same with a quarter of the rows, for the memory: the most of a process, and beside what it had before.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.contest.inspect.draft import inspect_path  # noqa: E402
from core.contest.register import add_contest  # noqa: E402
from core.folds import save_folds  # noqa: E402
from core.jobs.devices import worker_environment  # noqa: E402
from core.specs.folds import FoldsSpec  # noqa: E402
from core.store.contests import get_contest  # noqa: E402
from core.store.folds import list_folds  # noqa: E402
from core.workspace import open_workspace  # noqa: E402

N_CLASSES = 396


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=33_137)
    parser.add_argument("--test", type=int, default=3_000)
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--backbone", default="resnet10t.c3_in1k")
    parser.add_argument("--fonts", nargs="*", default=[])
    parser.add_argument("--child", metavar="WORKSPACE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(train(Path(given.child), given.px, given.backbone)))
        return
    fonts = given.fonts or subprocess.run(["fc-list", ":lang=ko", "file"], capture_output=True, text=True, check=True).stdout.split(":")
    faces = [ImageFont.truetype(font.strip(), 44) for font in fonts if font.strip()]
    report: dict[str, object] = {"fonts": len(faces)}
    for rows, times in ((given.rows // 4, 1), (given.rows, 2)):
        with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as scratch:
            root = Path(scratch)
            took = {"write_s": timed(lambda: write_glyphs(root / "glyphs", rows, given.test, faces))}  # noqa: B023
            workspace = open_workspace(root / "workspace")
            took["register_s"] = timed(lambda: add_contest(workspace, inspect_path(root / "glyphs").draft))  # noqa: B023
            save_folds(workspace, get_contest(workspace.store, "glyphs"), FoldsSpec(n_folds=5))
            command = [sys.executable, str(Path(__file__).resolve()), "--child", str(workspace.root)]
            command += ["--px", str(given.px), "--backbone", given.backbone]
            runs = [
                json.loads(subprocess.run(command, env=worker_environment({}), stdout=subprocess.PIPE, text=True, check=True).stdout)
                for _ in range(times)
            ]
            size = sum(path.stat().st_size for path in (root / "workspace" / "cache").rglob("*") if path.is_file())
            report[f"{rows:,} rows"] = {**took, "cache_bytes": size, **dict(zip(("cold", "warm"), runs, strict=False))}
    print(json.dumps(report, indent=1))


def timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return round(time.perf_counter() - began, 1)


def write_glyphs(folder: Path, n_rows: int, n_test: int, faces: list[ImageFont.FreeTypeFont]) -> None:
    """A folder for each class, and one of test images."""
    rng = np.random.default_rng(0)
    for number in range(n_rows + n_test):
        syllable = chr(0xAC00 + 28 * (number % N_CLASSES))
        ground, ink = (tuple(int(value) for value in rng.integers(low, low + 90, 3)) for low in (0, 150))
        image = Image.new("RGB", (64, 64), ground)
        ImageDraw.Draw(image).text((32, 32), syllable, ink, faces[number % len(faces)], anchor="mm")
        image = image.rotate(float(rng.uniform(-15, 15)), Image.Resampling.BILINEAR, fillcolor=ground)
        pixels = np.asarray(image) + rng.normal(0, 12, (64, 64, 3))
        place = folder / "train" / syllable if number < n_rows else folder / "test"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number:05d}.png", compress_level=1)


def train(root: Path, px: int, backbone: str) -> dict[str, object]:
    """In the child: one fold, with the seconds of each phase and its memory."""
    from core.jobs.fold import load_task
    from core.specs.progress import Progress
    from core.specs.recipe import Recipe
    from core.training.fold import train_fold
    from core.training.machine import peak_bytes, resident_bytes

    workspace = open_workspace(root)
    contest = get_contest(workspace.store, "glyphs")
    began: dict[str, float] = {}
    before = resident_bytes()
    sections = {"model": {"backbone": backbone, "pretrained": False, "dropout": 0.0}, "optim": {"lr": 0.003}}
    sections |= {"augment": {"hflip": False}, "train": {"epochs": 1, "batch_size": 64}}
    recipe = Recipe.model_validate({"input": {"size_px": px, "reduced": True}, **sections})
    with tempfile.TemporaryDirectory(dir=root.parent) as out:
        task = load_task(workspace, contest, list_folds(workspace.store, contest.id)[0], recipe, 0, device="cpu", out_dir=Path(out))

        def hear(said: object) -> None:
            if isinstance(said, Progress):
                began.setdefault(said.phase, time.perf_counter())

        output = train_fold(task, report=hear, should_stop=lambda: False)
    began["end"] = time.perf_counter()
    names, times = list(began), list(began.values())
    seconds = {name: round(after - at, 1) for name, at, after in zip(names[:-1], times[:-1], times[1:], strict=True)}
    return {
        "seconds": seconds,
        "rows_per_s": round(len(task.train_idx) / seconds["training"], 1),
        "n": {"train": len(task.train_idx), "valid": len(task.valid_idx), "test": len(task.test_inputs)},
        "accuracy": round(output.scores["accuracy"], 3),
        "peak_mb": round(peak_bytes() / 2**20),
        "above_start_mb": round((peak_bytes() - before) / 2**20),
        "images": output.facts["images"],
    }


if __name__ == "__main__":
    main()
