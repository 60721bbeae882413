"""A run's networks are exported by a job, and predict the test set by another one, which loads no torch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.__main__ import main
from core.base.errors import StateError
from core.blend.ensemble import predict_source
from core.contest.table import load_table
from core.jobs.launch import launch_export, launch_prediction
from core.predictions.again import rows_of_test
from core.predictions.networks import list_exports
from core.predictions.source import source_of
from core.store import attempts
from core.store.jobs import BESIDE, Job, get_job, list_jobs
from tests.finished_workspace import finish_run, make_recipe
from tests.jobs.conftest import Ready
from tests.jobs.test_predict import OWNER, answer_of, work

ROOT = Path(__file__).parents[2]

WITHOUT_TORCH = """
import sys
from core.jobs.worker import main
code = main(sys.argv[1:])
print(code, *sorted(name for name in ("torch", "torchvision", "timm", "transformers") if name in sys.modules))
"""


def work_without_torch(ready: Ready, job: Job) -> None:
    """A worker in a process of its own, which tells what it has loaded at its end."""
    claimed = attempts.claim(ready.workspace.store, owner=OWNER, device=BESIDE, now=time.time())
    assert claimed is not None and claimed.id == job.id
    arguments = ["--workspace", str(ready.workspace.root), "--job", str(job.id), "--token", str(claimed.token)]
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        said = process.stdout.read()  # its input stays open meanwhile: the end of it would say that the engine is gone
        process.stdin.close()
    assert said.splitlines()[-1] == "0", said


@pytest.mark.slow
def test_exported_networks_predict_the_test_set_without_torch(ready: Ready, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ready.launch(epochs=1, fold_numbers=(0, 1))
    work(ready)
    run = ready.read(run)
    source = source_of(ready.workspace, run)
    rows = rows_of_test(load_table(ready.workspace, ready.contest))
    with pytest.raises(StateError, match="was not exported") as caught:
        predict_source(source, rows, runtime="onnx")
    assert f"python -m core export {run.ref}" in caught.value.fix
    assert launch_export(ready.workspace, run).id == launch_export(ready.workspace, run).id
    work(ready)
    found = list_exports(ready.workspace, ready.contest, run, "onnx")
    assert found and [each.fold for each in found] == [0, 1]
    assert all(max(each.facts["differences"]) <= 1e-4 and each.facts["argmax_agreement"] == 1 for each in found)

    test = launch_prediction(ready.workspace, run, runtime="onnx")
    work_without_torch(ready, test)
    answer = answer_of(ready, run, test)
    ours = predict_source(source, rows)
    np.testing.assert_allclose(answer.prob, ours, atol=2e-2)  # those may be in bf16
    assert (answer.prob.argmax(axis=1) == ours.argmax(axis=1)).all()

    place = ["--workspace", str(ready.workspace.root)]
    assert main(["export", run.ref, "--int8", "--output", str(tmp_path / "files"), "--json", *place]) == 0
    exported = json.loads(capsys.readouterr().out)
    for each in exported:
        assert set(each["scores"]) == {"log_loss", "accuracy"} and each["n_rows"] == 10 and Path(each["file"]).is_file()
    assert main(["predict", run.ref, "--runtime", "int8", "--raw", "-o", str(tmp_path / "int8.npy"), *place]) == 0
    assert np.load(tmp_path / "int8.npy").shape == ours.shape


def test_what_was_not_exported_is_exported_first(ready: Ready) -> None:
    run = finish_run(ready.workspace, ready.contest, ready.folds, make_recipe(ready.contest, "made"))
    wanted = launch_prediction(ready.workspace, run, runtime="int8", at_once=False)
    waiting = [job for job in list_jobs(ready.workspace.store, ("queued",)) if job.run_id == run.id]
    assert [(job.kind, job.payload) for job in waiting] == [("export", {"int8": True}), ("predict_now", {"runtime": "int8"})]
    first = attempts.claim(ready.workspace.store, owner=OWNER, device=BESIDE, now=1.0)
    assert first is not None and first.kind == "export"
    assert get_job(ready.workspace.store, wanted.id).state == "queued"
    with pytest.raises(StateError, match="no network yet"):
        launch_export(ready.workspace, ready.launch())
