"""Registration takes at most three times the tables in memory, beside what its libraries take; large images are decoded one at a time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.contest.contest_folders import write_csv

ROOT = Path(__file__).parents[2]
SPARE = 48 * 2**20
"""What libraries load when they are first used."""
CHILD = """
import json, re, resource, sys
from pathlib import Path
import pyarrow.parquet
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.workspace import open_workspace
workspace = open_workspace(sys.argv[2])
workspace.store
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
add_contest(workspace, inspect_path(Path(sys.argv[1])).draft)
# Not ru_maxrss, which begins with that of the process that started this one.
most = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps(most - before))
"""


def most_memory(root: Path, workspace: Path) -> int:
    """The most bytes that inspecting and registering took beside what stood in memory before, in a process of its own."""
    command = [sys.executable, "-c", CHILD, str(root), str(workspace)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_texts_take_at_most_three_times_their_tables(tmp_path: Path) -> None:
    draw = random.Random(0)
    words = [f"word{number}" for number in range(1000)]
    rows = [(f"t{row}", " ".join(draw.choices(words, k=150)), row % 3) for row in range(30_000)]
    write_csv(tmp_path / "c/train.csv", ("id", "text", "label"), rows)
    write_csv(tmp_path / "c/test.csv", ("id", "text"), [(name, text) for name, text, _ in rows[:2000]])
    size = sum(path.stat().st_size for path in (tmp_path / "c").iterdir())
    assert most_memory(tmp_path / "c", tmp_path / "w") <= 3 * size + SPARE


def test_large_images_take_the_memory_of_one(tmp_path: Path) -> None:
    px = 4_100
    for row in range(6):
        folder = tmp_path / "c/train" / ("a", "b")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (px, px), (row, 0, 0)).save(folder / f"{row}.tif", compression="tiff_lzw")
    assert most_memory(tmp_path / "c", tmp_path / "w") <= 2 * 4 * px * px + SPARE
