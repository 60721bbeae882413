"""Pages without a browser: the router on a workspace of the test's own, with an engine that has no device, so that jobs wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble.session import computed
from app.shell import runtime
from core.blend.ensemble import Ensemble, open_ensemble
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.engine import Engine
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds, list_folds
from core.store.runs import Run
from core.workspace import ENV_VARIABLE, Workspace, open_workspace
from tests.finished_workspace import finish_run, make_recipe

ROOT = Path(__file__).parents[2]
OpenPage = Callable[..., AppTest]


@pytest.fixture
def opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The runtime on the test's workspace; what is launched stays in the queue."""
    monkeypatch.setenv(ENV_VARIABLE, str(workspace.root))
    computed().clear()  # made-up predictions of another test may have the same content
    runtime.close()
    yield runtime.start_engine(Engine(open_workspace(), devices=())).workspace
    runtime.close()


@pytest.fixture
def open_page(opened: Workspace) -> OpenPage:
    """A function that opens a page by name, with address parameters, and returns it drawn."""

    def open_page(name: str = "home", **params: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        for key, value in params.items():
            at.query_params[key] = value
        at.run()
        if name != "home":
            at.switch_page(str(ROOT / "pages" / f"{name}.py")).run()
        return at

    return open_page


@pytest.fixture
def headlines(opened: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> Contest:
    """A registered contest of 48 headlines in two classes."""
    return add_contest(opened, inspect_path(write_headlines(tmp_path / "headlines")).draft)


@pytest.fixture
def folded(opened: Workspace, headlines: Contest) -> Contest:
    """The same contest with three folds."""
    save_folds(opened, headlines, FoldsSpec(n_folds=3))
    return headlines


@pytest.fixture
def folds(opened: Workspace, folded: Contest) -> Folds:
    """Those three folds."""
    return list_folds(opened.store, folded.id)[0]


@pytest.fixture
def done(opened: Workspace, folded: Contest) -> tuple[Run, ...]:
    """Three finished runs, the best first."""
    folds = list_folds(opened.store, folded.id)[0]
    strengths = {"strong": 2.5, "middle": 1.2, "weak": 0.3}
    return tuple(
        finish_run(opened, folded, folds, make_recipe(folded, name), strength=strength, seed=seed)
        for seed, (name, strength) in enumerate(strengths.items())
    )


@pytest.fixture
def ensemble(opened: Workspace, folded: Contest, done: tuple[Run, ...]) -> Ensemble:
    return open_ensemble(opened, folded, done)
