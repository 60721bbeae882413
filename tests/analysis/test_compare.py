"""Two blends are compared on the rows that both have; what is better than luck is told apart from what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis.compare import compare_sources, standing_of
from core.base.errors import AlignmentError
from core.blend.ensemble import blend_runs, make_spec, save_blend
from core.blend.procedure import BlendProcedure
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import load_folds, save_folds
from core.metrics.scores import get_metric
from core.predictions.oof import shared_folds
from core.predictions.source import Source, load_matrix, source_of
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

Prepared = tuple[Workspace, Contest, Folds, Run, Run]


@pytest.fixture(params=["log_loss", "accuracy", "macro_f1"])
def prepared(request: pytest.FixtureRequest, workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Prepared:
    draft = inspect_path(write_headlines(tmp_path / "headlines"), sets=[f"metric={request.param}"]).draft
    contest = add_contest(workspace, draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    good = finish_run(workspace, contest, folds, make_recipe(contest, "good"), strength=4)
    poor = finish_run(workspace, contest, folds, make_recipe(contest, "poor"), strength=0, seed=1)
    return workspace, contest, folds, good, poor


def test_the_better_blend_is_named_from_either_side(prepared: Prepared) -> None:
    workspace, contest, _, good, poor = prepared
    ids = [good.id, poor.id]
    one, other = (save_blend(workspace, contest, make_spec(ids, weights), name=name) for weights, name in (([9, 1], "a"), ([1, 9], "b")))
    duel = compare_sources(source_of(workspace, one), source_of(workspace, other))
    back = compare_sources(source_of(workspace, other), source_of(workspace, one))
    assert (duel.verdict, back.verdict, duel.n_rows) == ("first", "second", contest.n_train)
    assert duel.comparison.score == pytest.approx(one.scores.oof_score, abs=1e-6) == back.comparison.other
    assert back.comparison.gain == pytest.approx(-duel.comparison.gain)
    assert (back.comparison.gain_low, back.comparison.gain_high) == pytest.approx((-duel.comparison.gain_high, -duel.comparison.gain_low))
    assert compare_sources(source_of(workspace, one), source_of(workspace, one)).verdict == "same"


def test_noise_against_noise_is_no_difference(prepared: Prepared) -> None:
    workspace, contest, folds, _, poor = prepared
    other = finish_run(workspace, contest, folds, make_recipe(contest, "other"), strength=0, seed=7)
    duel = compare_sources(source_of(workspace, poor), source_of(workspace, other))
    assert duel.verdict == "unclear" and duel.comparison.gain_low < 0 < duel.comparison.gain_high
    assert duel.to_dict()["verdict"] == "unclear" and duel.to_dict()["folds"] == [0, 1, 2]


def test_rows_that_only_one_has_are_left_out(prepared: Prepared) -> None:
    workspace, contest, folds, good, poor = prepared
    part = finish_run(workspace, contest, folds, make_recipe(contest, "part"), strength=2, n_done=2)
    blend = blend_runs(workspace, contest, [poor, part], BlendProcedure(), fold_numbers=shared_folds([poor, part]))
    rows = np.flatnonzero(load_folds(workspace, folds).first_fold() != 2)
    for one, other in ((good, blend), (part, good)):
        duel = compare_sources(source_of(workspace, one), source_of(workspace, other))
        assert (duel.n_rows, duel.n_train, duel.folds) == (len(rows), contest.n_train, (0, 1))
    evidence = load_matrix([source_of(workspace, good)])
    expected = get_metric(contest.spec.metric).score(evidence.y_true[rows], evidence.y_prob[rows])
    assert compare_sources(source_of(workspace, good), source_of(workspace, part)).comparison.score == pytest.approx(expected, abs=1e-6)


def test_what_stands_on_other_folds_or_rows_is_refused(prepared: Prepared) -> None:
    workspace, contest, folds, good, _ = prepared
    others = save_folds(workspace, contest, FoldsSpec(n_folds=4))
    stranger = finish_run(workspace, contest, others, make_recipe(contest, "x"))
    with pytest.raises(AlignmentError, match="cannot be compared"):
        compare_sources(source_of(workspace, good), source_of(workspace, stranger))
    early = finish_run(workspace, contest, folds, make_recipe(contest, "early"), n_done=1)
    has_early = ~np.isnan(source_of(workspace, early).oof())

    def without_them(source: Source, _: object) -> NDArray[np.float32]:
        return source.oof() if source.name == "early" else np.where(has_early, np.float32(np.nan), source.oof())

    with pytest.raises(AlignmentError, match="no row in common"):
        load_matrix([source_of(workspace, early), source_of(workspace, good)], read=without_them)


def test_groups_are_drawn_whole(workspace: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["id,text,label,person"]
    lines += [f"r{row},{'goal' if row // 8 % 2 else 'vote'} {row},{'a' if row // 8 % 2 else 'b'},p{row // 8}" for row in range(160)]
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "test.csv").write_text("id,text\nt1,goal\n", encoding="utf-8")
    contest = add_contest(workspace, inspect_path(folder, sets=["metric=accuracy", "label_column=label", "input_columns=[text]"]).draft)
    alone = save_folds(workspace, contest, FoldsSpec(n_folds=4))
    grouped = save_folds(workspace, contest, FoldsSpec(kind="group", n_folds=4, group_column="person"))
    widths = []
    for folds in (alone, grouped):
        runs = [finish_run(workspace, contest, folds, make_recipe(contest, f"r{seed}"), strength=1, seed=seed) for seed in (1, 2)]
        # Rows of a person stand or fall together: the first run is right about whole people only.
        truth = load_matrix([source_of(workspace, run) for run in runs])
        is_right = (rng.random(20) < 0.6)[truth.rows // 8]
        prob = np.full((len(truth.rows), 2), 0.4, dtype=np.float32)
        prob[np.arange(len(truth.rows)), np.where(is_right, truth.y_true, 1 - truth.y_true)] = 0.6
        both = replace(truth, prob=(prob, np.full_like(prob, 0.5)))
        duel = compare_sources(*truth.sources, both).comparison
        widths.append(duel.gain_high - duel.gain_low)
    assert widths[1] > 1.5 * widths[0]


def test_a_standing_says_scores_folds_weights_and_whether_it_was_tuned(prepared: Prepared) -> None:
    workspace, contest, _, good, poor = prepared
    run = standing_of(source_of(workspace, good))
    assert (run.weights, run.is_tuned, run.honest, run.folds, run.n_rows) == ({good.id: 1.0}, False, None, (0, 1, 2), contest.n_train)
    assert (run.cv_score, run.cv_sd) == (good.cv_score(contest.spec.metric), good.cv_sd(contest.spec.metric))
    equal = standing_of(source_of(workspace, blend_runs(workspace, contest, [good, poor], BlendProcedure())))
    tuned = standing_of(source_of(workspace, blend_runs(workspace, contest, [good, poor], BlendProcedure(way="optimal"))))
    assert (equal.is_tuned, equal.honest, equal.weights) == (False, None, {good.id: 0.5, poor.id: 0.5})
    assert tuned.is_tuned and tuned.honest is not None and sum(tuned.weights.values()) == pytest.approx(1)
    alone = standing_of(source_of(workspace, save_blend(workspace, contest, make_spec([good.id]), name="alone")))
    assert alone.oof_score == pytest.approx(run.oof_score, abs=1e-6)
