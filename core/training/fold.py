"""The loop of one objective: one function that trains one fold, for images and texts alike, read from top to bottom.

Its pieces, each one function in one place, are those of every loop: order, steps, mixing, loss and step (step.py), schedule and length
of an epoch (schedule.py), parameter groups and optimiser (optim.py), which weights are kept (averaging.py), prediction by views (predictor.py).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from core.base.messages import msg
from core.data.batches import Batch, RowLoader
from core.data.randomness import seed_step
from core.metrics.scores import all_scores, get_metric
from core.specs.progress import EpochReport, Interrupted, Phase, Progress
from core.training.averaging import Tensors, chosen_weights, epochs_without_gain, keep_weights, update_statistics
from core.training.checkpoint import Checkpointing, Identity, list_quarantined
from core.training.failures import not_a_number, typed_failures
from core.training.images import open_images
from core.training.network import copy_weights, describe_network, save_network, versions_of
from core.training.optim import set_lr
from core.training.predictor import predict_task
from core.training.schedule import Pace, plan_epochs
from core.training.setup import Setup, freeze_in_epoch, set_up
from core.training.state import CheckpointWriter, TrainState
from core.training.step import cut_micro_batches, cut_steps, order_rows, train_step
from core.training.task import FoldOutput, FoldTask
from core.training.trouble import Trouble, find_trouble
from models.lora import base_digest, merge_lora

Report = Callable[[Progress | EpochReport], None]


def train_fold(task: FoldTask, *, report: Report, should_stop: Callable[[], bool]) -> FoldOutput:
    """Train one fold and predict its validation and test rows with the weights that its recipe keeps, left in `out_dir`.

    `report` hears of every step and every epoch, and must not block. `should_stop` is asked at every step; Interrupted is
    raised when it says so, after a checkpoint. A fold that goes on from one ends in the bytes of a fold that was never stopped,
    on the same kind of device and as many threads: these follow what other programs leave, unless OMP_NUM_THREADS is set.

    Raises RecipeError, WeightsError, InputError (an image that cannot be read), OutOfMemory, DiskFull; AlignmentError when its
    checkpoint was made from something else, CheckpointError when that is not whole.
    """
    n_threads = torch.get_num_threads()
    try:
        with typed_failures(task.recipe, msg("fold {fold}", fold=task.fold)):
            return _train_fold(task, report, should_stop)
    finally:
        torch.set_num_threads(n_threads)


def _train_fold(task: FoldTask, report: Report, should_stop: Callable[[], bool]) -> FoldOutput:
    recipe, fold, settings = task.recipe, task.fold, task.recipe.train
    metric = get_metric(task.metric)
    n_train, n_valid, n_test = len(task.train_idx), len(task.valid_idx), len(task.test_inputs)
    plan = plan_epochs(recipe, task.labels[np.asarray(task.train_idx, dtype=np.int64)])
    n_epochs, n_steps = plan.n_epochs, plan.n_steps
    started = time.monotonic()
    n_averaged = recipe.average.n_means * (n_train + n_valid)
    pace = Pace(plan.total_rows, n_valid * (n_epochs + 1) + n_test + n_averaged)

    def notify(phase: Phase, epoch: int = 0, step: int = 0, n_steps: int = 0, loss: float | None = None) -> None:
        if should_stop():
            raise Interrupted(msg("stopped while {phase}, epoch {epoch}, step {step}", phase=phase, epoch=epoch, step=step))
        report(Progress(phase, fold, epoch, n_epochs, step, n_steps, pace.rows_per_s, pace.eta_s, loss))

    # Device, network, rows, optimiser
    notify("loading")
    source = open_images(
        task,
        caching=lambda done, total: notify("caching", 0, done, total),
        checking=lambda done, total: notify("loading", 0, done, total),
    )
    setup = set_up(task, source.cached, lambda done, total: notify("tokenizing", 0, done, total))
    model, average, eval_model, optimizer, loader = setup.model, setup.average, setup.eval_model, setup.optimizer, setup.loader
    device, precision = setup.device, setup.precision
    conditions = {
        "device": str(device),
        "threads": setup.threads.most,
        "precision": precision.name,
        "micro_batch": task.micro_batch,
        **setup.numerics,
    }
    valid_idx, lengths = np.asarray(task.valid_idx, dtype=np.int64), loader.rows.lengths

    # Go on where an attempt before was stopped
    state = TrainState(model, optimizer, average, scaler=setup.scaler)
    writer = CheckpointWriter(_checkpointing(task, n_steps, setup), state)
    if writer.resume():
        state.position.resumed.append({"epoch": state.position.epoch, "step": state.position.step, **conditions})
        state.position.has_threads(setup.threads.most)  # it begins with all of them, whatever others left before
        for epoch_report in state.position.reports():
            report(epoch_report)
    position = state.position
    elapsed_before = position.elapsed_s
    pace.drop(plan.rows_done(position.epoch, position.step), (position.epoch - 1) * n_valid)

    def predict_rows(loader: RowLoader, idx: NDArray[np.int64], phase: Phase, epoch: int) -> NDArray[np.float32]:
        done = 0

        def after_batch(n: int) -> None:
            nonlocal done
            done += n
            pace.did(n, training=False)
            notify(phase, epoch, n_steps, n_steps)

        notify(phase, epoch, n_steps, n_steps)
        pace.start()
        prob = predict_task(task, setup, loader, idx, after_batch)
        if not np.isfinite(prob).all():
            raise not_a_number(recipe, msg("fold {fold}, epoch {epoch}, {phase}", fold=fold, epoch=epoch, phase=phase))
        return prob

    def is_over() -> bool:
        is_out_of_patience = 0 < settings.patience <= epochs_without_gain(position.reports(), recipe.average, metric)
        return position.epoch > n_epochs or is_out_of_patience or trouble() is not None

    def trouble() -> Trouble | None:
        return find_trouble(position.reports(), metric) if settings.stop_on_trouble else None

    def refreshed(weights: Tensors) -> Tensors:
        """Averaged weights, with the statistics of batch norm made anew over the training rows."""
        eval_model.load_state_dict(weights)
        epoch = n_epochs + 1  # rows in an order and augmentation of their own, at full size
        parts = cut_micro_batches(task, order_rows(task, epoch, lengths))

        def batches() -> Iterator[Batch]:
            pace.start()
            for number, batch in enumerate(loader.load(epoch, parts)):
                notify("averaging", position.epoch - 1, n_steps, n_steps)
                seed_step(settings.seed, fold, epoch, 0, number)
                yield {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
                pace.did(len(batch["row"]), training=False)

        with precision.autocast(device):
            update_statistics(eval_model, batches())
        return copy_weights(eval_model)

    def score_of(weights: Tensors) -> dict[str, float]:
        eval_model.load_state_dict(weights)
        return all_scores(
            task.labels[valid_idx], predict_rows(loader, valid_idx, "averaging", position.epoch - 1), multilabel=task.is_multilabel
        )

    # Loop: train an epoch, validate, keep what is best, stop early
    with writer:
        while not is_over():
            epoch, epoch_started = position.epoch, time.monotonic() - position.epoch_s
            steps = [cut_micro_batches(task, rows) for rows in cut_steps(task, order_rows(task, epoch, lengths))]
            n_loaded = sum(map(len, steps[: position.step]))
            batches = loader.load(epoch, [rows for micro_batches in steps for rows in micro_batches], skip=n_loaded)
            freeze_in_epoch(model, recipe, epoch)
            model.train()
            pace.start()
            for step, micro_batches in enumerate(steps[position.step :], start=position.step + 1):
                if n_threads := setup.threads.follow():
                    position.threads.append([epoch, step, n_threads])
                set_lr(optimizer, plan.lr(epoch, step, recipe.optim))
                loss = train_step(task, setup, micro_batches, batches, epoch, step)
                n_rows = sum(map(len, micro_batches))
                pace.did(n_rows, training=True)
                position.step = step
                position.add(loss.objective * n_rows, loss.log_loss * n_rows, loss.n_right)
                position.epoch_s, position.elapsed_s = time.monotonic() - epoch_started, elapsed_before + time.monotonic() - started
                notify("training", epoch, step, n_steps, loss.objective)
                writer.after_step()

            valid_prob = predict_rows(loader, valid_idx, "validating", epoch)
            scores = all_scores(task.labels[valid_idx], valid_prob, multilabel=task.is_multilabel)
            epoch_report = EpochReport(
                fold=fold,
                epoch=epoch,
                n_epochs=n_epochs,
                train_loss=position.loss_sum / plan.n_rows,
                valid_loss=scores["log_loss"],
                scores=scores,
                lr=plan.lr(epoch, n_steps, recipe.optim),
                elapsed_s=time.monotonic() - epoch_started,
                train_log_loss=position.log_loss_sum / plan.n_rows,
                train_accuracy=None if position.n_right is None else position.n_right / plan.n_rows,
            )
            report(epoch_report)
            position.epochs.append(epoch_report.to_dict())
            state.kept = keep_weights(state.kept, position.reports(), recipe.average, metric, n_epochs, lambda: copy_weights(eval_model))
            position.next_epoch()
            writer.after_epoch(is_last=is_over())

    # Predict with the weights that are kept: of an epoch, or a mean of several
    n_trained = position.epoch - 1
    pace.expect(n_averaged + n_valid + n_test)
    weights, kept_epochs = chosen_weights(
        state.kept,
        position.reports(),
        recipe.average,
        metric,
        n_epochs,
        last=lambda: copy_weights(eval_model),
        refreshed=refreshed,
        score=score_of,
    )
    pace.expect(n_valid + n_test)
    eval_model.load_state_dict(weights)
    if recipe.model.lora != "none":
        merge_lora(eval_model)
        weights = copy_weights(eval_model)
    save_network(task.network_dir, describe_network(task, model, precision.name), weights)
    valid_prob = predict_rows(loader, valid_idx, "predicting", n_trained)
    test_prob = predict_rows(setup.test_loader, np.arange(n_test), "predicting", n_trained)
    elapsed_s = elapsed_before + time.monotonic() - started
    return FoldOutput(
        valid_prob=valid_prob,
        test_prob=test_prob,
        best_epoch=kept_epochs[0],
        n_epochs=n_trained,
        scores=all_scores(task.labels[valid_idx], valid_prob, multilabel=task.is_multilabel),
        elapsed_s=elapsed_s,
        facts={
            **conditions,
            "thread_changes": position.threads,
            "precision_reason": precision.reason,
            "images": source.said,
            "n_params": setup.n_params,
            "n_trainable": setup.n_trainable,
            "weights": setup.weights,
            "n_train": n_train,
            "n_valid": n_valid,
            "n_test": n_test,
            "elapsed_s": round(elapsed_s, 2),
            "kept_epochs": list(kept_epochs),
            "stopped_for": str(trouble() or ""),
            "resumed": position.resumed,
            "restarted_for": writer.restarted_for,
            "checkpoints": writer.facts,
            "quarantined": [found.path.name for found in list_quarantined(task.checkpointing.folder)] if task.checkpointing else [],
            "versions": versions_of(recipe),
        },
    )


def _checkpointing(task: FoldTask, n_steps: int, setup: Setup) -> Checkpointing | None:
    """Where checkpoints are kept, with the libraries' versions and other `numerics` in what they are made from: others compute other numbers. Under LoRA with the digest
    of the base too, which is in no checkpoint."""
    if task.checkpointing is None:
        return None
    facts = {**task.checkpointing.identity.facts, **versions_of(task.recipe), **setup.numerics}
    if task.recipe.model.lora != "none":
        facts["base"] = base_digest(setup.model)
    return replace(task.checkpointing, identity=Identity(facts), n_steps=n_steps)
