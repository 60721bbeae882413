"""A run of several seeds is the mean of its seeds, fold by fold; what was trained before is taken; its noise is what seeds differ by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy.stats import t as student

from core.analysis.compare import compare_sources, retraining_of
from core.analysis.epoch_choice import epoch_choice
from core.artefacts import load_manifest
from core.base.errors import StateError
from core.blend.ensemble import blend_runs
from core.blend.procedure import BlendProcedure
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_truth
from core.folds import save_folds
from core.jobs.launch import launch_run, launch_runs, launch_seeds
from core.jobs.queue import cancel_run, move_run, pause_run, take_back
from core.metrics.scores import all_scores, get_metric
from core.predictions.oof import load_oof, load_test_prob
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.blends import list_blends
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.queue import read_queue
from core.store.runs import Run, get_run, list_runs
from core.store.trash import plan_removal, put_in_trash, restore
from core.submission.write import prepare
from core.workspace import Workspace
from tests.finished_workspace import finish_jobs, finish_run, make_recipe

METRIC = get_metric("log_loss")


@dataclass
class Bench:
    """A contest of texts on three folds."""

    workspace: Workspace
    contest: Contest
    folds: Folds

    def recipe(self, n_seeds: int, *, name: str = "tiny", seed: int = 0) -> Recipe:
        plain = make_recipe(self.contest, name)
        return plain.model_copy(update={"train": plain.train.model_copy(update={"seed": seed, "n_seeds": n_seeds})})

    def launch(self, recipe: Recipe) -> Run:
        return launch_run(self.workspace, self.contest, self.folds, recipe)

    def work(self, n_jobs: int, *, strength: float = 3.0) -> None:
        finish_jobs(self.workspace, self.contest, self.folds, self.recipe(1), n_jobs, strength=strength)

    def trained(self, recipe: Recipe, *, strength: float = 3.0) -> Run:
        run = self.launch(recipe)
        self.work(sum(job.state == "queued" for job in run.jobs), strength=strength)
        return self.read(run)

    def read(self, run: Run) -> Run:
        return get_run(self.workspace.store, run.id)

    def names(self) -> list[str]:
        return [run.name for run in list_runs(self.workspace.store)]

    def follow(self, run: Run) -> set[str]:
        """What is deleted with a run."""
        return {item.ref for item in plan_removal(self.workspace.store, {"run": [run.id]}).follows}


@pytest.fixture
def bench(workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Bench:
    draft = inspect_path(write_headlines(tmp_path / "headlines")).draft
    contest = add_contest(workspace, draft.model_copy(update={"metric": METRIC.name}))
    return Bench(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3)))


def test_predictions_are_the_mean_over_seeds_and_scores_are_those_of_the_mean(bench: Bench) -> None:
    run, labels = bench.trained(bench.recipe(3)), load_truth(bench.workspace, bench.contest).labels
    assert [seed.recipe.train.seed for seed in run.seeds] == [0, 1, 2] and bench.names() == ["tiny"]
    oof = load_oof(bench.workspace, run, bench.contest)
    of_seeds = [load_oof(bench.workspace, seed, bench.contest) for seed in run.seeds]
    assert np.array_equal(oof, np.mean(of_seeds, axis=0, dtype=np.float64).astype(np.float32))
    assert len({each.tobytes() for each in of_seeds}) == 3, "seeds that say the same prove nothing"
    tests = [load_test_prob(bench.workspace, seed) for seed in run.seeds]
    assert np.allclose(load_test_prob(bench.workspace, run), np.mean(tests, axis=0), atol=1e-6)
    for result in run.results:
        manifest = load_manifest(bench.workspace.absolute(result.path))
        of_fold = [each for seed in run.seeds for each in seed.results if each.fold == result.fold]
        assert [manifest.parents[f"seed {seed}"] for seed in range(3)] == [each.fingerprint for each in of_fold]
        rows = np.load(bench.workspace.absolute(result.path) / "valid_idx.npy")
        assert result.scores == all_scores(labels[rows], oof[rows])
    scores = [result.scores["log_loss"] for result in run.results]
    assert (run.cv_score("log_loss"), run.cv_sd("log_loss")) == pytest.approx((fmean(scores), stdev(scores)))
    assert run.elapsed_s == 9 * 42.0 and run.state == "done" and run.is_complete


def test_each_seed_is_the_run_that_its_seed_alone_would_be(bench: Bench) -> None:
    run = bench.launch(bench.recipe(2, seed=4))
    assert [seed.recipe.fingerprint for seed in run.seeds] == [bench.recipe(1, seed=seed).fingerprint for seed in (4, 5)]
    assert [seed.name for seed in run.seeds] == ["tiny-s4", "tiny-s5"]
    assert bench.recipe(1).fingerprint == make_recipe(bench.contest, "tiny").fingerprint != run.recipe.fingerprint


def test_a_fold_counts_when_every_seed_has_finished_it(bench: Bench) -> None:
    run = bench.launch(bench.recipe(3))
    assert [(job.fold, job.run_id - run.seeds[0].id) for job in run.jobs] == [(fold, seed) for fold in range(3) for seed in range(3)]
    bench.work(5)  # the first fold, and two seeds of the second
    run = bench.read(run)
    assert [result.fold for result in run.results] == [0] and not run.is_complete and run.state == "queued"
    assert not source_of(bench.workspace, run).is_complete
    assert run.seed_scores("log_loss") == tuple(seed.fold_scores("log_loss")[0] for seed in run.seeds), "over the fold that all have"
    with pytest.raises(StateError, match="not finished"):
        source_of(bench.workspace, run).test()
    bench.work(4)
    assert bench.read(run).is_complete


def test_more_seeds_train_only_what_is_not_there(bench: Bench) -> None:
    first = bench.trained(bench.recipe(1))
    three = launch_seeds(bench.workspace, first, 3)
    assert [job.state for job in three.jobs].count("queued") == 6 and three.seeds[0] == first
    bench.work(6)
    before = bench.read(first)
    five = launch_seeds(bench.workspace, bench.read(three), 5)
    assert [job.state for job in five.jobs].count("queued") == 6 and [seed.id for seed in five.seeds[:3]] == [s.id for s in three.seeds]
    bench.work(6)
    assert bench.read(five).is_complete and bench.read(first) == before, "what a run was stays"
    assert bench.names() == ["tiny-3", "tiny-2", "tiny"], "a run that was there stays in the list, seeds made for another do not"
    same = bench.launch(bench.recipe(3))
    assert same.is_complete and same.state == "done", "all of them are there: nothing is left to train"
    with pytest.raises(StateError, match="5 seeds already"):
        launch_seeds(bench.workspace, bench.read(five), 5)


def test_a_seed_that_failed_is_not_taken_for_one_that_is_there(bench: Bench) -> None:
    first = bench.launch(bench.recipe(1))
    cancel_run(bench.workspace.store, first.id)
    with pytest.raises(StateError, match="cannot get more seeds"):
        launch_seeds(bench.workspace, bench.read(first), 2)
    assert first.id not in [seed.id for seed in bench.launch(bench.recipe(2)).seeds]


def test_a_run_and_its_seeds_are_steered_together(bench: Bench) -> None:
    store = bench.workspace.store
    several, other = bench.launch(bench.recipe(2)), bench.launch(bench.recipe(1, name="other", seed=9))
    move_run(store, several.id, 1)
    assert [queued.run_id for queued in read_queue(store)] == [other.id, *(seed.id for seed in several.seeds)]
    pause_run(store, several.id)
    assert [queued.is_paused for queued in read_queue(store)] == [False, True, True]
    assert cancel_run(store, several.id).state == "canceled" and bench.read(other).state == "queued"
    assert take_back(bench.workspace, [several.id]) == () and bench.names() == ["other"]
    assert [queued.run_name for queued in read_queue(store)] == ["other"]


def test_a_run_goes_with_its_seeds_and_comes_back_with_them(bench: Bench) -> None:
    store = bench.workspace.store
    first = bench.trained(bench.recipe(1))
    three = launch_seeds(bench.workspace, first, 3)
    bench.work(6)
    five = launch_seeds(bench.workspace, bench.read(three), 5)
    bench.work(6)
    assert bench.follow(three) == set(), "the seeds that were made for it are the other's too, and the first stood there before"
    assert bench.follow(five) == {seed.ref for seed in five.seeds[3:]}
    everyone = {run.ref for run in (three, five, *five.seeds[1:])}
    assert bench.follow(first) == everyone and bench.follow(five.seeds[1]) == everyone - {five.seeds[1].ref}
    gone = [put_in_trash(store, plan_removal(store, {"run": [run.id]}), now=9.0).ref for run in (three, five)]
    assert bench.names() == ["tiny"]
    with pytest.raises(StateError, match="in the trash too"):
        restore(store, gone[0])
    for ref in reversed(gone):
        restore(store, ref)
    assert bench.names() == ["tiny-3", "tiny-2", "tiny"] and bench.read(three).is_complete
    store.check()


def test_a_retraining_moves_two_runs_by_what_their_seeds_differ(bench: Bench) -> None:
    one = bench.trained(bench.recipe(3, name="one"))
    two = bench.trained(bench.recipe(2, name="two", seed=20), strength=2.9)
    lone = bench.trained(bench.recipe(1, name="lone", seed=40))
    spreads = [stdev(fmean(seed.fold_scores("log_loss").values()) for seed in run.seeds) for run in (one, two)]
    assert [run.seed_sd("log_loss") for run in (one, two)] == pytest.approx(spreads) and lone.seed_sd("log_loss") is None
    sources = [source_of(bench.workspace, run) for run in (one, two, lone)]
    both, with_lone = (retraining_of(sources[0], other, METRIC) for other in sources[1:])
    assert both is not None and with_lone is not None
    sd = math.sqrt(spreads[0] ** 2 / 3 + spreads[1] ** 2 / 2)
    assert (both.sd, both.reach, both.n_seeds) == (pytest.approx(sd), pytest.approx(student.ppf(0.975, 3) * sd), (3, 2))
    sd = math.sqrt(spreads[0] ** 2 / 3 + spreads[0] ** 2)
    assert (with_lone.sd, with_lone.reach) == (pytest.approx(sd), pytest.approx(student.ppf(0.975, 2) * sd))
    assert retraining_of(sources[2], sources[2], METRIC) is None
    duel = compare_sources(sources[0], sources[1])
    assert duel.is_within_retraining == (abs(duel.comparison.gain) <= both.reach) and duel.to_dict()["retraining"]["n_seeds"] == (3, 2)
    poor = compare_sources(sources[0], source_of(bench.workspace, bench.trained(bench.recipe(2, name="poor", seed=60), strength=0.0)))
    assert poor.verdict == "first" and not poor.is_within_retraining


def test_a_run_of_several_seeds_goes_down_the_line_like_any_other(bench: Bench) -> None:
    several, lone = (
        bench.trained(bench.recipe(2)),
        finish_run(bench.workspace, bench.contest, bench.folds, make_recipe(bench.contest, "a"), seed=5),
    )
    blend = blend_runs(bench.workspace, bench.contest, [several, lone], BlendProcedure(way="equal"), name="both")
    source = source_of(bench.workspace, blend)
    assert list_blends(bench.workspace.store) == (blend,) and retraining_of(source, source, METRIC) is None
    assert len(prepare(source_of(bench.workspace, several)).data) > 0
    choice = epoch_choice(bench.workspace.store, bench.contest, bench.folds, several)
    of_seeds = [epoch_choice(bench.workspace.store, bench.contest, bench.folds, seed) for seed in several.seeds]
    assert choice and choice.cross_fitted == pytest.approx(fmean(each.cross_fitted for each in of_seeds if each))
    assert bench.follow(several) == {seed.ref for seed in several.seeds} | {blend.ref}


def test_runs_of_a_grid_share_seeds_that_are_queued_together(bench: Bench) -> None:
    alone, several = launch_runs(bench.workspace, bench.contest, bench.folds, [bench.recipe(1), bench.recipe(2, name="two")])
    assert several.seeds[0].id == alone.id and len(several.jobs) == 6
