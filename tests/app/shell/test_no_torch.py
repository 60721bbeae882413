"""The server never imports torch: every page is drawn in a process of its own, which then tells what it has loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.workspace import ENV_VARIABLE, Workspace
from tests.finished_workspace import finish_run, make_recipe

ROOT = Path(__file__).parents[3]
HEAVY = ("torch", "torchvision", "timm", "transformers")

DRAW_ALL = """
import importlib, json, pkgutil, sys
import app
import app.server
for module in pkgutil.iter_modules(app.__path__, "app."):
    if module.name not in ("app.main", "app.__main__"):
        importlib.import_module(module.name)
from streamlit.testing.v1 import AppTest
from app.shell import runtime
runtime.start_engine()
failed = []
for page in sorted(sys.argv[2].split(",")):
    at = AppTest.from_file(sys.argv[1] + "/app/main.py", default_timeout=120).run()
    if page != "home":
        at.switch_page(f"{sys.argv[1]}/pages/{page}.py").run()
    failed += [f"{page}: {problem.value}" for problem in at.exception]
runtime.close()
print(json.dumps({"failed": failed, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.mark.slow
def test_no_page_brings_torch_into_the_server(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    for seed in range(2):
        finish_run(workspace, contest, folds, make_recipe(contest, f"run-{seed}"), seed=seed)
    pages = ",".join(path.stem for path in (ROOT / "pages").glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-c", DRAW_ALL, str(ROOT), pages],
        cwd=ROOT,
        env={**os.environ, ENV_VARIABLE: str(workspace.root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert said["failed"] == []
    assert "streamlit" in said["modules"]
    assert [name for name in HEAVY if name in said["modules"]] == []
