"""The rules of ARCHITECTURE.md that a reader would otherwise have to trust: every import in the tree is walked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
TRACKERS = ("wandb", "mlflow")
BY_CHOICE = {*TRACKERS, "peft"}
"""Asked for when a recipe names them, and tested as they are: requirements-dev.txt has them."""
HEAVY = ("torch", "torchvision", "timm", "transformers")
SQL = ("sqlalchemy", "alembic", "sqlite3")


@dataclass(frozen=True)
class Import:
    """One import statement: which file and line, and the full dotted name it brings."""

    file: str
    line: int
    name: str

    def brings(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(f"{package}.") for package in packages)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


def imports_in(source: str, file: str) -> Iterator[Import]:
    """Every import of a file, also those inside functions and under TYPE_CHECKING."""
    package = list(Path(file).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Import(file, node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield Import(file, node.lineno, node.args[0].value)


@cache
def imports_of(folder: str) -> tuple[Import, ...]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder}/ holds no Python file"
    return tuple(found for file in files for found in imports_in(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix()))


FORBIDDEN = {
    "models": ("core", "app", "pages", "streamlit", *SQL),
    "core": ("app", "pages", "streamlit"),
    "app": ("models", "pages", *HEAVY),
    "pages": ("models", "pages", *HEAVY),
}


@pytest.mark.parametrize("folder", list(FORBIDDEN))
def test_a_layer_imports_only_what_lies_below_it(folder: str) -> None:
    assert [str(found) for found in imports_of(folder) if found.brings(*FORBIDDEN[folder])] == []


LINE = (
    *("core.base", "core.artefacts", "core.metrics", "core.specs", "models", "core.data", "core.training", "core.onnx"),
    *(
        "core.store",
        "core.workspace",
        "core.trash",
        "core.contest",
        "core.recipes",
        "core.splitting",
        "core.folds",
        "core.predictions",
        "core.blend",
        "core.analysis",
    ),
    *("core.submission", "core.correction", "core.exchange", "core.tracking", "core.jobs", "core.commands", "core.__main__"),
    *("app.words", "app.shell", "app.ui", "app.contest", "app.train", "app.runs", "app.sidebar", "app.ensemble", "app.errors"),
    *("app.submit", "app.main", "app.server", "app.__main__", "pages"),
)
"""The rooms in their order: documents at the bottom, records above, work on top. A file imports from its own room and from earlier ones."""


def arrows() -> dict[str, set[str]]:
    """Which of our modules each of our modules imports; deferred and TYPE_CHECKING imports count."""
    found: dict[str, set[str]] = {}
    for folder in ("models", "core", "app", "pages"):
        for item in imports_of(folder):
            if item.brings("models", "core", "app", "pages"):
                here = item.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                found.setdefault(here, set()).add(module_of(item.name))
    return found


def test_no_import_runs_against_the_line() -> None:
    def place(module: str) -> int:
        places = [number for number, room in enumerate(LINE) if module == room or module.startswith(f"{room}.")]
        assert places, f"{module} stands in no room of LINE"
        return places[0]

    assert [f"{here} imports {there}" for here, theirs in arrows().items() for there in theirs if place(there) > place(here)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {here: set(theirs) for here, theirs in arrows().items()}
    while free := [here for here, theirs in left.items() if not theirs & set(left)]:
        for here in free:
            del left[here]
    assert left == {}, "these modules are in a circle, or lead into one"


def test_training_knows_no_database() -> None:
    below = ("base", "artefacts", "specs", "metrics", "data", "training", "onnx")
    unwanted = {"sqlalchemy", "alembic", "core.store.database", "core.workspace"}
    modules = {here for here in arrows() if here.startswith(tuple(f"core.{room}" for room in below))}
    assert loaded_by(modules, tuple(unwanted)) == []


def test_only_the_store_speaks_sql() -> None:
    everywhere = [found for folder in ("core", "app", "pages") for found in imports_of(folder)]
    assert [str(found) for found in everywhere if found.brings(*SQL) and not found.file.startswith("core/store/")] == []


def test_only_the_runtime_leads_from_the_screen_to_the_engine() -> None:
    screen = [*imports_of("app"), *imports_of("pages")]
    assert [str(found) for found in screen if found.brings("core.jobs") and found.file != "app/shell/runtime.py"] == []


def test_nothing_is_pickled_and_no_process_pool_lives_in_the_server() -> None:
    found = [item for folder in ("models", "core", "app", "pages") for item in imports_of(folder)]
    assert [str(item) for item in found if item.brings("pickle", "joblib", "dill", "shelve")] == []
    served = [item for item in found if not item.file.startswith(("models/", "core/training/", "core/data/"))]
    assert [str(item) for item in served if item.brings("multiprocessing", "concurrent.futures.process")] == []
    assert [str(item) for item in served if item.name.endswith(".ProcessPoolExecutor")] == []


def test_what_the_screen_imports_leaves_torch_outside() -> None:
    """Import, in a fresh process, every module of ours that app and pages name anywhere; then look for the heavy ones."""
    modules = {module_of(found.name) for folder in ("app", "pages") for found in imports_of(folder) if found.brings("app", "core")}
    modules |= {here for here in arrows() if here.startswith("app.") and here not in ("app.__main__", "app.main", "app.server")}
    modules |= {"core.__main__", *(here for here in arrows() if here.startswith("core.commands."))}
    assert loaded_by(modules, HEAVY) == []


def test_the_command_line_shows_its_help_without_loading_arrays() -> None:
    assert loaded_by({"core.__main__"}, (*HEAVY, "pandas", "numpy", "sklearn", "scipy", "sqlalchemy", "streamlit")) == []


def test_every_library_that_is_imported_is_asked_for() -> None:
    """A library that is only here because another one needs it could be gone with that one's next version."""
    asked = {re.split(r"[^\w.-]", line)[0] for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()}
    provided_by = packages_distributions()
    imported = {found.name.split(".")[0] for folder in ("models", "core", "app", "pages") for found in imports_of(folder)}
    libraries = imported - set(sys.stdlib_module_names) - {"models", "core", "app", "pages"} - BY_CHOICE
    names = {_normal(name) for name in asked}
    assert [name for name in sorted(libraries) if not names & {_normal(each) for each in provided_by.get(name, [name])}] == []


@pytest.mark.parametrize(
    ("library", "whole_since"),
    {
        "pillow": "12.2",  # CVE-2026-25990, CVE-2026-40192 and others of 2026
        "pyarrow": "23.0.1",  # CVE-2026-25087
        "starlette": "1.3.1",  # CVE-2025-62727, CVE-2026-48710, CVE-2026-54283
        "python-multipart": "0.0.27",
        "safetensors": "0.6",
        "torch": "2.14",
        "PyYAML": "6.0.2",
        "urllib3": "2.6.3",
        "Werkzeug": "3.1.6",
    }.items(),
)
def test_what_reads_files_and_answers_of_strangers_is_asked_for_without_known_holes(library: str, whole_since: str) -> None:
    lines = [
        Requirement(line) for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
    ]
    (asked,) = [line for line in lines if _normal(line.name) == _normal(library)]
    (floor,) = [Version(each.version) for each in asked.specifier if each.operator == ">="]
    assert floor >= Version(whole_since) and asked.specifier.contains(version(library)), "and what is here fits"


def test_a_tracker_is_imported_only_by_its_own_file() -> None:
    """So that nobody needs one who has not chosen it, and neither the server nor a worker that waits loads TensorBoard."""
    trackers = ("tensorboard", *TRACKERS)
    found = [item for folder in ("models", "core", "app", "pages") for item in imports_of(folder) if item.brings(*trackers)]
    assert {item.file for item in found} == {f"core/tracking/{name}.py" for name in (*trackers, "board")}
    own = {"board": "tensorboard"}
    assert [str(item) for item in found if not item.brings(own.get(Path(item.file).stem, Path(item.file).stem))] == []
    assert loaded_by({"core.jobs.worker", "app.shell.runtime"}, trackers) == []


def test_peft_is_imported_only_where_lora_is_and_never_by_a_worker_that_waits() -> None:
    found = [item for folder in ("models", "core", "app", "pages") for item in imports_of(folder) if item.brings("peft")]
    assert {item.file for item in found} == {"models/lora.py"}
    assert loaded_by({"core.jobs.worker", "app.shell.runtime", "models.build"}, ("peft",)) == []


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def module_of(name: str) -> str:
    """The module that a dotted name lives in: `core.base.errors.InputError` is in `core.base.errors`."""
    parts = name.split(".")
    while parts:
        path = ROOT.joinpath(*parts)
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts)
        parts.pop()
    raise AssertionError(f"{name} is no module of this tree")


def loaded_by(modules: set[str], unwanted: tuple[str, ...]) -> list[str]:
    """Import `modules` in a fresh process and tell which of `unwanted` came along."""
    program = f"""
import importlib, sys
for name in {sorted(modules)!r}:
    importlib.import_module(name)
print(*sorted(name for name in {unwanted!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_walk_sees_what_it_must_see() -> None:
    """A planted breach of each shape is found; without this the rules above could pass by seeing nothing."""
    source = (
        "import core.jobs.queue\ndef f():\n    from core.jobs import engine\n    from . import state\nimportlib.import_module('torch.nn')\n"
    )
    found = list(imports_in(source, "app/planted.py"))
    assert {item.name for item in found} == {"core.jobs.queue", "core.jobs.engine", "app.state", "torch.nn"}
    assert sum(item.brings("core.jobs") for item in found) == 2
