from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from core.jobs.devices import detect_devices

ROOT = Path(__file__).parents[2]


def test_every_machine_has_a_device_and_names_are_torchs() -> None:
    devices = detect_devices()
    assert devices and len(set(devices)) == len(devices)
    assert all(re.fullmatch(r"cpu|mps|cuda:\d+", name) for name in devices)
    assert ("cpu" in devices) == (devices == ("cpu",))


def test_the_engine_imports_no_heavy_library() -> None:
    script = (
        "import sys, core.jobs.engine, core.jobs.queue, core.jobs.devices; core.jobs.devices.detect_devices();"
        "print(sorted({'torch', 'timm', 'transformers', 'numpy', 'pandas', 'streamlit', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"
