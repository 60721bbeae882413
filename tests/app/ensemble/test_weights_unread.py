"""The page Ensemble reads predictions; the weights of the networks that made them stay closed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.store.contests import Contest
from core.store.folds import Folds
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe


def test_the_page_with_eight_runs_of_a_large_network_opens_no_weight_file(
    opened: Workspace, folded: Contest, folds: Folds, open_page: Callable[..., AppTest]
) -> None:
    for seed in range(8):
        finish_run(opened, folded, folds, make_recipe(folded, f"run-{seed}"), strength=2.0, seed=seed, weights_bytes=354_000_000)
    weights = list(opened.root.rglob("weights.safetensors"))
    assert len(weights) == 24 and sum(path.stat().st_size for path in weights) == 24 * 354_000_000
    read: list[str] = []
    is_watching = True

    def watch(event: str, given: tuple[object, ...]) -> None:
        if is_watching and event == "open":
            read.append(str(given[0]))

    sys.addaudithook(watch)
    at = open_page("ensemble")
    is_watching = False
    assert not at.exception and sum(path.endswith("valid_prob.npy") for path in read) >= 24
    assert [path for path in read if path.endswith("weights.safetensors")] == []
