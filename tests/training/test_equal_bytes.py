"""Two processes that train the same fold end in the same bytes, with and without loader processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.small_tasks import IMAGE, TEXT

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import torch
from tests.training.small_tasks import make_task, recipe_of, train

torch.set_num_threads(2)
folder, settings, workers = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
folder.mkdir()
task = make_task(folder, recipe_of(settings, train={"loader_workers": workers}))
output, _, epochs = train(task)
digest = hashlib.sha256()
left = [path.read_bytes() for path in sorted(task.out_dir.rglob("*")) if path.is_file()]
for part in (output.valid_prob.tobytes(), output.test_prob.tobytes(), *left):
    digest.update(part)
print(json.dumps([digest.hexdigest(), [report.train_loss for report in epochs], output.facts["precision"]]))
"""
RECIPES = {
    "small image network": IMAGE,
    "tiny transformer": TEXT,
    "EfficientNet-Lite0": {
        **IMAGE,
        "augment": {"policy": "augmix", "blur": 0.3, "noise": 0.02, "erasing": 0.3, "mixup": 0.2, "cutmix": 1.0},
        "model": {"backbone": "tf_efficientnet_lite0.in1k", "dropout": 0.2, "drop_path": 0.1},
        "train": {"epochs": 1, "batch_size": 8},
    },
    "MiniLM": {
        **TEXT,
        "model": {"backbone": "sentence-transformers/all-MiniLM-L6-v2", "dropout": 0.1},
        "train": {"epochs": 1, "batch_size": 8},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_equal_bytes_in_separate_processes_for_any_number_of_loader_workers(name: str, tmp_path: Path) -> None:
    answers = []
    for workers in (0, 2):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / str(workers)), json.dumps(RECIPES[name]), str(workers)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        answers.append(json.loads(answer.stdout.splitlines()[-1]))
    assert answers[0] == answers[1]
