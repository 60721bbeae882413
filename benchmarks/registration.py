"""Memory and time of registering a contest: 300,000 training and 100,000 test texts, or 24 TIFFs of 9,400 px, each in a process of its own.

    python benchmarks/registration.py [--texts N] [--images N] [--px N]

Prints JSON: seconds, the most memory of the process beside what it has once its libraries are loaded, and that as a multiple of the tables
(texts) or of one decoded image (images).
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
WORDS = [
    "the",
    "film",
    "was",
    "made",
    "with",
    "great",
    "care",
    "and",
    "little",
    "money",
    "by",
    "people",
    "who",
    "know",
    "what",
    "they",
    "want",
    "of",
    "actors",
    "light",
    "and",
    "sound",
]
CHILD = """
import json, re, resource, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import pyarrow.parquet
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.workspace import open_workspace
# Not ru_maxrss, which begins with that of the process that started this one.
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
def now(): return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
workspace = open_workspace(sys.argv[2])
workspace.store
if sys.argv[4] == "inspect":
    base, started = now(), time.perf_counter()
    spec = inspect_path(Path(sys.argv[1])).draft
    Path(sys.argv[2], "spec.json").write_text(spec.model_dump_json())
else:
    from core.specs.contest import ContestSpec
    spec = ContestSpec.model_validate_json(Path(sys.argv[2], "spec.json").read_text())
    base, started = now(), time.perf_counter()
    add_contest(workspace, spec)
print(json.dumps({"seconds": round(time.perf_counter() - started, 1), "most_bytes": peak() - base, "base_bytes": base}))
"""


def write_texts(root: Path, n_train: int, n_test: int) -> int:
    """Write the tables of a contest of texts; returns their bytes."""
    draw = random.Random(0)
    root.mkdir()
    for name, n in (("train", n_train), ("test", n_test)):
        with (root / f"{name}.csv").open("w", encoding="utf-8") as stream:
            stream.write("id,text,label\n" if name == "train" else "id,text\n")
            for row in range(n):
                text = " ".join(draw.choices(WORDS, k=draw.randint(10, 80)))
                stream.write(f"{name}_{row},{text},{draw.randint(0, 3)}\n" if name == "train" else f"{name}_{row},{text}\n")
    return sum(path.stat().st_size for path in root.iterdir())


def write_images(root: Path, n: int, px: int) -> int:
    """Write a contest of large TIFFs in two class folders; returns the bytes of one decoded image."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for row in range(n):
        folder = root / "train" / ("a", "b")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels[0, 0] = row
        Image.fromarray(pixels).resize((px, px), Image.Resampling.NEAREST).save(folder / f"{row}.tif", compression="tiff_lzw")
    return 3 * px * px


def measure(root: Path, workspace: Path, step: str) -> dict[str, float]:
    """Inspect or register in a process of its own."""
    command = [sys.executable, "-c", CHILD, str(root), str(workspace), str(ROOT), step]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=400_000, help="rows, a quarter of them of the test")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--px", type=int, default=9_400)
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        made = {"texts": lambda root: write_texts(root, given.texts * 3 // 4, given.texts // 4)} if given.texts else {}
        made |= {"images": lambda root: write_images(root, given.images, given.px)} if given.images else {}
        for name, make in made.items():
            root, workspace = Path(scratch) / name, Path(scratch) / f"{name}-workspace"
            size = make(root)
            for step in ("inspect", "register"):
                seen = measure(root, workspace, step)
                found[f"{name}: {step}"] = seen | {"size_bytes": size, "multiple": round(seen["most_bytes"] / size, 2)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
