"""`make faults`: every fault script of this folder with its full n, one line each; the exit code is 1 when anything was bad or lost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def scripts() -> list[str]:
    """The scripts by the id of their fault: b1, b3, …"""
    return sorted(path.stem for path in FOLDER.glob("*.py") if re.fullmatch(r"[a-g]\d+", path.stem))


def main() -> int:
    """Run those that are named on the command line, else all."""
    is_well = True
    for name in sys.argv[1:] or scripts():
        done = subprocess.run([sys.executable, "-m", f"tests.faults.{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
        is_well = is_well and done.returncode == 0
        sys.stdout.write(f"{name.upper():4} {done.stdout.strip() or 'ended without a word'}\n")
        sys.stdout.flush()
        if done.returncode:
            sys.stderr.write(done.stderr[-10_000:])
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
