"""Out-of-fold predictions beside the truth: the one shape that blending, errors, comparison and export read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.base.errors import AlignmentError, StateError
from core.base.messages import msg
from core.contest.table import load_truth
from core.folds.save import folds_groups, load_folds
from core.metrics.scores import Metric, all_scores, decide, get_metric
from core.predictions.source import Source

Read = Callable[[Source, Collection[int] | None], NDArray[np.float32]]
"""Gives a source's out-of-fold predictions on some folds, as `Source.oof` does."""


@dataclass(frozen=True, eq=False)
class OofMatrix:
    """Out-of-fold predictions of some sources on the rows that all of them have, with the truth. Never changed: sessions share it.

    `prob` holds one (n_rows, n_classes) per source. `y_true` are class indices (n_rows,), or 0 and 1 for each class (n_rows, n_classes)
    where a row may have several. `rows` (n_rows,) are places in the training table of `n_train` rows, `fold_of` (n_rows,) cuts them
    into parts, each validated by one fold. `groups` (n_rows,) numbers rows that belong together (a person, a source), where any are known.
    `restricted_to` names the folds where some were left out on purpose. `is_multilabel`: the contest's rows may have several classes.
    """

    prob: tuple[NDArray[np.float32], ...]
    y_true: NDArray[np.integer]
    fold_of: NDArray[np.integer]
    metric: Metric
    rows: NDArray[np.int64]
    n_train: int
    groups: NDArray[np.int64] | None = None
    sources: tuple[Source, ...] = ()
    restricted_to: tuple[int, ...] = ()
    is_multilabel: bool = False

    @property
    def n_classes(self) -> int:
        return self.prob[0].shape[1]

    @property
    def is_whole(self) -> bool:
        """Every training row is there: validated, and dropped by no truth."""
        return len(self.rows) == self.n_train

    @property
    def folds(self) -> tuple[int, ...]:
        """The parts that rows are scored in, in order: also that of `BlendScore.fold_scores`. Each is named by a fold that validates it."""
        return tuple(int(fold) for fold in np.unique(self.fold_of))

    def labels(self, place: int) -> NDArray[np.integer]:
        """The labels that a source gives, in the form of `y_true`: at its thresholds where it has any."""
        return decide(self.prob[place], multilabel=self.is_multilabel, thresholds=self._thresholds(place))

    def _thresholds(self, place: int) -> tuple[float, ...]:
        return self.sources[place].thresholds if self.sources else ()

    @property
    def y_prob(self) -> NDArray[np.float32]:
        """The predictions of the first source, which is the only one where errors are looked at."""
        return self.prob[0]

    @cached_property
    def y_pred(self) -> NDArray[np.integer]:
        """The labels of the first source."""
        return self.labels(0)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every metric of the first source by name, those of labels from `y_pred`."""
        return all_scores(self.y_true, self.y_prob, multilabel=self.is_multilabel, thresholds=self._thresholds(0))


def load_matrix(sources: Sequence[Source], fold_numbers: Collection[int] | None = None, *, read: Read | None = None) -> OofMatrix:
    """Read, verify and align out-of-fold predictions of runs or blends, beside the contest's current truth.

    Rows that one of them lacks, or that the truth drops, are left out.

    `fold_numbers` leaves out the rows of all other folds; `read` gives predictions that are read already. Raises AlignmentError when the
    sources stand on other folds or have no row in common, StateError while no fold is done, CheckpointError when an artefact is damaged.
    """
    first = sources[0]
    contest, folds = first.contest, first.folds
    for other in sources[1:]:
        if other.folds.id != folds.id:
            raise AlignmentError(
                "{one} and {other} cannot be compared row by row",
                where=msg("{one} and {other}", one=first.ref, other=other.ref),
                why="they stand on other folds: a row that one validated, the other may have trained on",
                fix="compare blends and runs with equal folds",
                one=first.name,
                other=other.name,
            )
    fold_of = load_folds(first.workspace, folds).first_fold(fold_numbers)
    prob = [source.oof(fold_numbers) if read is None else read(source, fold_numbers) for source in sources]
    truth = load_truth(first.workspace, contest)
    has_all = np.logical_and.reduce([fold_of >= 0, truth.kept, *(~np.isnan(each[:, 0]) for each in prob)])
    rows = np.flatnonzero(has_all)
    if not len(rows):
        raise _no_rows(sources)
    groups = folds_groups(first.workspace, contest, folds)
    left_out = fold_numbers is not None and not set(fold_numbers) >= set(range(folds.n_folds))
    return OofMatrix(
        prob=tuple(each if len(rows) == len(each) else each[rows] for each in prob),
        y_true=truth.labels[rows],
        fold_of=fold_of[rows],
        metric=get_metric(contest.spec.metric),
        rows=rows,
        n_train=contest.n_train,
        groups=None if groups is None else groups[rows],
        sources=tuple(sources),
        is_multilabel=contest.spec.is_multilabel,
        restricted_to=tuple(sorted(set(fold_numbers))) if fold_numbers is not None and left_out else (),
    )


def _no_rows(sources: Sequence[Source]) -> AlignmentError | StateError:
    if len(sources) == 1:
        return StateError(
            "{name} has no finished fold",
            where=sources[0].ref,
            why="no row was validated yet",
            fix="wait until a fold is done, or retry the run",
            name=sources[0].name,
        )
    one, other = sources[:2]
    return AlignmentError(
        "{one} and {other} have no row in common",
        where=msg("{one} and {other}", one=one.ref, other=other.ref),
        why="no fold that one has finished has the other finished too",
        fix="wait for a fold that both have",
        one=one.name,
        other=other.name,
    )
