"""The loop of another objective: masked-language-model training of a text encoder, which goes on from its pretrained weights over given texts.

Its pieces are those of a fold's loop (fold.py); what is learned from is masked in core/data/masking.py.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.base.errors import RecipeError
from core.base.messages import msg
from core.data.batches import Batch, RowLoader, batches_of, group_by_length
from core.data.masking import MaskedRows, Masking
from core.data.randomness import derive, permutation, seed_network, seed_step
from core.data.texts import TextRows
from core.data.token_cache import tokens_of
from core.data.tokens import Cut
from core.specs.progress import EpochReport, Interrupted, Phase, Progress
from core.specs.recipe import Recipe
from core.training.checkpoint import Checkpointing, Identity, list_quarantined
from core.training.failures import not_a_number, typed_failures
from core.training.network import copy_weights, versions_of
from core.training.optim import make_optimizer, set_lr
from core.training.precision import Precision, choose_precision
from core.training.schedule import Pace, plan_epochs
from core.training.setup import open_device
from core.training.state import CheckpointWriter, TrainState
from core.training.step import take_step
from core.training.task import backbone_of
from core.training.threads import Threads
from models.masked_lm import MaskedLM, build_masked_lm
from models.spec import CannotBuild, ModelSpec
from models.text import PretrainedTokenizer, build_tokenizer

HELD_OUT = 0.05
"""The share of the texts that is not learned from: whether their masked words are filled in better says what was gained, and when to stop."""
FOLD = 0
"""A pretraining has no folds; what randomness derives from has this number in the place of one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainTask:
    """Texts, composed, cleaned and each once, and how they are learned from. `special_tokens`, `checkpointing` and `halvings` as of a FoldTask.

    What comes of it is left in `out_dir`, which must exist and be empty: a folder as transformers write and read one."""

    recipe: Recipe
    texts: Sequence[str]
    weights_dir: Path
    out_dir: Path
    device: str = "cpu"
    cache_dir: Path | None = None
    special_tokens: tuple[str, ...] = ()
    checkpointing: Checkpointing | None = None
    halvings: int = 0


@dataclass(frozen=True)
class PretrainOutput:
    """`epochs` report losses per masked token, `valid_loss` of the texts that are held out; number 0 is before anything was learned. The
    weights of `best_epoch` are those that were left."""

    epochs: tuple[EpochReport, ...]
    best_epoch: int
    facts: dict[str, Any]

    @property
    def losses(self) -> tuple[float, float]:
        """The held-out loss before, and at the best epoch."""
        return self.epochs[0].valid_loss, self.epochs[self.best_epoch].valid_loss


def pretrain(task: PretrainTask, *, report: Callable[[Progress], None], should_stop: Callable[[], bool]) -> PretrainOutput:
    """Go on with the pretraining of an encoder, and leave the one of the epoch that fills in held-out texts best in `out_dir`.

    `report`, `should_stop`, resuming and what is raised are as in `train_fold`; RecipeError also for an encoder without a head for masked
    tokens, or fewer than two texts.
    """
    n_threads = torch.get_num_threads()
    try:
        with typed_failures(task.recipe, "pretraining", needs_pretrained=True):
            return _pretrain(task, report, should_stop)
    finally:
        torch.set_num_threads(n_threads)


def _pretrain(task: PretrainTask, report: Callable[[Progress], None], should_stop: Callable[[], bool]) -> PretrainOutput:
    recipe, settings = task.recipe, task.recipe.train
    train_idx, held_out = split_texts(len(task.texts), settings.seed)
    plan = plan_epochs(recipe, np.zeros(len(train_idx), dtype=np.int64))
    n_epochs, n_steps, micro_batch = plan.n_epochs, plan.n_steps, settings.micro_batch(task.halvings)
    started = time.monotonic()
    pace = Pace(plan.total_rows, len(held_out) * (n_epochs + 2))

    def notify(phase: Phase, epoch: int = 0, step: int = 0, n_steps: int = 0, loss: float | None = None) -> None:
        if should_stop():
            raise Interrupted(msg("stopped while {phase}, epoch {epoch}, step {step}", phase=phase, epoch=epoch, step=step))
        report(Progress(phase, None, epoch, n_epochs, step, n_steps, pace.rows_per_s, pace.eta_s, loss))

    # Device, network, rows, optimiser
    notify("loading")
    device = open_device(task.device)
    threads, precision = Threads(device), choose_precision(settings.precision, device)
    seed_network(settings.seed, FOLD)
    model, tokenizer, rows = _build(task, lambda done, total: notify("tokenizing", 0, done, total))
    model.to(device)
    optimizer, scaler = make_optimizer(model, recipe.optim), precision.scaler(device)
    loader = RowLoader(rows, workers=0 if device.type == "mps" else settings.loader_workers, pin_memory=device.type == "cuda")
    conditions = {"device": str(device), "threads": threads.most, "precision": precision.name, "micro_batch": micro_batch}

    # Go on where an attempt before was stopped
    state = TrainState(model, optimizer, None, scaler=scaler)
    writer = CheckpointWriter(_checkpointing(task, n_steps), state)
    if writer.resume():
        state.position.resumed.append({"epoch": state.position.epoch, "step": state.position.step, **conditions})
        state.position.has_threads(threads.most)
    position = state.position
    elapsed_before = position.elapsed_s
    pace.drop(plan.rows_done(position.epoch, position.step), max(0, position.epoch - 1) * len(held_out))

    def loss_of(idx: NDArray[np.int64], epoch: int) -> float:
        """The loss per masked token of some texts, masked as in epoch 0."""
        loss, n_masked = 0.0, 0
        model.eval()
        pace.start()
        with torch.inference_mode():
            for batch in loader.load(0, batches_of(idx, micro_batch)):
                notify("validating", epoch, n_steps if epoch else 0, n_steps)
                of_batch = _loss(model, batch, device, precision)
                loss, n_masked = loss + of_batch.item(), n_masked + n_asked(batch)
                pace.did(len(batch["row"]), training=False)
        if not math.isfinite(loss):
            raise not_a_number(recipe, msg("epoch {epoch}", epoch=epoch))
        return loss / max(1, n_masked)

    def end_epoch(epoch: int, train_loss: float, lr: float, elapsed_s: float) -> None:
        held = loss_of(held_out, epoch)
        found = EpochReport(FOLD, epoch, n_epochs, train_loss, held, {}, lr, elapsed_s)
        log.info("epoch %d/%d: train loss %.4f, held-out loss %.4f, %.1f s", epoch, n_epochs, train_loss, held, elapsed_s)
        if held < min((before.valid_loss for before in position.reports()), default=math.inf):
            state.kept = {epoch: copy_weights(model)}
        position.epochs.append(found.to_dict())

    # Loop: what it knows before, then train an epoch, fill in the texts that are held out, keep what is best
    with writer:
        if not position.epochs:
            end_epoch(0, loss_of(train_idx[: len(held_out)], 0), 0.0, 0.0)
        while position.epoch <= n_epochs:
            epoch, epoch_started = position.epoch, time.monotonic() - position.epoch_s
            order = train_idx[permutation(settings.seed, FOLD, epoch, len(train_idx))]
            if settings.group_by_length:
                order = group_by_length(order, rows.lengths, settings.batch_size, seed=settings.seed, fold=FOLD, epoch=epoch)
            steps = [batches_of(part, micro_batch) for part in batches_of(order, settings.batch_size)]
            n_loaded = sum(map(len, steps[: position.step]))
            batches = loader.load(epoch, [part for parts in steps for part in parts], skip=n_loaded)
            model.train()
            pace.start()
            for step, parts in enumerate(steps[position.step :], start=position.step + 1):
                if n_threads := threads.follow():
                    position.threads.append([epoch, step, n_threads])
                set_lr(optimizer, plan.lr(epoch, step, recipe.optim))
                optimizer.zero_grad(set_to_none=True)
                loss = _learn(model, list(islice(batches, len(parts))), device, precision, scaler, (settings.seed, epoch, step))
                where = msg("epoch {epoch}, step {step}", epoch=epoch, step=step)
                if not math.isfinite(loss):
                    raise not_a_number(recipe, where)
                take_step(model, optimizer, scaler, recipe, where)
                n_rows = sum(map(len, parts))
                pace.did(n_rows, training=True)
                position.step = step
                position.add(loss * n_rows, loss * n_rows, 0)
                position.epoch_s, position.elapsed_s = time.monotonic() - epoch_started, elapsed_before + time.monotonic() - started
                notify("training", epoch, step, n_steps, loss)
                writer.after_step()
            end_epoch(epoch, position.loss_sum / plan.n_rows, plan.lr(epoch, n_steps, recipe.optim), time.monotonic() - epoch_started)
            position.next_epoch()
            writer.after_epoch(is_last=position.epoch > n_epochs)

    # Leave the encoder of the best epoch, and its tokenizer
    notify("saving", n_epochs, n_steps, n_steps)
    ((best_epoch, weights),) = state.kept.items()
    model.load_state_dict(weights)
    model.encoder.save_pretrained(task.out_dir)
    tokenizer.save(task.out_dir)
    return PretrainOutput(
        epochs=tuple(position.reports()),
        best_epoch=best_epoch,
        facts={
            **conditions,
            "thread_changes": position.threads,
            "precision_reason": precision.reason,
            "n_params": sum(parameter.numel() for parameter in model.parameters()),
            "weights": model.source,
            "fresh_head": list(model.fresh),
            "n_texts": len(train_idx),
            "n_held_out": len(held_out),
            "elapsed_s": round(elapsed_before + time.monotonic() - started, 2),
            "resumed": position.resumed,
            "checkpoints": writer.facts,
            "quarantined": [found.path.name for found in list_quarantined(task.checkpointing.folder)] if task.checkpointing else [],
            "versions": versions_of(recipe),
        },
    )


def split_texts(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of the texts that are learned from, and of those that are held out, which derive from the seed."""
    if n < 2:
        raise RecipeError(
            "there are too few texts to learn from", where="texts", why="one is held out", fix="choose a contest with more rows"
        )
    order = np.random.default_rng(derive(seed, "holdout")).permutation(n)
    n_held_out = max(1, round(HELD_OUT * n))
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def n_asked(batch: Batch) -> int:
    """How many tokens of a batch are to be filled in."""
    return int((batch["labels"] >= 0).sum())


def _build(task: PretrainTask, tokenizing: Callable[[int, int], object]) -> tuple[MaskedLM, PretrainedTokenizer, MaskedRows]:
    recipe, backbone = task.recipe, backbone_of(task.recipe, task.weights_dir)
    spec = ModelSpec(backbone, 0, task.weights_dir, max_tokens=recipe.input.max_tokens, special_tokens=task.special_tokens)
    tokenizer = build_tokenizer(spec, [])
    assert isinstance(tokenizer, PretrainedTokenizer)  # others are refused with the recipe
    if tokenizer.mask_id is None:
        raise CannotBuild("{backbone} has no token for masks", "choose an encoder such as BERT", backbone=backbone.name)
    model = build_masked_lm(replace(spec, vocab_size=tokenizer.vocab_size))
    tokens = tokens_of(task.texts, tokenizer, task.cache_dir, tokenizing)
    texts = TextRows(tokens, Cut.made(recipe.input, *tokenizer.ends), pad_id=tokenizer.pad_id, seed=recipe.train.seed)
    return model, tokenizer, MaskedRows(texts, Masking(tokenizer.mask_id, tokenizer.special_ids, tokenizer.vocab_size))


def _loss(model: MaskedLM, batch: Batch, device: torch.device, precision: Precision) -> Tensor:
    """The cross-entropy summed over the tokens of a batch that are to be filled in."""
    found = {name: batch[name].to(device, non_blocking=True) for name in ("input_ids", "attention_mask", "labels")}
    chosen = found["labels"] >= 0
    with precision.autocast(device):
        logits = model(found["input_ids"], found["attention_mask"], chosen)
    return F.cross_entropy(logits.float(), found["labels"][chosen], reduction="sum")


def _learn(
    model: MaskedLM,
    parts: Sequence[Batch],
    device: torch.device,
    precision: Precision,
    scaler: torch.amp.grad_scaler.GradScaler,
    derived_from: tuple[int, int, int],
) -> float:
    """Give the parameters the gradient of a step's loss per masked token, one micro-batch after the other, and return that loss."""
    n_masked, total = max(1, sum(map(n_asked, parts))), 0.0
    seed, epoch, step = derived_from
    for number, part in enumerate(parts):
        seed_step(seed, FOLD, epoch, step, number)
        loss = _loss(model, part, device, precision) / n_masked
        scaler.scale(loss).backward()
        total += loss.item()
    return total


def _checkpointing(task: PretrainTask, n_steps: int) -> Checkpointing | None:
    """As of a fold: the libraries' versions are among what its checkpoints are made from."""
    if task.checkpointing is None:
        return None
    facts = {**task.checkpointing.identity.facts, **versions_of(task.recipe)}
    return replace(task.checkpointing, identity=Identity(facts), n_steps=n_steps)
