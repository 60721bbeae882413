"""How a run's score falls when its images are disturbed: a probe of out-of-fold rows under blur, noise, crops, shifts and other light.

A validation score says nothing of images that are a little different. What a network loses here, a leaderboard may take.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from core.artefacts import MANIFEST, publishing, verify
from core.base.files import fingerprint
from core.base.messages import msg
from core.blend.honest import compare
from core.blend.scorer import outcome_in, truth_of
from core.contest.table import load_kept, load_truth
from core.folds import folds_groups, load_folds
from core.metrics.scores import get_metric
from core.predictions.oof import VALID_IDX, VALID_PROB, read_fold_arrays
from core.predictions.source import OofMatrix
from core.predictions.views import Batch, Piece, check_images, pieces_of_sample, predict_pieces
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run
from core.workspace import Workspace

N_ROWS = 1000
"""Rows of a probe where a contest has more: the interval of an accuracy of .9 is then 2 points wide to each side."""
PLAIN = "plain"


@dataclass(frozen=True)
class ProbeScore:
    """The score under a corruption at a strength in its unit, and `loss`, by how much it is worse than undisturbed, with its 95 % interval."""

    kind: str
    strength: float
    unit: str
    score: float
    loss: float
    loss_low: float
    loss_high: float


@dataclass(frozen=True)
class Probe:
    """What a run scores on `n_rows` of `n_validated` out-of-fold rows by a metric: as they are (`plain`), and corrupted, kind by kind from weak to strong."""

    metric: str
    plain: float
    n_rows: int
    n_validated: int
    scores: tuple[ProbeScore, ...]

    @property
    def worst(self) -> ProbeScore:
        """Among the weakest corruptions of each kind the one that costs most: what ordinary images may hold."""
        first = {score.kind: score for score in reversed(self.scores)}
        return max(first.values(), key=lambda score: score.loss)

    @property
    def is_brittle(self) -> bool:
        """The weakest corruption of a kind costs more than a tenth of what there is to lose: of the score, or in log loss a tenth of a nat."""
        most = 0.1 * self.plain if get_metric(self.metric).greater_is_better else 0.1
        return self.worst.loss_low > most

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def sample_rows(workspace: Workspace, contest: Contest, run: Run, n_rows: int = N_ROWS) -> tuple[NDArray[np.int64], int]:
    """So many of the rows that the run has validated and that the contest's truth keeps, ascending, and how many there are."""
    kept = load_kept(workspace, contest, run.truth_id) & load_kept(workspace, contest, contest.truth)
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id)).keeping(kept)
    validated = np.unique(np.concatenate([pairs.valid_idx(result.fold) for result in run.results]))
    chosen = np.random.default_rng(0).choice(validated, min(n_rows, len(validated)), replace=False)
    return np.sort(chosen), len(validated)


def probe_run(
    workspace: Workspace,
    contest: Contest,
    run: Run,
    *,
    n_rows: int = N_ROWS,
    device: str = "",
    batch: Batch = "trained",
    after_batch: Callable[[Piece, int, int], None] = lambda _piece, _n, _total: None,
) -> Probe:
    """Predict a sample of out-of-fold rows, each by networks that never saw it, under every corruption, and keep the scores as an artefact.

    What is kept already is not predicted again. `after_batch(piece, n, total)` hears of every n rows of `total`, and may raise to stop. Raises
    InputError for a contest of texts, and as `predict_pieces` does.
    """
    from core.data.views import CORRUPTIONS

    check_images(contest, run)
    folder = _folder(workspace, contest, run, n_rows)
    if (folder / MANIFEST).exists():
        return _read(folder)
    rows, n_validated = sample_rows(workspace, contest, run, n_rows)
    asked = [(kind, strength, known.unit) for kind, known in CORRUPTIONS.items() for strength in known.strengths]
    views = [PLAIN, *(f"{kind}-{strength:g}" for kind, strength, _ in asked)]
    pieces = pieces_of_sample(workspace, contest, run, views, rows)
    total = sum(piece.n_rows for piece in pieces if not piece.is_kept)
    predict_pieces(workspace, contest, run, pieces, device=device, batch=batch, after_batch=lambda piece, n: after_batch(piece, n, total))

    def matrix(view: str) -> OofMatrix:
        return _matrix(workspace, contest, run, [piece for piece in pieces if piece.view == view], rows)

    plain = matrix(PLAIN)
    truth, before = truth_of(plain), outcome_in(plain, 0)
    found: list[ProbeScore] = []
    for (kind, strength, unit), view in zip(asked, views[1:], strict=True):
        worth = compare(truth, before, outcome_in(matrix(view), 0))
        found.append(ProbeScore(kind, strength, unit, worth.other, worth.gain, worth.gain_low, worth.gain_high))
    probe = Probe(contest.spec.metric, truth.of(before), len(rows), n_validated, tuple(found))
    parents = {f"fold {result.fold}": result.fingerprint for result in run.results} | {"truth": contest.truth.fingerprint}
    with publishing(folder, kind="probe", parents=parents, facts=probe.to_dict()):
        pass
    return probe


def find_probe(workspace: Workspace, contest: Contest, run: Run, *, n_rows: int = N_ROWS) -> Probe | None:
    """The probe that is kept of a run's finished folds under the contest's truth and metric; None where there is none. Raises CheckpointError."""
    folder = _folder(workspace, contest, run, n_rows)
    return _read(folder) if (folder / MANIFEST).exists() else None


def said_of(probe: Probe) -> str:
    """In one sentence, which disturbance costs most."""
    worst = probe.worst
    return msg(
        "brittle: {plain:.4f} -> {score:.4f} under {kind} {strength:g} {unit}"
        if probe.is_brittle
        else "not brittle: of the weakest disturbances {kind} {strength:g} {unit} costs most, {plain:.4f} -> {score:.4f}",
        plain=probe.plain,
        score=worst.score,
        kind=worst.kind,
        strength=worst.strength,
        unit=worst.unit,
    )


def _folder(workspace: Workspace, contest: Contest, run: Run, n_rows: int) -> Path:
    made_of = {"results": [result.fingerprint for result in run.results], "truth": contest.truth.fingerprint, "metric": contest.spec.metric}
    return workspace.run_dir(contest.folder, run.id) / "probes" / f"{n_rows}-{fingerprint(made_of)[:12]}"


def _read(folder: Path) -> Probe:
    return TypeAdapter(Probe).validate_python(verify(folder).facts)


def _matrix(workspace: Workspace, contest: Contest, run: Run, pieces: list[Piece], rows: NDArray[np.int64]) -> OofMatrix:
    """The predictions of the sampled `rows` in one view beside the truth; of a row that several folds validate the mean."""
    total, times = np.zeros((len(rows), len(contest.spec.classes))), np.zeros(len(rows), dtype=np.int64)
    for piece in pieces:
        valid_idx, prob = read_fold_arrays(piece.folder, VALID_IDX, VALID_PROB)
        at = np.searchsorted(rows, valid_idx)
        total[at] += prob
        times[at] += 1
    folds = get_folds(workspace.store, run.folds_id)
    groups = folds_groups(workspace, contest, folds)
    return OofMatrix(
        prob=((total / times[:, None]).astype(np.float32),),
        y_true=load_truth(workspace, contest).labels[rows],
        fold_of=load_folds(workspace, folds).first_fold([result.fold for result in run.results])[rows],
        metric=get_metric(contest.spec.metric),
        rows=rows,
        n_train=contest.n_train,
        groups=None if groups is None else groups[rows],
        is_multilabel=contest.spec.is_multilabel,
    )
