"""`make faults`: every fault script of this folder with its full n, one line each; the exit code is 1 when anything was bad or lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = {
    "a1": "kill_worker",
    "a2": "kill_writer",
    "a3": "stop_anywhere",
    "a4": "missing_pieces",
    "a5": "kill_trash",
    "b1": "lost_workers",
    "b3": "frozen_worker",
    "b5": "reused_pid",
    "b6": "two_servers",
    "b7": "kill_server",
    "c1": "disk_full",
    "c4": "damaged_files",
    "d2": "out_of_memory",
    "e1": "malformed_inputs",
    "e2": "hard_inputs",
    "f1": "generated_inputs",
    "g1": "paths_outside",
    "g2": "hidden_pickles",
}
"""The scripts by the number of their fault in docs/reliability.md."""


def main() -> int:
    """Run those that are named on the command line, by number or script, else all."""
    asked = sys.argv[1:] or list(FAULTS)
    chosen = [FAULTS.get(name.lower(), name) for name in asked]
    unknown = sorted(set(chosen) - set(FAULTS.values()))
    if unknown:
        sys.stderr.write(f"no such fault: {', '.join(unknown)}; there are {', '.join(f'{key} {name}' for key, name in FAULTS.items())}\n")
        return 2
    width = max(map(len, FAULTS.values()))
    is_well = True
    for name in chosen:
        done = subprocess.run([sys.executable, "-m", f"tests.faults.{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
        is_well = is_well and done.returncode == 0
        sys.stdout.write(f"{name:{width}} {done.stdout.strip() or 'ended without an outcome'}\n")
        sys.stdout.flush()
        if done.returncode:
            sys.stderr.write(done.stderr[-10_000:])
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
