"""The kind of job that goes on with the pretraining of a backbone over a contest's texts: training and test rows, whose labels it never reads."""

import json
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress

from core.artefacts import load_manifest, publishing
from core.base.errors import CheckpointError
from core.base.files import fingerprint
from core.jobs.devices import torch_name
from core.jobs.disk import fold_bytes
from core.jobs.fold import recipe_can_halve
from core.jobs.reporter import Reporter
from core.specs.progress import EpochReport, Interrupted, Progress
from core.specs.recipe import Recipe
from core.store.attempts import Record
from core.store.contests import Contest, get_contest
from core.store.jobs import Job
from core.store.pretrainings import add_pretraining
from core.training.checkpoint import Checkpointing, Identity, list_checkpoints, remove_checkpoints
from core.workspace import Workspace

KIND = "pretraining"
"""The kind of artefact that it leaves."""

log = logging.getLogger("core.jobs.worker")


def needed_bytes(workspace: Workspace, job: Job) -> int:
    """Bytes that it writes at the most."""
    return fold_bytes(recipe_of(job), weights_dir=workspace.weights_dir, n_rows=0, n_test=0, n_classes=0)


def run(workspace: Workspace, job: Job, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
    """Train, and publish the encoder with its tokenizer as a folder of transformers."""
    contest, recipe = get_contest(workspace.store, job.contest_id or 0), recipe_of(job)
    log.info("%s, pretraining of %s on %s, attempt %d", recipe.name, contest.name, job.device, job.token)
    from core.training.pretrain import PretrainTask, pretrain  # when someone listens already: torch takes seconds to come up

    if should_stop():
        raise Interrupted
    reporter.report(Progress("loading"))
    root = workspace.pretraining_dir(contest.folder, job.id)
    for leftover in root.glob(".attempt-*.tmp"):
        shutil.rmtree(leftover)
    texts, special_tokens = read_texts(workspace, contest, job)
    parents = {"rows": contest.fingerprint, "recipe": recipe.fingerprint, "texts": fingerprint(texts)}
    destination = root / f"attempt-{job.token}"
    with publishing(destination, kind=KIND, parents=parents) as folder:
        task = PretrainTask(
            recipe,
            texts,
            workspace.weights_dir,
            folder,
            device=torch_name(job.device),
            cache_dir=workspace.cache_dir,
            special_tokens=special_tokens,
            checkpointing=Checkpointing(
                root / "checkpoints", Identity(parents), job.token, recipe.checkpoints.every_s, recipe.checkpoints.keep
            ),
            halvings=job.halvings,
        )
        output = pretrain(task, report=reporter.report, should_stop=should_stop)
    log.info("trained: held-out loss %.5f before, %.5f at the best epoch, %d", *output.losses, output.best_epoch)
    return lambda connection: add_pretraining(
        connection,
        job_id=job.id,
        contest_id=contest.id,
        recipe=recipe,
        path=workspace.relative(destination),
        fingerprint=load_manifest(destination).fingerprint,
        facts={**output.facts, "best_epoch": output.best_epoch},
        epochs=output.epochs,
        now=time.time(),
    )


def cleanup(workspace: Workspace, job: Job) -> None:
    """Remove what earlier attempts published but could not commit, and the checkpoints."""
    root = workspace.pretraining_dir(get_contest(workspace.store, job.contest_id or 0).folder, job.id)
    for other in root.glob("attempt-*"):
        if other.name != f"attempt-{job.token}":
            shutil.rmtree(other)
    remove_checkpoints(root / "checkpoints")


def can_halve(_workspace: Workspace, job: Job) -> bool:
    """Whether it can go on with half the rows at once after memory ran out."""
    return recipe_can_halve(recipe_of(job), job.halvings)


def recipe_of(job: Job) -> Recipe:
    """The recipe of a job of this kind."""
    return Recipe.model_validate(job.payload["recipe"])


def reports_of(workspace: Workspace, contest: Contest, job: Job) -> tuple[EpochReport, ...]:
    """The epochs of a job that has not ended, as far as its newest checkpoint knows them; none where that cannot be read."""
    newest = next(iter(list_checkpoints(workspace.pretraining_dir(contest.folder, job.id) / "checkpoints")), None)
    with suppress(CheckpointError):  # an older one was removed a moment ago
        return newest.reports() if newest else ()
    return ()


def read_texts(workspace: Workspace, contest: Contest, job: Job) -> tuple[list[str], tuple[str, ...]]:
    """The texts of the training and test rows as the recipe makes them, and those that were given beside them, each once and none that is
    empty; and tokens that are not cut. Raises CheckpointError, InputError where a row's text cannot be composed."""
    from core.contest.table import load_table
    from core.data.cleaning import clean_texts
    from core.data.compose import compose, special_tokens

    recipe, table = recipe_of(job), load_table(workspace, contest)
    given = [compose(recipe.input, rows) for rows in (table.train, table.test)]
    if "texts" in job.payload:
        given.append(json.loads(workspace.absolute(job.payload["texts"]).read_text(encoding="utf-8")))
    texts = dict.fromkeys(text for each in given for text in clean_texts(recipe.clean, each) if text.strip())
    return [*texts], special_tokens(recipe.input, (table.train, table.test))
