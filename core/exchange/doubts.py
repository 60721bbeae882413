"""What may be wrong with predictions that fit in form, and what nobody could check of them."""

import numpy as np
from numpy.typing import NDArray

from core.metrics.scores import decide
from core.store.runs import Run

CHANCE_AUC = 0.6
"""A mean AUC below this says next to nothing of the rows, a sign of rows or classes in another order; one half is chance."""
CHANCE_SD = 2.0
"""Labels that are right no more often than with the rows shuffled, within so many standard deviations, are such a sign too."""
DOUBTS = {
    "rows": "the file of out-of-fold predictions names no rows: that they stand in the contest's order could not be checked",
    "folds": "the file names no folds: that its rows were predicted on these folds could not be checked",
    "test_rows": "the file of test predictions names no rows: that they stand in the contest's order could not be checked",
    "repeated": "ids appear several times: that rows of one id stand in the contest's order could not be checked",
    "scaled": "some rows of out-of-fold predictions sum to one only nearly, as rounded numbers do: they were scaled",
    "test_scaled": "some rows of test predictions sum to one only nearly, as rounded numbers do: they were scaled",
    "seen": "the classifier was trained elsewhere: that it has seen none of the contest's rows could not be checked",
    "frequent": "the predictions are right less often than the most frequent class alone: are the rows or the classes in another order?",
    "shuffled": "the predictions are right no more often than with their rows shuffled: are the rows or the classes in another order?",
    "ranks": "within the classes, rows are hardly ranked better than by chance: are the rows or the classes in another order?",
}
"""What may be wrong with predictions that fit in form, and what nobody could check; a run keeps the names of its own."""
UNCHECKED_OF_FILES = ("rows", "folds", "test_rows")
UNCHECKED = (*UNCHECKED_OF_FILES, "repeated", "scaled", "test_scaled", "seen")
"""Those that nobody could check, of a file and of a classifier that was trained elsewhere, and what was done to a file: no sign of a fault."""


def doubts_of(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What makes an imported run suspect, and what nobody could check of it, each in sentences."""
    names = run.imported.doubts if run.imported else ()
    return tuple(DOUBTS[name] for name in names if name not in UNCHECKED), tuple(DOUBTS[name] for name in names if name in UNCHECKED)


def suspicions(y_true: NDArray[np.integer], prob: NDArray[np.float32], *, multilabel: bool = False) -> tuple[str, ...]:
    """The name in DOUBTS of what speaks for rows or classes in another order: an answer as poor as one that looks at no row."""
    if multilabel:
        return ("ranks",) if mean_auc(y_true, prob) < CHANCE_AUC else ()
    n, labels = len(y_true), decide(prob)
    n_right = int((labels == y_true).sum())
    there, given = (np.bincount(of, minlength=prob.shape[1]).astype(np.float64) for of in (y_true, labels))
    if n_right < there.max():
        return ("frequent",)
    # Mean and variance of the number of right labels over all orders of the rows; one label for every row leaves nothing to shuffle.
    pairs = there * given
    variance = ((pairs * (n - there) * (n - given)).sum() + pairs.sum() ** 2 - (pairs**2).sum()) / (n**2 * max(1, n - 1))
    return ("shuffled",) if variance > 0 and n_right <= pairs.sum() / n + CHANCE_SD * np.sqrt(variance) else ()


def mean_auc(y_true: NDArray[np.integer], y_prob: NDArray[np.floating]) -> float:
    """The area under the ROC curve, as a mean over the classes that some rows have and some lack; NaN where there is none.

    `y_true` is 0 or 1, `y_prob` a probability, both (n, n_classes).
    """
    from sklearn.metrics import roc_auc_score

    n_there = y_true.sum(axis=0, dtype=np.int64)
    both = (n_there > 0) & (n_there < len(y_true))
    return float(roc_auc_score(y_true[:, both], y_prob[:, both], average="macro")) if both.any() else float("nan")
