"""Where predictions come from: a run or a saved blend, alike for all that reads, compares, exports or submits them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, read_array, verify_file
from core.base.errors import InputError, NotFoundError, StateError
from core.base.messages import msg
from core.metrics.scores import Metric
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
