from __future__ import annotations

import pytest

from core.base.errors import NotFoundError, StateError
from core.specs.blend import BlendSpec
from core.specs.kept import BlendScores
from core.store.blends import Blend, add_blend, free_blend_name, get_blend, list_blends
from core.store.database import Store
from core.store.runs import Run
from tests.finished_workspace import put_away

SCORES = BlendScores(metric="accuracy", oof_score=0.5, fold_scores=(0.4, 0.6), cv_score=0.5, cv_sd=0.1, equal_score=0.5)


def blend_of(store: Store, run: Run, name: str = "mix") -> Blend:
    spec = BlendSpec(members=(run.id,), weights=(1.0,))
    return add_blend(
        store,
        contest_id=run.contest_id,
        folds_id=run.folds_id,
        truth_id=run.truth_id,
        name=name,
        spec=spec,
        scores=SCORES,
        fingerprint="b",
        path="blends/b",
        now=9.0,
    )


def test_a_blend_comes_back_by_id_reference_and_name(store: Store, run: Run) -> None:
    blend = blend_of(store, run)
    assert get_blend(store, blend.id) == get_blend(store, "b1") == get_blend(store, "mix", run.contest_id) == list_blends(store)[0] == blend
    assert blend.run_ids == (run.id,) and blend.scores == SCORES
    assert free_blend_name(store, run.contest_id, "mix") == "mix-2"
    with pytest.raises(NotFoundError, match="known: b1"):
        get_blend(store, "b7")


def test_a_name_is_taken_once_in_a_contest(store: Store, run: Run) -> None:
    blend_of(store, run)
    with pytest.raises(StateError, match="already a blend named 'mix'"):
        blend_of(store, run)


def test_a_blend_of_a_run_that_is_gone_is_refused(store: Store, run: Run) -> None:
    put_away(store, "run", run.id)
    with pytest.raises(StateError, match="gone"):
        blend_of(store, run)
    assert list_blends(store) == ()
