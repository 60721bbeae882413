"""From the members' predictions to the blend's: a transform of every member, a weighted sum, a finish, and what comes after.

The finish keeps the order of the classes in a row; so what holds for the sum (which class can win) holds for every mean.
A row that may have several classes is one binary row for each (one-vs-rest), with the classes no and yes, row by row: then a blend
of many labels is one of two classes, and every mean, every way to weights and every exact shortcut serves both kinds of contest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from core.base.errors import AlignmentError, InputError
from core.base.messages import joined, msg
from core.metrics.scores import THRESHOLD
from core.specs.blend import BlendSteps, MeanName, Stack


def one_vs_rest(prob: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of no and yes (n_rows * n_labels, 2) from those of each class (n_rows, n_labels)."""
    yes = prob.reshape(-1)
    return np.stack([1 - yes, yes], axis=1)


def of_classes(pairs: NDArray[np.float32], n_labels: int) -> NDArray[np.float32]:
    """The probability of each class (n_rows, n_labels) from those of no and yes."""
    return np.ascontiguousarray(pairs[:, 1]).reshape(-1, n_labels)


def of_truth(yes: NDArray[np.floating], y_true: NDArray[np.integer]) -> NDArray[np.float32]:
    """The probability of the true answer (n,) from that of yes (n,), which a blend keeps as float32: no is what is left of it."""
    kept = yes.astype(np.float32)
    return np.where(y_true == 1, kept, 1 - kept)


def is_yes(pairs: NDArray[np.float32], labels: NDArray[np.integer], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """The questions (n,) that are answered yes: above the threshold of their class `labels` (n,), or above one half."""
    return pairs[:, 1] > (np.asarray(thresholds, dtype=np.float64)[labels] if len(thresholds) else THRESHOLD)


BLOCK_COLUMNS = 32
"""Columns that are read at once: two cache lines of a row, and few enough that what is transient stays small."""

BITS_OF_ROW = 32
ROW = np.int64(2**BITS_OF_ROW - 1)
MAGNITUDE = np.int32(2**31 - 1)


def rank_shares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ranks from 1 over the rows of each column (n_rows, n_columns), ties sharing their average, divided by the number of rows."""
    n_rows, n_columns = values.shape
    shares = np.empty(values.shape, dtype=np.float32)
    if not n_rows:
        return shares
    # Tied values on the ranks a to b all get the rank (a + b) / 2.
    share_of_sum = (np.arange(2 * n_rows + 1) / 2 / n_rows).astype(np.float32)
    for start in range(0, n_columns, BLOCK_COLUMNS):
        columns = np.array(values[:, start : start + BLOCK_COLUMNS].T, order="C")
        for column in columns:
            _rank(column, share_of_sum)
        shares[:, start : start + BLOCK_COLUMNS] = columns.T
    return shares


def _rank(column: NDArray[np.float32], share_of_sum: NDArray[np.float32]) -> None:
    """Put its rank's share in place of every value (n_rows,). A sort key holds the value in its high bits and the row in its low ones."""
    # Whole numbers in the order of the values, equal where these are equal: minus zero becomes zero first.
    bits = (column + np.float32(0)).view(np.int32)
    keys = (bits ^ ((bits >> 31) & MAGNITUDE)).astype(np.int64) << BITS_OF_ROW
    keys |= np.arange(len(column))
    keys.sort()
    rows = keys & ROW
    keys >>= BITS_OF_ROW
    firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    ends = np.append(firsts[1:], len(column))
    column[rows] = np.repeat(share_of_sum[firsts + 1 + ends], ends - firsts)


FLOOR = np.float32(1e-7)
"""Probabilities below this count as this in the logit mean, so that one member's zero is no veto."""

POWER = 2.0

Members = Sequence[NDArray[np.float32]] | NDArray[np.float32]
"""Predictions of several runs, each (n_rows, n_classes): one array (n_runs, n_rows, n_classes), or one array per run."""


def mix(members: Members, weights: Sequence[float], mean: MeanName = "arithmetic") -> NDArray[np.float32]:
    """The blend (n_rows, n_classes) of the members under non-negative weights, one per run.

    arithmetic: the mean (soft vote). logit: the normalised geometric mean. power: the root of the mean of squares, normalised.
    rank: the mean of each class's ranks over the rows, normalised. hard: the share of votes.
    Weights are divided by their sum; members are added in order, in float64, so equal inputs give equal bytes.
    """
    return mix_shares(members, normalise(weights, len(members)), mean)


def mix_shares(members: Members, share: NDArray[np.float64], mean: MeanName, n_labels: int = 0) -> NDArray[np.float32]:
    """`mix` under shares that sum to one over the runs: (n_runs,), or one that `add_up` takes for a share of its own in each class.

    With `n_labels` the members are answers to questions (n_rows * n_labels, 2).
    """
    total = np.zeros(members[0].shape, dtype=np.float64)
    for weight, prob in zip(share, members, strict=True):
        if weight.any():
            total += weight * transform(prob, mean, n_labels)
    return finish(total, mean, by_class=share.ndim > 1)


def transform(prob: NDArray[np.float32], mean: MeanName, n_labels: int = 0) -> NDArray[np.float32]:
    """What is summed of one member (n_rows, n_classes); never negative. Ranks of questions are those within one class."""
    if mean == "logit":
        return np.log(np.maximum(prob, FLOOR)) - np.log(FLOOR)
    if mean == "power":
        return prob**POWER
    if mean == "rank" and n_labels:
        return one_vs_rest(rank_shares(of_classes(prob, n_labels)))
    if mean == "rank":
        return rank_shares(prob)
    if mean == "hard":
        return np.eye(prob.shape[1], dtype=np.float32)[prob.argmax(axis=1)]
    return prob


def add_up(values: Members, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted sum, member by member in float64; a member without weight is not touched.

    A share is one number per member, one per member and class, or one per member and row (n_members, n_rows, 1).
    """
    total = np.zeros(values[0].shape, dtype=np.float64)
    for weight, value in zip(share, values, strict=True):
        if weight.any():
            total += weight * value
    return total


def finish(total: NDArray[np.float64], mean: MeanName, *, by_class: bool = False) -> NDArray[np.float32]:
    """Probabilities (n_rows, n_classes) from the weighted sum of transformed members; shares by class leave no sum at one."""
    if mean == "logit":
        total = np.exp(total - total.max(axis=1, keepdims=True))
    elif mean == "power":
        total = total ** (1 / POWER)
    if by_class or mean in ("logit", "power", "rank"):
        total = total / total.sum(axis=1, keepdims=True)
    return total.astype(np.float32)


def normalise(weights: Sequence[float], n_runs: int) -> NDArray[np.float64]:
    """Weights (n_runs,) divided by their sum; InputError when one is negative, none is positive, or the sum is no number."""
    array = np.asarray(weights, dtype=np.float64)
    with np.errstate(over="ignore"):
        total = array.sum()
    if array.shape != (n_runs,) or (array < 0).any() or not 0 < total < np.inf:
        raise InputError(
            "the weights cannot be used",
            where="weights {numbers}",
            why="expected {n} finite numbers with a finite sum, none negative, not all zero",
            fix="give one weight per run, for example 0.6,0.4",
            numbers=list(map(float, np.ravel(array))),
            n=n_runs,
        )
    return array / array.sum()


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
    asked = [one_vs_rest(member) for member in members]
    labels = np.tile(np.arange(n_labels), len(members[0]))
    prob = stacked(steps.stack, asked, labels) if steps.stack else mix_shares(asked, share_of(steps, labels), steps.mean, n_labels)
    return of_classes(afterwards(prob, steps), n_labels)


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
