"""Where predictions come from (a run or a saved blend, alike for all that reads, compares, exports or submits them), and out-of-fold predictions
beside the truth: the one shape that blending, errors, comparison and export read.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, read_array, verify_file
from core.base.errors import AlignmentError, InputError, NotFoundError, StateError
from core.base.messages import msg
from core.contest.table import load_truth
from core.folds import folds_groups, load_folds
from core.metrics.scores import Metric, all_scores, decide, get_metric
from core.predictions.oof import load_oof, load_test_prob
from core.store.blends import Blend, get_blend, list_blends
from core.store.contests import Contest, get_contest
from core.store.folds import Folds, get_folds, list_folds
from core.store.runs import Run, get_run, list_runs
from core.workspace import Workspace

OOF_PROB = "oof_prob.npy"
TEST_PROB = "test_prob.npy"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Member:
    """A run that a source consists of, its weight, and the folds whose networks predict the test rows (None for all)."""

    run: Run
    weight: float
    networks: tuple[int, ...] | None = None

    @property
    def fold_fingerprints(self) -> dict[int, str]:
        """The artefacts of the networks that predict the test rows, by fold."""
        return {result.fold: result.fingerprint for result in self.run.results if self.networks is None or result.fold in self.networks}


@dataclass(frozen=True)
class Source:
    """A run with its finished folds, or a saved blend, as it stood when it was read."""

    workspace: Workspace
    contest: Contest
    folds: Folds
    item: Run | Blend

    @property
    def kind(self) -> Literal["run", "blend"]:
        return "blend" if self.saved else "run"

    @property
    def ref(self) -> str:
        return self.item.ref

    @property
    def name(self) -> str:
        return self.item.name

    @property
    def truth_id(self) -> int:
        """The version of the truth that the run is trained on, or that the blend was scored on."""
        return self.item.truth_id

    @property
    def saved(self) -> Blend | None:
        """The row of a saved blend; None for a run."""
        return self.item if isinstance(self.item, Blend) else None

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Above which probability a row has each class, where it may have several; empty for one half."""
        return self.saved.spec.thresholds if self.saved else ()

    @property
    def content(self) -> tuple[str, ...]:
        """Fingerprints of what the predictions are made of: equal content is equal predictions."""
        return (self.item.fingerprint,) if isinstance(self.item, Blend) else tuple(result.fingerprint for result in self.item.results)

    @property
    def scored_folds(self) -> tuple[int, ...]:
        """The folds that the score is of."""
        if isinstance(self.item, Blend):
            return self.item.spec.folds or tuple(range(self.folds.n_folds))
        return tuple(sorted(result.fold for result in self.item.results))

    @property
    def is_whole(self) -> bool:
        """The score is of all folds."""
        return len(self.scored_folds) == self.folds.n_folds

    @property
    def is_complete(self) -> bool:
        """Everything that was asked for is done, so that test rows can be predicted."""
        return isinstance(self.item, Blend) or self.item.is_complete

    def score(self, metric: Metric) -> float | None:
        """The mean over the folds, of a blend as it was saved; None before the first fold."""
        return self.item.scores.cv_score if isinstance(self.item, Blend) else self.item.cv_score(metric.name)

    def spread(self, metric: Metric) -> float | None:
        """The standard deviation of the fold scores; None below two."""
        return self.item.scores.spread if isinstance(self.item, Blend) else self.item.cv_sd(metric.name)

    def members(self) -> tuple[Member, ...]:
        """The runs behind it; a run is its own only member."""
        if not isinstance(self.item, Blend):
            return (Member(self.item, 1.0),)
        spec = self.item.spec
        runs = [get_run(self.workspace.store, run_id) for run_id in spec.members]
        return tuple(map(Member, runs, spec.normalised(), spec.networks_of))

    def oof(self, fold_numbers: Collection[int] | None = None) -> Array:
        """Out-of-fold predictions (n_train, n_classes), verified; NaN in rows that no finished fold validates or that its truth drops.

        `fold_numbers` are the folds of a run to take where not all; those of a blend are what it was saved with.
        """
        if isinstance(self.item, Blend):
            return self._read(self.item, OOF_PROB)
        return load_oof(self.workspace, self.item, self.contest, fold_numbers)

    def test(self) -> Array:
        """Test predictions (n_test, n_classes), verified. Raises StateError while a fold that was asked for is missing."""
        if isinstance(self.item, Blend):
            return self._read(self.item, TEST_PROB)
        if not self.is_complete:
            raise StateError(
                "{name} is not finished",
                where=self.ref,
                why="{done} of {n} folds are done",
                fix="wait for it, or retry its failed folds",
                name=self.name,
                done=len(self.item.results),
                n=len(self.item.fold_numbers),
            )
        return load_test_prob(self.workspace, self.item)

    def _read(self, blend: Blend, name: str) -> Array:
        folder = self.workspace.absolute(blend.path)
        return read_array(verify_file(folder, load_manifest(folder), name), fix="save the blend again")


def source_of(workspace: Workspace, item: Run | Blend, contest: Contest | None = None, folds: Folds | None = None) -> Source:
    """The source that a run or a blend is; its contest and folds are read where they are not given."""
    contest = contest or get_contest(workspace.store, item.contest_id)
    return Source(workspace, contest, folds or get_folds(workspace.store, item.folds_id), item)


def list_sources(workspace: Workspace, contest: Contest) -> list[Source]:
    """The blends of a contest and its runs with a finished fold, the newest first."""
    folds = {each.id: each for each in list_folds(workspace.store, contest.id)}
    runs = [run for run in list_runs(workspace.store, contest.id) if run.results]
    return [source_of(workspace, item, contest, folds[item.folds_id]) for item in (*list_blends(workspace.store, contest.id), *runs)]


def find_source(workspace: Workspace, ref: str, contest_id: int | None = None) -> Source:
    """The run or blend of that reference or name. Raises NotFoundError listing both, InputError when a name is that of one of each."""
    found: list[Run | Blend] = []
    for get in (get_blend, get_run):
        try:
            found.append(get(workspace.store, ref, contest_id))
        except NotFoundError:
            continue
    by_ref = [each for each in found if each.ref == ref]
    if len(by_ref or found) > 1:
        refs = ", ".join(each.ref for each in found)
        raise InputError(
            "'{name}' is a run and a blend",
            where="submit",
            why="they are {names}",
            fix="use the reference instead of the name",
            name=ref,
            names=refs,
        )
    if not found:
        known = [*list_blends(workspace.store, contest_id), *list_runs(workspace.store, contest_id)]
        raise NotFoundError.among("blend or run", ref, (msg("{place} ({where})", place=each.ref, where=each.name) for each in known))
    return source_of(workspace, (by_ref or found)[0])


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
