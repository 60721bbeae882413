"""A run that was handed back keeps its share in the list, and its page says where it will go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.launch import launch_run
from core.specs.progress import Progress
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import Folds
from core.workspace import Workspace
from tests.finished_workspace import START, claim, keep_checkpoint, make_recipe, run_halfway

OpenPage = Callable[..., AppTest]


@pytest.mark.parametrize(
    ("lang", "said"),
    [("en", "goes on at epoch 3/4 · step 13/104"), ("ko", "에폭 3/4 · 스텝 13/104부터 이어서")],
)
def test_a_run_that_was_handed_back_says_where_it_goes_on(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, lang: str, said: str
) -> None:
    recipe = make_recipe(folded, "halfway", epochs=4)
    run = launch_run(opened, folded, folds, recipe, now=START)
    job = claim(opened)
    run_halfway(opened, job, recipe)
    keep_checkpoint(opened, folded, job, 3, 12)
    attempts.release(opened.store, job.id, job.token, now=START)
    share = (2 * 104 + 13) / 416 / 3
    (table,) = [frame.value for frame in open_page("runs", lang=lang).dataframe]
    assert table["progress"].tolist() == [round(100 * share)] == [18]
    at = open_page("runs", lang=lang, run=run.ref)
    assert not at.exception and said in pictures(at)
    assert f"{share:.0%}" in [metric.delta for metric in at.metric]

    again = claim(opened)
    attempts.renew(opened.store, again.id, again.token, now=START, progress=Progress("loading", 0), lease_s=1e10)
    line = pictures(open_page("runs", lang=lang))
    assert said in line and 'aria-valuenow="53"' in line


def pictures(at: AppTest) -> str:
    """The page's own HTML."""
    return "\n".join(str(part.proto.body) for part in at.get("html"))
