"""Names that people give are shown as they were typed, on every page: nothing in them becomes an icon, an arrow, a link or markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from app.ui.format import plain
from core.blend.ensemble import make_spec, open_ensemble, save_blend
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.predictions.source import find_source
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.submission.write import write_submission
from core.workspace import Workspace
from tests.app.hands import press
from tests.contest.contest_folders import write_csv
from tests.finished_workspace import finish_run, make_recipe

TYPED = "-> :material/home: www.evil.example &lt; <b>"
"""All that becomes something else where it is not escaped, or escaped by backslashes alone."""
PLAIN = {
    "Selectbox.options",
    "Selectbox.raw_value",
    "MultiSelect.options",
    "TextArea.default",
    "TextInput.default",
    "Text.body",
    "VegaLiteChart.spec",
    "BidiComponent.json",
}
"""Fields of Streamlit's messages that are shown as they are; the scripts of our components set the text of elements."""


def texts(message: Any) -> Iterator[tuple[str, str]]:
    """Every text in a message of Streamlit's, with the field that it is in."""
    for field, value in message.ListFields():
        for part in value if field.is_repeated else [value]:
            if isinstance(part, str):
                yield f"{message.DESCRIPTOR.name}.{field.name}", part
            elif hasattr(part, "ListFields"):
                yield from texts(part)


def on_page(block: Block) -> Iterator[tuple[str, str]]:
    if (proto := getattr(block, "proto", None)) is not None:
        yield from texts(proto)
    for child in block.children.values():
        yield from on_page(child) if isinstance(child, Block) else texts(child.proto)


def check_page(at: AppTest) -> None:
    assert not at.exception
    raw = [(field, text) for field, text in on_page(at._tree) if TYPED in text and field not in PLAIN]  # pyright: ignore[reportPrivateUsage]
    assert not raw, "\n".join(f"{field}: {text[:300]!r}" for field, text in raw)


def is_shown(at: AppTest) -> bool:
    return any(plain(TYPED) in text for _, text in on_page(at._tree))  # pyright: ignore[reportPrivateUsage]


def write_hostile(root: Path) -> list[str]:
    """A contest whose classes, columns and ids are of that kind; returns what corrects the guess of its columns."""
    rows = [(f"{TYPED} r{n}", f"{TYPED} text {n}", f"{TYPED} {n % 3}", f"{TYPED} g{n // 3}") for n in range(36)]
    columns = ("id", f"{TYPED} text", f"{TYPED} label", f"{TYPED} group")
    write_csv(root / "train.csv", columns, rows)
    write_csv(root / "test.csv", columns[:2], [(f"{TYPED} t{n}", f"{TYPED} more {n}") for n in range(9)])
    return [f"input_columns={columns[1]}", f"label_column={columns[2]}", f"group_column={columns[3]}"]


@pytest.fixture
def hostile(opened: Workspace, tmp_path: Path) -> Contest:
    """That contest with a name, runs, a blend and a submission of that kind."""
    sets = write_hostile(tmp_path / "hostile")
    contest = add_contest(opened, inspect_path(tmp_path / "hostile", name=f"{TYPED} c", sets=sets).draft)
    folds = save_folds(opened, contest, FoldsSpec(kind="stratified_group", n_folds=3, group_column=contest.spec.group_column))
    runs = [
        finish_run(opened, contest, folds, make_recipe(contest, f"{TYPED} {name}"), strength=strength, seed=seed)
        for seed, (name, strength) in enumerate({"one": 2.0, "two": 1.0}.items())
    ]
    ensemble = open_ensemble(opened, contest, runs)
    save_blend(opened, contest, make_spec([run.id for run in runs]), name=f"{TYPED} b", ensemble=ensemble)
    write_submission(find_source(opened, "b1"), name=f"{TYPED} s")
    return contest


@pytest.mark.parametrize("page", ["home", "data", "folds", "train", "runs", "runs?run=r1", "ensemble", "errors", "submit"])
def test_what_was_typed_is_escaped_wherever_markdown_is_read(open_page: Callable[..., AppTest], hostile: Contest, page: str) -> None:
    assert hostile
    name, _, params = page.partition("?")
    at = open_page(name, **dict(part.split("=") for part in params.split("&") if part))
    check_page(at)
    assert is_shown(at)


def test_what_was_typed_is_escaped_where_runs_are_compared(
    open_page: Callable[..., AppTest], hostile: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.runs.run_list._table", lambda _contest, runs, *_: list(runs))  # ticked by hand; a test cannot tick
    at = open_page("runs")
    check_page(at)
    assert [part for part in at.subheader if "2" in part.value] and is_shown(at)


def test_what_an_inspection_found_is_escaped(open_page: Callable[..., AppTest], opened: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / TYPED.replace("/", ":")
    write_hostile(folder)
    at = open_page("data")
    at.text_input(key="intake-path-text").set_value(str(folder))
    at = press(at, "Inspect")
    check_page(at)
    (name,) = [box for box in at.text_input if box.label == "Name"]
    check_page(name.set_value(TYPED).run())
    at = press(at, f"Register {plain(TYPED)}")
    check_page(at)
    assert is_shown(at)
