"""Runs, blends and submissions as the command line shows them: plain values for JSON, short texts for tables."""

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any

from core.analysis.epoch_choice import epoch_choice, optimism
from core.analysis.kept import Kept
from core.analysis.overview import overview_of
from core.base.errors import NotFoundError, StateError
from core.base.files import shell_name
from core.jobs.fold import places, share_of_run
from core.metrics.scores import get_metric
from core.specs.progress import Progress
from core.store.blends import Blend, Submission
from core.store.contests import Contest, get_contest
from core.store.folds import Folds, get_folds, list_folds
from core.store.runs import Run, get_run, list_epochs
from core.workspace import Workspace


def contest_record(workspace: Workspace, contest: Contest) -> dict[str, Any]:
    """A contest; `run`, `fold_scores` and `cv_score` are those of its best run that has finished all folds."""
    found = overview_of(workspace.store, contest)
    best, metric = found.best, contest.spec.metric
    return {
        "contest": contest.name,
        "archived": contest.archived_at is not None,
        "state": "archived"
        if contest.archived_at is not None
        else "running"
        if found.n_running
        else "queued"
        if found.n_queued
        else "idle"
        if found.n_runs
        else "new",
        "modality": contest.spec.modality,
        "n_train": contest.n_train,
        "n_test": contest.n_test,
        "n_classes": len(contest.spec.classes),
        "classes": list(contest.spec.classes),
        "class_names": list(contest.shown_classes),
        "labels": contest.spec.labels,
        "metric": metric,
        "submission": contest.spec.submission,
        "fingerprint": contest.fingerprint,
        "n_runs": found.n_runs,
        "run": best.name if best else None,
        "fold_scores": fold_scores(best, metric, get_folds(workspace.store, best.folds_id).n_folds) if best else [],
        "cv_score": found.best_score,
    }


def folds_record(contest: Contest, folds: Folds) -> dict[str, Any]:
    """A split."""
    return {
        "contest": contest.name,
        "folds": folds.id,
        "kind": folds.kind,
        "n_folds": folds.n_folds,
        "seed": folds.seed,
        "group_column": folds.group_column,
        "fold_column": folds.spec.fold_column,
        "fingerprint": folds.fingerprint,
    }


def contest_id_of(workspace: Workspace, contest: str | None) -> int | None:
    """The id of the contest that `--contest` names; None where it names none."""
    return None if contest is None else get_contest(workspace.store, contest).id


def choose_folds(workspace: Workspace, contest: Contest, folds_id: int | None) -> Folds:
    """The split of that id, which must be the contest's, or its newest."""
    known = list_folds(workspace.store, contest.id)
    if not known:
        raise StateError(
            "this contest has no folds yet",
            where=contest.name,
            why="a run needs to know who validates whom",
            fix=f"python -m core folds make {shell_name(contest.name)}",
        )
    for folds in known:
        if folds_id in (None, folds.id):
            return folds
    raise NotFoundError.among("split", str(folds_id), (str(folds.id) for folds in known))


def run_record(workspace: Workspace, run: Run) -> dict[str, Any]:
    """A run; `fold_scores` has one place per fold of the split, None where there is no result yet.

    `seeds` are the runs of a run of several seeds, `seed_sd` the standard deviation of their CV scores, the noise of a retraining. What hangs
    on single jobs (`goes_on`, `errors`) is said of those.
    """
    contest, folds = get_contest(workspace.store, run.contest_id), get_folds(workspace.store, run.folds_id)
    metric = contest.spec.metric
    found = {} if run.is_imported else places(workspace, contest.folder, run)
    own_jobs = () if run.seeds else run.jobs
    return {
        "contest": contest.name,
        "run": run.name,
        "ref": run.ref,
        "state": run.state,
        "metric": metric,
        "greater_is_better": get_metric(metric).greater_is_better,
        "folds": folds.id,
        "n_folds": folds.n_folds,
        "fold_numbers": list(run.fold_numbers),
        "fold_scores": fold_scores(run, metric, folds.n_folds),
        "cv_score": run.cv_score(metric),
        "cv_sd": run.cv_sd(metric),
        "elapsed_s": run.elapsed_s,
        "imported": run.imported and run.imported.to_dict(),
        "backbone": run.own_recipe and run.own_recipe.model.backbone,
        "pretrained": run.own_recipe and run.own_recipe.model.pretrained,
        "seeds": [_seed_record(seed, metric) for seed in run.seeds],
        "seed_sd": run.seed_sd(metric),
        "goes_on": {str(job.fold): _place(found[job.id]) for job in own_jobs if job.id in found},
        "share_done": share_of_run(run, found),
        "errors": {str(job.fold): job.error for job in own_jobs if job.error and job.state == "failed"},
        "note": run.note,
        "created_at": run.created_at,
    }


def _seed_record(seed: Run, metric: str) -> dict[str, Any]:
    """One of several seeds of a run, which is a run of its own; the CV score is that of the folds that it has finished."""
    return {
        "seed": seed.recipe.train.seed,
        "run": seed.name,
        "ref": seed.ref,
        "state": seed.state,
        "folds_done": len(seed.results),
        "cv_score": seed.cv_score(metric),
    }


def run_details(workspace: Workspace, run: Run) -> dict[str, Any]:
    """A run with its recipe, the state of each fold, and its epochs; `cross_fitted_epochs` is its score without the choice of epochs."""
    results = {result.fold: result for result in run.results}
    ended = ("scores", "best_epoch", "elapsed_s", "facts")
    contest, folds = get_contest(workspace.store, run.contest_id), get_folds(workspace.store, run.folds_id)
    choice = epoch_choice(workspace.store, contest, folds, run)
    return run_record(workspace, run) | {
        "cross_fitted_epochs": choice
        and {
            "cv_score": choice.cross_fitted,
            "cv_sd": choice.cross_fitted_sd,
            "epochs": {str(fold): epoch for fold, epoch in choice.epochs.items()},
        },
        "recipe": run.own_recipe and run.own_recipe.to_dict(),
        "recipe_fingerprint": run.own_recipe and run.own_recipe.fingerprint,
        "jobs": [
            {
                "job": job.id,
                "fold": job.fold,
                "state": job.state,
                "device": job.device,
                "attempt": job.token,
                "progress": job.progress.to_dict() if job.progress else None,
                "error": job.error,
                "log": job.log_path,
                **{name: getattr(results.get(job.fold), name, None) for name in ended},
            }
            for job in (() if run.seeds else run.jobs)
        ],
        "epochs": [
            {name: _finite(value) for name, value in asdict(row).items() if name not in ("run_id", "token")}
            for row in list_epochs(workspace.store, run.id)
        ],
    }


def blend_record(workspace: Workspace, blend: Blend) -> dict[str, Any]:
    """A blend with its members and their weights, divided by their sum; `folds` are those it stands on where not all.

    `n_rows` is None for a blend that was saved before it was counted. `epoch_optimism` is by how much, at the least and at the most, the CV
    of those of its runs that stand on best epochs (`best_epoch_runs`) is better than with cross-fitted epochs, None where there are none.
    """
    contest = get_contest(workspace.store, blend.contest_id)
    members = [get_run(workspace.store, run_id) for run_id in blend.spec.members]
    folds = get_folds(workspace.store, blend.folds_id)
    choices = [epoch_choice(workspace.store, contest, folds, run) for run in members]
    return {
        "contest": contest.name,
        "blend": blend.name,
        "ref": blend.ref,
        "state": "done",
        "run": [run.name for run in members],
        "weights": list(blend.spec.normalised()),
        "mean": blend.spec.mean,
        "temperature": blend.spec.temperature,
        "test_temperature": blend.spec.test_steps.temperature,
        "offsets": list(blend.spec.offsets),
        "thresholds": list(blend.spec.thresholds),
        "metric": blend.scores.metric,
        "folds": list(blend.spec.folds) or None,
        "n_rows": blend.scores.n_rows,
        **blend.scores.model_dump(mode="json", include={"fold_scores", "cv_score", "cv_sd", "oof_score", "equal_score"}),
        "epoch_optimism": optimism(choices, get_metric(contest.spec.metric)),
        "best_epoch_runs": [run.name for run, choice in zip(members, choices, strict=True) if choice],
        "honest": blend.scores.honest.to_dict() if blend.scores.honest else None,
        "fingerprint": blend.fingerprint,
        "created_at": blend.created_at,
    }


def submission_record(workspace: Workspace, submission: Submission) -> dict[str, Any]:
    """A written submission and where it came from."""
    return {
        "contest": get_contest(workspace.store, submission.contest_id).name,
        "submission": submission.ref,
        "source": submission.source,
        "name": submission.name,
        "filename": submission.filename,
        "n_rows": submission.n_rows,
        "sha256": submission.sha256,
        "hidden_scores": submission.hidden_scores and submission.hidden_scores.to_dict(),
        "lineage": submission.lineage.to_dict(),
        "created_at": submission.created_at,
    }


def fold_scores(run: Run, metric: str, n_folds: int) -> list[float | None]:
    """The score of every fold of the split, None where the run has no result."""
    scores = run.fold_scores(metric)
    return [scores.get(fold) for fold in range(n_folds)]


def score_text(score: float | None, sd: float | None = None) -> str:
    """A score with four digits, and its spread over the folds where there is one."""
    if score is None:
        return "-"
    return f"{score:.4f}" if sd is None else f"{score:.4f} ± {sd:.4f}"


def direction(metric: str) -> str:
    """Whether lower or higher is better, in one word."""
    return "(higher is better)" if get_metric(metric).greater_is_better else "(lower is better)"


def folds_text(n_folds: int, n_seeds: int) -> str:
    """How much a run trains: 5 folds, or 5 folds x 3 seeds."""
    return f"{n_folds} fold{'s' if n_folds > 1 else ''}" + (f" x {n_seeds} seeds" if n_seeds > 1 else "")


def duration_text(seconds: float | None) -> str:
    """A duration as a person says it: 42 s, 3 min 05 s, 2 h 10 min."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def when_text(moment: float) -> str:
    """A moment, by the clock of this machine."""
    return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"


def _place(place: Progress) -> dict[str, Any]:
    return {"phase": place.phase, "epoch": place.epoch, "n_epochs": place.n_epochs, "step": place.step, "n_steps": place.n_steps}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def kept_record(kept: Kept) -> dict[str, Any]:
    """A checkpoint, or the weights of a finished fold."""
    return asdict(kept) | {"scores": dict(kept.scores), "path": str(kept.path)}
