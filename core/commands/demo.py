"""The whole line at once: two sample contests, four runs, two blends, two submissions. Every stage reuses what is there.

Made of the same functions as the pages, so whatever works here works in the browser.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.base.files import shown_path
from core.base.settings import apply_sets
from core.blend.ensemble import make_spec, save_blend
from core.commands.console import note, print_table, standard_output
from core.commands.contests import checking_rows
from core.commands.follow import raise_failure, work
from core.commands.records import direction, duration_text, fold_scores, score_text
from core.contest.samples import open_sample
from core.folds import save_folds
from core.jobs.engine import Engine
from core.jobs.launch import launch_run
from core.jobs.queue import retry_run
from core.predictions.source import source_of
from core.recipes.plan import load_preset
from core.specs.folds import FoldsSpec
from core.store.blends import Blend, Submission, free_blend_name, list_blends, list_submissions
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_runs
from core.submission.write import write_submission
from core.workspace import ENV_VARIABLE, Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

DEMO_ROOT = Path("demo-workspace")
N_FOLDS = 3
BLEND_NAME = "demo"


@dataclass(frozen=True)
class Plan:
    """One sample contest of the demo: presets by name, each with its weight in the blend; `sets` changes all of them."""

    sample: str
    weights: dict[str, float]
    sets: tuple[str, ...] = ()


PLANS = (
    Plan("digits", {"digits-lite0": 0.5, "digits-small": 0.5}),
    Plan("news", {"news-minilm": 0.7, "news-tiny": 0.3}),
)


@dataclass(frozen=True)
class Outcome:
    """What the demo made of one contest."""

    contest: Contest
    folds: Folds
    runs: tuple[Run, ...]
    blend: Blend
    submission: Submission


def run_demo(workspace: Workspace, *, serve: bool, plans: Sequence[Plan] = PLANS) -> tuple[Outcome, ...]:
    """Make what is missing, print the table, and open the workbench unless `serve` is off (then return what was made)."""
    prepared = [_prepare(workspace, plan) for plan in plans]
    runs = [run for _, _, of_contest in prepared for run in of_contest]
    if any(run.state != "done" for run in runs):
        note(
            f"training {sum(len(run.fold_numbers) - len(run.results) for run in runs)} folds of {len(runs)} runs; Ctrl-C pauses, the same command continues",
        )
        runs = work(Engine(workspace, what="python -m core demo"), [run.id for run in runs])
        for run in runs:
            raise_failure(run)
    outcomes: list[Outcome] = []
    for plan, (contest, folds, of_contest) in zip(plans, prepared, strict=True):
        done = tuple(get_run(workspace.store, run.id) for run in of_contest)
        blend = _blend(workspace, contest, done, list(plan.weights.values()))
        outcomes.append(Outcome(contest, folds, done, blend, _submit(workspace, contest, blend)))
    _print_outcomes(workspace, outcomes)
    if serve:
        _open_workbench(workspace)
    return tuple(outcomes)


def _prepare(workspace: Workspace, plan: Plan) -> tuple[Contest, Folds, list[Run]]:
    """Contest, folds and queued runs of a plan; a run with an equal recipe on equal folds is taken up again."""
    with checking_rows() as progress:
        contest = open_sample(workspace, plan.sample, progress=progress)
    folds = save_folds(workspace, contest, FoldsSpec(kind="stratified", n_folds=N_FOLDS, seed=0))
    note(
        f"{contest.name}: {contest.n_train:,} training rows, {contest.n_test:,} test rows, {len(contest.spec.classes)} classes, {N_FOLDS} folds",
    )
    return contest, folds, [_run(workspace, contest, folds, preset, plan.sets) for preset in plan.weights]


def _run(workspace: Workspace, contest: Contest, folds: Folds, preset: str, sets: tuple[str, ...]) -> Run:
    recipe = apply_sets(load_preset(preset), sets, where=preset)
    for run in list_runs(workspace.store, contest.id):
        if (
            run.folds_id == folds.id
            and not run.is_imported
            and run.recipe.fingerprint == recipe.fingerprint
            and len(run.fold_numbers) == folds.n_folds
        ):
            return retry_run(workspace.store, run.id) if run.state in ("failed", "canceled") else run
    return launch_run(workspace, contest, folds, recipe)


def _blend(workspace: Workspace, contest: Contest, runs: tuple[Run, ...], weights: list[float]) -> Blend:
    spec = make_spec([run.id for run in runs], weights)
    there = next((blend for blend in list_blends(workspace.store, contest.id) if blend.spec == spec), None)
    return there or save_blend(workspace, contest, spec, name=free_blend_name(workspace.store, contest.id, BLEND_NAME))


def _submit(workspace: Workspace, contest: Contest, blend: Blend) -> Submission:
    there = [submission for submission in list_submissions(workspace.store, contest.id) if submission.source == blend.ref]
    whole = next((submission for submission in there if workspace.absolute(submission.path).is_file()), None)
    return whole or write_submission(source_of(workspace, blend, contest))


def _print_outcomes(workspace: Workspace, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        metric = outcome.contest.spec.metric
        scores = outcome.blend.scores
        weights = dict(zip(outcome.blend.spec.members, outcome.blend.spec.normalised(), strict=True))
        rows = [
            (
                run.name,
                f"{weights[run.id]:.2f}",
                *(score_text(score) for score in fold_scores(run, metric, N_FOLDS)),
                score_text(run.cv_score(metric), run.cv_sd(metric)),
                duration_text(run.elapsed_s),
            )
            for run in outcome.runs
        ]
        standard_output().print()
        rows.append(("blend", "", *(score_text(score) for score in scores.fold_scores), score_text(scores.cv_score, scores.cv_sd), ""))
        print_table(
            ["run", ">weight", *(f">fold {fold}" for fold in range(N_FOLDS)), ">CV mean ± sd", ">trained in"],
            rows,
            title=f"{outcome.contest.name}: {metric} {direction(metric)}",
        )
        hidden = outcome.submission.hidden_scores
        scores_of_truth = (hidden.public, hidden.private) if hidden else (None, None)
        file = workspace.absolute(outcome.submission.path)
        print_table(
            ["submission", ">rows", ">public", ">private"],
            [(shown_path(file), f"{outcome.submission.n_rows:,}", *map(score_text, scores_of_truth))],
        )


def _open_workbench(workspace: Workspace) -> None:
    """Become the workbench: the same process number, so that Ctrl-C and a kill reach it."""
    note(f"opening the workbench on {workspace.root}")
    os.environ[ENV_VARIABLE] = str(workspace.root)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "app"])
