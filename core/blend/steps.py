"""From the members' predictions to the blend's: the one function that out-of-fold rows and test rows both go through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from core.base.errors import AlignmentError
from core.base.messages import joined, msg
from core.blend.mean import FLOOR, Members, mix_shares
from core.blend.questions import answers, ask
from core.specs.blend import BlendSteps, Stack

CHUNK_VALUES = 4_000_000
TINY = float(np.finfo(np.float32).tiny)


def apply_steps(steps: BlendSteps, members: Members, *, multilabel: bool = False) -> NDArray[np.float32]:
    """The blend's predictions (n_rows, n_classes) from those of its runs, in the order of the steps' weights.

    AlignmentError when there are not as many runs or classes as the steps were made for. Thresholds are for `decide`: they change
    which classes are given, not how probable they are.
    """
    n_labels = members[0].shape[1] if multilabel else 0
    check_shape(steps, len(members), n_labels or members[0].shape[1], multilabel=multilabel)
    if not multilabel:
        prob = stacked(steps.stack, members) if steps.stack else mix_shares(members, steps.share, steps.mean)
        return afterwards(prob, steps)
    asked = [ask(member) for member in members]
    labels = np.tile(np.arange(n_labels), len(members[0]))
    prob = stacked(steps.stack, asked, labels) if steps.stack else mix_shares(asked, share_of(steps, labels), steps.mean, n_labels)
    return answers(afterwards(prob, steps), n_labels)


def share_of(steps: BlendSteps, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """The share of each run in questions about the classes `labels` (n,), as `add_up` takes it."""
    share = steps.share
    return share if share.ndim == 1 else share[:, labels, None]


def afterwards(prob: NDArray[np.float32], steps: BlendSteps) -> NDArray[np.float32]:
    """What comes after the mean: temperature (Guo et al. 2017, after averaging as in arXiv 2007.08792), then offsets by class."""
    if steps.temperature == 1 and not steps.offsets:
        return prob
    changed = np.empty_like(prob)
    factor = np.exp(np.asarray(steps.offsets)) if steps.offsets else 1.0
    step = max(1, CHUNK_VALUES // prob.shape[1])
    for start in range(0, len(prob), step):
        part = prob[start : start + step].astype(np.float64)
        if steps.temperature != 1:
            # A zero counts as the least of positive numbers, as it does where the temperature is fitted.
            part = np.maximum(part, TINY) ** (1 / steps.temperature)
        part *= factor
        changed[start : start + step] = part / part.sum(axis=1, keepdims=True)
    return changed


def stacked(stack: Stack, members: Members, labels: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
    """The regression's predictions (n_rows, n_classes); of questions about the classes `labels` (n,) those of no and yes (n, 2)."""
    coefficients, intercepts = np.asarray(stack.coefficients), np.asarray(stack.intercepts)
    if labels is not None:
        odds = np.einsum("nm,nm->n", log_odds(members), coefficients[labels]) + intercepts[labels]
        yes = expit(odds).astype(np.float32)
        return np.stack([1 - yes, yes], axis=1)
    prob = np.empty(members[0].shape, dtype=np.float32)
    step = max(1, CHUNK_VALUES // coefficients.shape[1])
    for start in range(0, len(prob), step):
        logits = features([member[start : start + step] for member in members]) @ coefficients.T + intercepts
        part = np.exp(logits - logits.max(axis=1, keepdims=True))
        prob[start : start + step] = part / part.sum(axis=1, keepdims=True)
    return prob


def features(members: Members) -> NDArray[np.float64]:
    """What a regression reads: the logarithms of all probabilities (n_rows, n_runs * n_classes), run by run."""
    return np.concatenate([np.log(np.maximum(member, FLOOR)) for member in members], axis=1).astype(np.float64)


def log_odds(members: Members) -> NDArray[np.float64]:
    """What a regression reads of questions: the logarithm of yes over no (n, n_runs)."""
    pairs = [np.log(np.maximum(member, FLOOR)).astype(np.float64) for member in members]
    return np.stack([pair[:, 1] - pair[:, 0] for pair in pairs], axis=1)


def check_shape(steps: BlendSteps, n_runs: int, n_classes: int, *, multilabel: bool = False) -> None:
    """Raise AlignmentError unless the steps are for this many runs and classes, and for rows with several of them or with one."""
    n_read = n_runs if multilabel else n_runs * n_classes
    shapes = {
        "weights": (len(steps.weights), n_runs),
        "class_weights": (len(steps.class_weights[0]) if steps.class_weights else n_classes, n_classes),
        "offsets": (len(steps.offsets), 0) if multilabel else (len(steps.offsets) or n_classes, n_classes),
        "thresholds": (len(steps.thresholds) or n_classes, n_classes) if multilabel else (len(steps.thresholds), 0),
        "stack": (len(steps.stack.intercepts) if steps.stack else n_classes, n_classes),
        "stack.coefficients": (len(steps.stack.coefficients[0]) if steps.stack else n_read, n_read),
    }
    wrong = [
        msg("{name} has {found} numbers where {wanted} are needed", name=name, found=found, wanted=wanted)
        for name, (found, wanted) in shapes.items()
        if found != wanted
    ]
    if wrong:
        raise AlignmentError(
            "these steps do not fit the runs",
            where="blend",
            why=joined("; ", wrong),
            fix="make them for {runs} runs and {classes} classes",
            runs=n_runs,
            classes=n_classes,
        )


def without_after(steps: BlendSteps) -> BlendSteps:
    """The same blend before temperature, offsets and thresholds, to compare what they did."""
    return steps.model_copy(update={"temperature": 1.0, "offsets": (), "thresholds": ()})


def arranged(steps: BlendSteps, order: Sequence[int]) -> BlendSteps:
    """The same blend of runs that stand in another order: place i of the result is place `order[i]` of the steps."""
    stack = steps.stack
    if stack:
        n_each = len(stack.coefficients[0]) // len(order)
        columns = [run * n_each + place for run in order for place in range(n_each)]
        rows = tuple(tuple(row[column] for column in columns) for row in stack.coefficients)
        stack = stack.model_copy(update={"coefficients": rows})
    weights = tuple(steps.weights[run] for run in order)
    by_class = tuple(steps.class_weights[run] for run in order) if steps.class_weights else ()
    return steps.model_copy(update={"weights": weights, "class_weights": by_class, "stack": stack})
