"""The kind of job that trains one fold of a run: what it needs, what it does, and what it leaves behind."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.artefacts import load_manifest, publishing
from core.base.errors import CheckpointError, PitwallError, RecipeError
from core.base.files import fingerprint, write_json
from core.base.messages import msg
from core.jobs.devices import torch_name
from core.jobs.disk import fold_bytes
from core.jobs.reporter import Reporter
from core.specs.kept import PretrainedOn
from core.specs.progress import Interrupted, Progress
from core.specs.recipe import Recipe
from core.store.attempts import MOST_HALVINGS, Record
from core.store.contests import Contest, TruthVersion, get_contest, get_truth
from core.store.folds import Folds, get_folds
from core.store.jobs import FoldJob
from core.store.pretrainings import Pretraining, get_pretraining
from core.store.runs import FoldResult, Run, get_run
from core.tracking.recorder import record
from core.training.checkpoint import Checkpoint, list_checkpoints, remove_checkpoints
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.training.checkpoint import Checkpointing
    from core.training.task import FoldTask

N_IMAGES = 8
"""Training images of a run that TensorBoard shows, as its network sees them in the first epoch."""

log = logging.getLogger("core.jobs.worker")


def needed_bytes(workspace: Workspace, job: FoldJob) -> int:
    """Bytes that a fold of this recipe writes at the most."""
    run = get_run(workspace.store, job.run_id)
    contest = get_contest(workspace.store, run.contest_id)
    shape = {"n_rows": contest.n_train, "n_test": contest.n_test, "n_classes": len(contest.spec.classes)}
    return fold_bytes(run.recipe, weights_dir=workspace.weights_dir, **shape)


def run(workspace: Workspace, job: FoldJob, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
    """Train the fold and publish its artefact: predictions, weights, and `fold.json` with its scores."""
    run = get_run(workspace.store, job.run_id)
    contest = get_contest(workspace.store, run.contest_id)
    folds = get_folds(workspace.store, run.folds_id)
    log.info("%s (%s), fold %d of %s on %s, attempt %d", run.name, run.ref, job.fold, contest.name, job.device, job.token)
    reporter.recorder = record(workspace, contest, run, job)
    # Imported here, when someone listens already: torch takes seconds to come up.
    from core.contest.extra_rows import rows_of_recipe
    from core.contest.table import TEST, TRAIN, parents_of
    from core.predictions.oof import FoldPredictions, write_fold_predictions
    from core.predictions.seeds import record_fold
    from core.training.checkpoint import Checkpointing, Identity

    if run.recipe.model.is_tfidf:
        from core.training.tfidf import train_tfidf as train_fold
    else:
        from core.training.fold import train_fold
    if should_stop():
        raise Interrupted
    reporter.report(Progress("loading", job.fold))
    destination = workspace.attempt_dir(contest.folder, run.id, job.fold, job.token)
    _remove_unfinished(destination.parent)
    truth = get_truth(workspace.store, run.truth_id)
    parents = {**parents_of(contest, truth), "folds": folds.fingerprint, "recipe": run.recipe.fingerprint}
    if run.recipe.input.composes:  # other columns than those that the rows' fingerprint is made of
        files = load_manifest(workspace.absolute(contest.path)).files
        parents["columns"] = fingerprint({name: files[name] for name in (TRAIN, TEST)})
    if (extra := rows_of_recipe(workspace, contest, run.recipe)) is not None:
        parents["extra_rows"] = extra.fingerprint
    if (start := start_dir(workspace, contest, folds, run.recipe, job.fold)) is not None:
        parents["start"] = load_manifest(start).fingerprint
    checkpointing = Checkpointing(
        folder=workspace.checkpoints_dir(contest.folder, run.id, job.fold),
        identity=Identity({**parents, "fold": str(job.fold)}),
        token=job.token,
        every_s=run.recipe.checkpoints.every_s,
        keep=run.recipe.checkpoints.keep,
    )
    with publishing(destination, kind="fold", parents=parents, facts={"fold": job.fold}) as folder:
        device, halvings = job.device, job.halvings
        task = load_task(
            workspace,
            contest,
            folds,
            run.recipe,
            job.fold,
            device=device,
            out_dir=folder,
            truth=truth,
            checkpointing=checkpointing,
            halvings=halvings,
            metric=run.chosen_by or "",
        )
        if run.recipe.modality == "image" and job.fold == run.fold_numbers[0]:
            from core.training.preview import see_rows  # texts need no torchvision

            with suppress(PitwallError):  # training tells what is wrong with the images, all of it at once
                reporter.recorder.images = tuple(see_rows(task, 1, N_IMAGES).pixels)
        output = train_fold(task, report=reporter.report, should_stop=should_stop)
        reporter.report(Progress("saving", job.fold))
        found = FoldPredictions(valid_idx=task.valid_idx, valid_prob=output.valid_prob, test_prob=output.test_prob)
        write_fold_predictions(folder, found, multilabel=task.is_multilabel)
        # Nothing that differs between two equal trainings.
        facts = {"fold": job.fold, "scores": dict(output.scores), "best_epoch": output.best_epoch, "n_epochs": output.n_epochs}
        write_json(folder / "fold.json", facts)
    log.info("trained: %s", ", ".join(f"{name} {score:.5f}" for name, score in output.scores.items()))
    result = FoldResult(
        run_id=run.id,
        fold=job.fold,
        token=job.token,
        path=workspace.relative(destination),
        fingerprint=load_manifest(destination).fingerprint,
        scores=dict(output.scores),
        best_epoch=output.best_epoch,
        n_epochs=output.n_epochs,
        elapsed_s=output.elapsed_s,
        facts={**output.facts, **_origin(workspace, contest, run.recipe)},
        created_at=time.time(),
    )
    return lambda connection: record_fold(workspace, connection, contest, result, task.labels[: contest.n_train])


def cleanup(workspace: Workspace, job: FoldJob) -> None:
    """Remove what earlier attempts published but could not commit, and the checkpoints: a finished fold has nothing to go on from."""
    contest = get_contest(workspace.store, job.contest_id)
    finished = workspace.attempt_dir(contest.folder, job.run_id, job.fold, job.token)
    for other in finished.parent.glob("attempt-*"):
        if other != finished:
            shutil.rmtree(other)
    remove_checkpoints(finished.parent / "checkpoints")


def can_halve(workspace: Workspace, job: FoldJob) -> bool:
    """Whether the job can go on with half the rows at once after memory ran out."""
    return recipe_can_halve(get_run(workspace.store, job.run_id).recipe, job.halvings)


def recipe_can_halve(recipe: Recipe, halvings: int) -> bool:
    """Whether a micro-batch that was halved so often has two rows or more, and may be halved again."""
    return halvings < MOST_HALVINGS and recipe.train.micro_batch(halvings) > 1


def _remove_unfinished(folder: Path) -> None:
    """Remove what killed attempts at this fold left half written."""
    if folder.exists():
        for leftover in folder.glob(".attempt-*.tmp"):
            shutil.rmtree(leftover)


def start_dir(workspace: Workspace, contest: Contest, folds: Folds, recipe: Recipe, fold: int) -> Path | None:
    """The network that a fold starts from: the same fold's of the run that `model.start_from` names; None where it names none.

    That network has seen no row that the fold validates. Of a run of several seeds it is that of the same seed, else of the first. Of a
    pretraining it is the encoder, for all folds. Raises NotFoundError, RecipeError, CheckpointError.
    """
    if not recipe.model.start_from:
        return None
    if recipe.model.start_from.startswith("p"):
        pretraining = get_pretraining(workspace.store, recipe.model.start_from, contest.id)
        _check_backbone(pretraining, recipe)
        return workspace.absolute(pretraining.path)
    from core.predictions.networks import network_folders

    named = get_run(workspace.store, recipe.model.start_from, contest.id)
    run = next((seed for seed in named.seeds if seed.recipe.train.seed == recipe.train.seed), named.parts[0])
    result = next((result for result in run.results if result.fold == fold), None)
    problem = "these folds validate rows that its networks were trained on" if run.folds_id != folds.id else ""
    if not problem and result is None:
        problem = msg("its fold {fold} has not finished", fold=fold)
    if result is None or problem:
        raise _cannot_start(run, problem, fix="choose a run that has finished on the folds {folds}", folds=folds.id)
    networks = network_folders(workspace.absolute(result.path))
    if len(networks) != 1 or run.is_imported:
        raise _cannot_start(run, "it has no network that was trained by this version", fix="choose a run that was trained here")
    _check_backbone(run, recipe)
    alike = (
        "model.pooling",
        "model.layers",
        "model.global_pool",
        "model.two_levels",
        "model.separate_levels",
        "input.template",
        "input.markers",
    )
    for path in (*alike, *(("loss.coarse",) if recipe.model.two_levels else ())):
        section, _, name = path.partition(".")
        its, wanted = (getattr(getattr(one, section), name) for one in (run.recipe, recipe))
        if its != wanted:
            raise _cannot_start(run, msg("its {path} is {value}", path=path, value=its), fix="set {path}={value}", path=path, value=its)
    return networks[0]


def _origin(workspace: Workspace, contest: Contest, recipe: Recipe) -> dict[str, Any]:
    """What a fold says of the pretraining that its weights began with, also by way of another run; nothing where there was none."""
    start, on = recipe.model.start_from, None
    if start.startswith("p"):
        made = get_pretraining(workspace.store, start, contest.id)
        on = PretrainedOn(ref=made.ref, name=made.name, fingerprint=made.fingerprint, saw_test=contest.n_test > 0)
    elif start:
        on = get_run(workspace.store, start, contest.id).pretrained_on
    return {} if on is None else {"pretrained_on": on.to_dict()}


def _check_backbone(start: Run | Pretraining, recipe: Recipe) -> None:
    backbone = start.recipe.model.backbone
    if backbone != recipe.model.backbone:
        why = msg("its network is {backbone}", backbone=backbone)
        raise _cannot_start(start, why, fix="set model.backbone={backbone}", backbone=backbone)


def _cannot_start(run: Run | Pretraining, why: str, *, fix: str, **values: object) -> RecipeError:
    return RecipeError("a run cannot start from {run}", where="model.start_from", why=why, fix=fix, run=run.ref, **values)


def load_task(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipe: Recipe,
    fold: int,
    *,
    device: str,
    out_dir: Path,
    truth: TruthVersion | None = None,
    checkpointing: Checkpointing | None = None,
    halvings: int = 0,
    metric: str = "",
) -> FoldTask:
    """The task of a fold, with its rows read and verified, on the contest's current truth or another; `device` is a slot of the engine.

    Its best epoch is chosen by `metric`, or by the contest's. Behind the contest's training rows come the extra ones that the recipe names.

    Raises CheckpointError, InputError where a row's text cannot be composed, and as `start_dir` does.
    """
    import numpy as np
    import pandas as pd

    from core.contest.extra_rows import load_rows, rows_of_recipe
    from core.contest.table import load_table, load_truth
    from core.data.cleaning import clean_texts, fit_words
    from core.data.compose import compose, special_tokens
    from core.folds import load_folds
    from core.training.task import FoldTask

    table = load_table(workspace, contest)
    known = load_truth(workspace, contest, truth)
    pairs = load_folds(workspace, folds).keeping(known.kept)

    train_idx, tables, known_words = pairs.train_idx(fold), (table.train, table.test), ()
    labels, weights, described = known.labels, None, rows_of_recipe(workspace, contest, recipe)
    if described is not None:
        extra = load_rows(described, table.train["id"].tolist(), labels)
        tables = (pd.concat([table.train, extra.frame], ignore_index=True), table.test)
        train_idx = np.concatenate([train_idx, len(labels) + extra.beside(train_idx)])
        weights = np.concatenate([np.ones(len(labels), dtype=np.float32), extra.weights])
        labels = np.concatenate([labels, extra.labels])
    if table.image_base is None:
        texts = [compose(recipe.input, rows) for rows in tables]
        known_words = fit_words(recipe.clean, [texts[0][row] for row in train_idx] if recipe.clean.min_rows else [])
        inputs, test_inputs = (clean_texts(recipe.clean, each, known_words) for each in texts)
    else:
        inputs, test_inputs = ([table.image_path(name) for name in rows["input"]] for rows in tables)

    return FoldTask(
        recipe=recipe,
        metric=metric or contest.spec.metric,
        classes=contest.spec.classes,
        inputs=inputs,
        labels=labels,
        row_weights=weights,
        is_multilabel=contest.spec.is_multilabel,
        white_level=contest.spec.white_level,
        train_idx=train_idx,
        valid_idx=pairs.valid_idx(fold),
        test_inputs=test_inputs,
        fold=fold,
        weights_dir=workspace.weights_dir,
        cache_dir=workspace.cache_dir,
        out_dir=out_dir,
        device=torch_name(device),
        start_dir=start_dir(workspace, contest, folds, recipe, fold),
        checkpointing=checkpointing,
        halvings=halvings,
        sha256=tables[0]["sha256"].tolist(),
        test_sha256=table.test["sha256"].tolist(),
        special_tokens=special_tokens(recipe.input, tables),
        known_words=known_words,
    )


def ids_of_rows(workspace: Workspace, contest: Contest, recipe: Recipe) -> list[str]:
    """The ids of the rows of `load_task`: the contest's training rows, and the extra ones that the recipe names."""
    from core.contest.extra_rows import load_rows, rows_of_recipe
    from core.contest.table import load_table, load_truth

    ids: list[str] = load_table(workspace, contest).train["id"].tolist()
    described = rows_of_recipe(workspace, contest, recipe)
    if described is None:
        return ids
    return ids + load_rows(described, ids, load_truth(workspace, contest).labels).frame["id"].tolist()


def places(workspace: Workspace, contest: str, run: Run) -> dict[int, Progress]:
    """By the id of a waiting or starting job of the run the step that it will do next; those that begin at their beginning are not in it.

    Whether the checkpoint verifies is not looked at: its hashes are compared when training goes on from it.
    """
    found: dict[int, Progress] = {}
    for job in filter(_is_on_its_way, run.jobs):
        newest = next(iter(list_checkpoints(workspace.checkpoints_dir(contest, job.run_id, job.fold))), None)
        if newest is not None:
            found[job.id] = _next_step(newest, run, job)
    return found


def share_of(job: FoldJob, place: Progress | None) -> float:
    """How much of a job is done, 0 to 1; `place` is where it will go on, of `places`."""
    if job.state == "done":
        return 1.0
    at = place if place is not None else job.progress if job.state == "running" else None
    return at.fraction if at is not None else 0.0


def share_of_run(run: Run, places: Mapping[int, Progress]) -> float:
    """How much of a run is done, 0 to 1, over all its folds and seeds; `places` are where those that wait will go on."""
    done = sum(share_of(job, places.get(job.id)) for job in run.jobs)
    return done / len(run.jobs) if run.jobs else float(run.is_complete)


def _is_on_its_way(job: FoldJob) -> bool:
    """It had an attempt before, and none has got to training since."""
    if job.state == "queued":
        return job.token > 0
    return (
        job.state == "running"
        and job.token > 1
        and (job.progress is None or job.progress.phase in ("starting", "loading", "caching", "tokenizing"))
    )


def _next_step(newest: Checkpoint, run: Run, job: FoldJob) -> Progress:
    n_epochs, n_steps = run.recipe.train.epochs, _n_steps(newest)
    if newest.epoch > n_epochs:
        return Progress("predicting", job.fold, n_epochs, n_epochs, n_steps, n_steps)
    return Progress("training", job.fold, newest.epoch, n_epochs, min(newest.step + 1, n_steps or newest.step + 1), n_steps)


def _n_steps(checkpoint: Checkpoint) -> int:
    """Steps of an epoch; 0 where the checkpoint does not say, or cannot be read."""
    try:
        return int(checkpoint.facts.get("n_steps", 0))
    except CheckpointError:
        return 0
