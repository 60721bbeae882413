"""Makes finished, running and failed runs without training: real rows through the real queue, real artefacts, made-up predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.artefacts import MANIFEST, load_manifest, publishing
from core.base.files import write_json
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table, load_truth, parents_of
from core.folds import load_folds, save_folds
from core.jobs import launch
from core.metrics.scores import all_scores
from core.predictions.oof import TEST_PROB, VALID_IDX, VALID_PROB, FoldPredictions, read_fold_arrays, write_fold_predictions
from core.predictions.seeds import record_fold
from core.predictions.views import Piece
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import Contest, get_truth
from core.store.database import Store
from core.store.folds import Folds
from core.store.jobs import Job
from core.store.runs import EpochRow, FoldResult, Run, get_run
from core.store.trash import Kind, TrashEntry, plan_removal, put_in_trash
from core.training.checkpoint import KIND, checkpoint_name
from core.workspace import Workspace

LEASE_S = 1e10
START = 1_760_000_000.0
BACKBONES = {"image": "resnet10t", "text": "sentence-transformers/all-MiniLM-L6-v2"}
ELSEWHERE = {"host": "another-machine", "engine": None}
"""An owner that an engine on this machine leaves alone while the lease holds."""


def make_recipe(contest: Contest, name: str, *, backbone: str = "", epochs: int = 5, lr: float = 1e-3) -> Recipe:
    """A recipe that fits the contest."""
    return Recipe.model_validate(
        {
            "name": name,
            "modality": contest.spec.modality,
            "model": {"backbone": backbone or BACKBONES[contest.spec.modality]},
            "optim": {"lr": lr},
            "train": {"epochs": epochs},
        }
    )


def finish_run(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipe: Recipe,
    *,
    strength: float = 3.0,
    seed: int = 0,
    n_done: int | None = None,
    now: float = START,
    weights_bytes: int = 0,
) -> Run:
    """A run whose first `n_done` folds (all by default) ended well; `strength` is how far the true class stands out.

    With `weights_bytes` each fold has a network whose weights are a hole in the disk of that size, with a wrong sha256.
    """
    run = launch.launch_run(workspace, contest, folds, recipe, now=now)
    finish_jobs(
        workspace,
        contest,
        folds,
        recipe,
        folds.n_folds if n_done is None else n_done,
        strength=strength,
        seed=seed,
        now=now,
        weights_bytes=weights_bytes,
    )
    return get_run(workspace.store, run.id)


def finish_jobs(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipe: Recipe,
    n_jobs: int,
    *,
    strength: float = 3.0,
    seed: int = 0,
    now: float = START,
    weights_bytes: int = 0,
) -> None:
    """End the next jobs of the queue well; what each predicts depends on `seed` and on that of its run."""
    for place in range(n_jobs):
        job = claim(workspace, now=now + 60 * place)
        own = get_run(workspace.store, job.run_id or 0).recipe.train.seed
        finish_job(workspace, contest, folds, job, recipe, strength=strength, seed=seed + 1000 * own, weights_bytes=weights_bytes)


def finish_headlines(
    workspace: Workspace, folder: Path, strengths: Mapping[str, float], *, n_folds: int = 3
) -> tuple[Contest, tuple[Run, ...]]:
    """The contest of headlines in `folder`, judged by log loss, with a finished run of each name and strength on equal folds."""
    contest = add_contest(workspace, inspect_path(folder).draft.model_copy(update={"metric": "log_loss"}))
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=n_folds))
    runs = [
        finish_run(workspace, contest, folds, make_recipe(contest, name), strength=strength, seed=seed)
        for seed, (name, strength) in enumerate(strengths.items())
    ]
    return contest, tuple(runs)


def claim(workspace: Workspace, *, now: float = START) -> Job:
    """The next queued job, claimed as by another machine; the lease ends far in the future, so an engine here leaves it alone."""
    job = attempts.claim(workspace.store, owner=ELSEWHERE, device="cpu", now=now, lease_s=LEASE_S)
    assert job is not None
    return job


def finish_job(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    job: Job,
    recipe: Recipe,
    *,
    strength: float,
    seed: int,
    facts: dict[str, Any] | None = None,
    weights_bytes: int = 0,
) -> FoldResult:
    """Publish made-up predictions of one fold and commit them."""
    table = load_table(workspace, contest)
    multilabel = contest.spec.is_multilabel
    truth = load_truth(workspace, contest, get_truth(workspace.store, get_run(workspace.store, job.run_id).truth_id))
    labels = truth.labels
    valid_idx = load_folds(workspace, folds).keeping(truth.kept).valid_idx(job.fold)
    n_classes = len(contest.spec.classes)
    rng = np.random.default_rng([seed, job.fold])
    valid_prob = make_prob(labels[valid_idx], n_classes, strength, rng)
    drawn = np.random.default_rng(1).integers(
        0, 2 if multilabel else n_classes, (len(table.test), n_classes) if multilabel else len(table.test)
    )
    test_prob = make_prob(drawn, n_classes, strength, rng)
    folder = workspace.attempt_dir(contest.folder, job.run_id, job.fold, job.token)
    with publishing(folder, kind="fold", parents=parents_of(contest, truth.version) | {"folds": folds.fingerprint}) as temporary:
        write_fold_predictions(temporary, FoldPredictions(valid_idx, valid_prob, test_prob), multilabel=multilabel)
        if weights_bytes:
            network = temporary / "networks" / "main"
            network.mkdir(parents=True)
            with (network / "weights.safetensors").open("wb") as stream:
                stream.truncate(weights_bytes)
            write_json(network / MANIFEST, {"kind": "network", "parents": {}, "files": {"weights.safetensors": "0" * 64}, "facts": {}})
    scores = all_scores(labels[valid_idx], valid_prob, multilabel=contest.spec.is_multilabel)
    started = job.started_at or START
    add_epochs(workspace, job, recipe, scores, rng)
    n_epochs = recipe.train.epochs
    result = FoldResult(
        run_id=job.run_id,
        fold=job.fold,
        token=job.token,
        path=workspace.relative(folder),
        fingerprint=load_manifest(folder).fingerprint,
        scores=scores,
        best_epoch=max(1, n_epochs - 1),
        n_epochs=n_epochs,
        elapsed_s=42.0,
        facts={"precision": "bf16", "n_params": 5_000_000, **(facts or {})},
        created_at=started + 42,
    )
    attempts.finish(
        workspace.store, job.id, job.token, lambda connection: record_fold(workspace, connection, contest, result, labels), now=started + 42
    )
    return result


def add_epochs(
    workspace: Workspace, job: Job, recipe: Recipe, scores: dict[str, float], rng: np.random.Generator, *, n_done: int | None = None
) -> None:
    """Epoch rows that fall towards the final scores, best in the epoch before the last."""
    n_epochs = recipe.train.epochs
    best = max(1, n_epochs - 1)
    rows = []
    for epoch in range(1, (n_epochs if n_done is None else n_done) + 1):
        far = abs(best - epoch) / n_epochs * (1 if epoch < best else 0.35) + 0.01 * float(rng.random()) * (epoch != best)
        loss = scores["log_loss"] * (1 + 1.8 * far)
        rows.append(
            EpochRow(
                run_id=job.run_id,
                fold=job.fold,
                token=job.token,
                epoch=epoch,
                train_loss=scores["log_loss"] * (0.6 + 2.2 * (1 - epoch / (n_epochs + 1)) ** 2),
                valid_loss=loss,
                scores={"log_loss": loss, "accuracy": scores["accuracy"] - 0.3 * far, "macro_f1": scores["macro_f1"] - 0.32 * far},
                lr=recipe.optim.lr * (1 - epoch / (n_epochs + 1)),
                elapsed_s=8.0 * epoch,
            )
        )
    attempts.renew(workspace.store, job.id, job.token, now=job.started_at or START, epochs=rows, lease_s=LEASE_S)


def run_halfway(workspace: Workspace, job: Job, recipe: Recipe, *, now: float = START) -> None:
    """Make a claimed job look as if a worker were in the middle of it."""
    add_epochs(
        workspace,
        job,
        recipe,
        {"log_loss": 0.4, "accuracy": 0.85, "macro_f1": 0.84},
        np.random.default_rng(job.id),
        n_done=recipe.train.epochs // 2,
    )
    progress = Progress(
        phase="training",
        fold=job.fold,
        epoch=recipe.train.epochs // 2 + 1,
        n_epochs=recipe.train.epochs,
        step=41,
        n_steps=104,
        pace_per_s=812.4,
        eta_s=95.0,
        train_loss=0.312,
    )
    attempts.renew(workspace.store, job.id, job.token, now=now, progress=progress, lease_s=LEASE_S)


def fail_job(workspace: Workspace, job: Job, *, now: float = START, log: str = "") -> None:
    """End a claimed job with a typed error and a log."""
    if log:
        path = workspace.log_path(job.id, job.token)
        path.write_text(log, encoding="utf-8")
        attempts.attach_worker(workspace.store, job, worker=None, log_path=workspace.relative(path), now=now, lease_s=LEASE_S)
    error = {
        "type": "OutOfMemory",
        "what": "the device ran out of memory",
        "where": f"fold {job.fold}, epoch 1, step 3",
        "why": "a batch of 64 images of 384 px needs more than the 8 GB that are there",
        "fix": "halve train.batch_size, or choose a smaller input.size_px",
    }
    attempts.fail(workspace.store, job.id, job.token, error, now=now)


def keep_checkpoint(
    workspace: Workspace, contest: Contest, job: Job, epoch: int, step: int, *, scores: dict[str, float] | None = None, n_steps: int = 104
) -> Path:
    """A checkpoint of a job's attempt, with made-up bytes in place of a network; returns its folder."""
    destination = workspace.checkpoints_dir(contest.folder, job.run_id, job.fold) / checkpoint_name(epoch, step, job.token)
    place = {"epoch": epoch, "step": step, "n_steps": n_steps}
    facts = {**place, "best_epoch": epoch - 1, "scores": scores or {}, "created_at": START}
    with publishing(destination, kind=KIND, parents={"contest": contest.fingerprint}, facts=facts) as folder:
        (folder / "network.safetensors").write_bytes(bytes(range(256)) * 200)
        (folder / "state.json").write_text("{}")
    return destination


def make_prob(labels: NDArray[np.integer], n_classes: int, strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Probabilities (n, n_classes) that favour the true class, and take some classes for their neighbour; multi-label one by one."""
    shared = np.random.default_rng([7, len(labels), int(labels[: min(len(labels), 50)].sum())])  # rows that are hard are hard for every run
    logits = shared.normal(0, 1.0, (len(labels), n_classes)) + rng.normal(0, 0.7, (len(labels), n_classes))
    rows = np.arange(len(labels))
    if labels.ndim == 2:
        return (1 / (1 + np.exp(-strength * (labels - 0.6) - logits))).astype(np.float32)
    logits[rows, labels] += strength
    confused = shared.random(len(labels)) < 0.08
    logits[rows[confused], (labels[confused] + 1 + labels[confused] % 3) % n_classes] += strength
    prob = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (prob / prob.sum(axis=1, keepdims=True)).astype(np.float32)


def keep_pieces(
    workspace: Workspace, pieces: Sequence[Piece], truth: NDArray[np.integer], n_classes: int, strengths: Mapping[str, float]
) -> None:
    """Publish made-up predictions of training rows in each view; `strengths` is how far the true class stands out, 2 where it is not said."""
    for number, piece in enumerate(pieces):
        assert piece.rows is not None
        own = load_manifest(workspace.absolute(piece.result.path)).parents
        facts = {"elapsed_s": 0.5, "n_rows": len(piece.rows)}
        prob = make_prob(truth[piece.rows], n_classes, strengths.get(piece.view, 2.0), np.random.default_rng(number))
        with publishing(piece.folder, kind="view", parents=own, facts=facts) as folder:
            np.save(folder / VALID_IDX, piece.rows)
            np.save(folder / VALID_PROB, prob)


def add_glyphs(workspace: Workspace, folder: Path, *, n_rows: int = 24) -> Contest:
    """A contest of small pictures in three classes with Hangul names, `n_rows` a class, with twelve test rows."""
    colors = {"현대 그랜저": (200, 40, 40), "기아 쏘렌토": (40, 160, 60), "르노 XM3": (50, 80, 200)}
    rng = np.random.default_rng(0)
    for name, color in colors.items():
        (folder / "train" / name).mkdir(parents=True)
        for number in range(n_rows):
            noise = rng.integers(-30, 30, (24, 24, 3))
            Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)).save(folder / "train" / name / f"{number:03d}.png")
    (folder / "test").mkdir()
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(folder / "test" / f"t{number:03d}.png")
    spec = ContestSpec(
        name="중고차",
        root=str(folder),
        modality="image",
        layout="folders",
        train="train",
        test="test",
        classes=tuple(sorted(colors)),
        metric="log_loss",
        submission="probabilities",
    )
    return add_contest(workspace, spec)


def put_away(store: Store, kind: Kind, *ids: int) -> TrashEntry:
    """Things of a kind into the trash, with what depends on them."""
    return put_in_trash(store, plan_removal(store, {kind: ids}))


def read_fold_predictions(folder: Path) -> FoldPredictions:
    """A fold's arrays, verified."""
    return FoldPredictions(*read_fold_arrays(folder, VALID_IDX, VALID_PROB, TEST_PROB))
