from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.base.errors import InputError
from core.jobs.devices import detect_devices, read_devices, thread_limit, torch_name

ROOT = Path(__file__).parents[2]


def test_every_machine_has_a_device_and_names_are_torchs() -> None:
    devices = detect_devices({})
    assert devices and len(set(devices)) == len(devices)
    assert all(re.fullmatch(r"cpu|mps|cuda:\d+", name) for name in devices)
    assert ("cpu" in devices) == (devices == ("cpu",))


def test_the_engine_imports_no_heavy_library() -> None:
    script = (
        "import sys, core.jobs.engine, core.jobs.queue, core.jobs.devices; core.jobs.devices.detect_devices();"
        "print(sorted({'torch', 'timm', 'transformers', 'pandas', 'scipy', 'sklearn', 'streamlit', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_person_names_the_devices() -> None:
    assert detect_devices({"PITWALL_DEVICES": "cpu:0, cpu:1"}) == ("cpu:0", "cpu:1")
    assert read_devices("cuda:1") == ("cuda:1",)
    for wrong, says in (("gpu", "'gpu' is no device"), ("cpu,cpu", "named twice"), ("cuda:0,", "'' is no device")):
        with pytest.raises(InputError, match=says) as caught:
            read_devices(wrong)
        assert "cpu:0,cpu:1" in caught.value.fix


def test_slots_on_the_processor_share_its_cores() -> None:
    assert [torch_name(device) for device in ("cpu", "cpu:1", "cuda:1", "mps")] == ["cpu", "cpu", "cuda:1", "mps"]
    (threads,) = thread_limit("cpu:0", ("cpu:0", "cpu:1"), {}).values()
    assert int(threads) >= 1
    assert thread_limit("cpu:0", ("cpu:0", "cpu:1"), {"OMP_NUM_THREADS": "3"}) == {}
    assert thread_limit("cpu", ("cpu",), {}) == thread_limit("cuda:0", ("cuda:0", "cpu:0", "cpu:1"), {}) == {}
