"""Predictions of a run's networks in one view after the other (test-time augmentation), or of corrupted images. Each fold's predictions in a view
are an artefact as soon as they are made, so what was stopped goes on with the next.

Loads torch only to predict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.artefacts import MANIFEST, load_manifest, publishing
from core.base.errors import InputError, StateError
from core.base.files import fingerprint
from core.contest.table import ContestTable, load_kept, load_table
from core.folds import load_folds
from core.predictions.again import Rows, load_fold, rows_of_test, rows_of_train
from core.predictions.oof import TEST_PROB, VALID_IDX, VALID_PROB, check_probabilities, finished_folds, load_test_prob, mean_of
from core.predictions.source import Source, source_of
from core.specs.data_settings import ViewName
from core.splitting import FoldPairs
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import FoldResult, Run
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.training.predictor import TorchPredictor, View

Part = Literal["oof", "test"]
Batch = Literal["trained", "size", "auto"] | int
"""Rows at once: as in training, which gives the stored predictions to the last byte; by the size of images; as many as memory holds; or a number."""
VIEW_NAMES: tuple[ViewName, ...] = get_args(ViewName)
ALIASES: dict[str, ViewName] = {
    "original": "plain",
    "hflip": "mirror",
    "vflip": "flip",
    "both": "rotate180",
    "rot90": "rotate90",
    "rot180": "rotate180",
    "rot270": "rotate270",
}
"""Other names of views. An image that is flipped both ways is rotated by 180 degrees."""


def read_views(names: Sequence[str]) -> tuple[ViewName, ...]:
    """Views by their names or other names, each once and in one order. Raises InputError for one that is not there."""
    known: dict[str, ViewName] = {**{name: name for name in VIEW_NAMES}, **ALIASES}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            "there is no view named '{view}'",
            where="views",
            why="there are {views}; other names are {others}",
            fix="name some of these, with commas between them",
            view=", ".join(unknown),
            views=", ".join(VIEW_NAMES),
            others=", ".join(f"{other} ({name})" for other, name in ALIASES.items()),
        )
    chosen = {known[name] for name in names}
    return tuple(name for name in VIEW_NAMES if name in chosen)


def check_images(contest: Contest, run: Run) -> None:
    """Raise InputError for a contest of texts, StateError for a run without a finished fold."""
    if contest.spec.modality == "text":
        raise InputError(
            "texts have no views",
            where=run.ref,
            why="a view flips, crops or disturbs pixels; the rows of {contest} are texts, and a text with its letters turned is another text",
            fix="predict without views: python -m core predict {run} -o FILE",
            contest=contest.name,
            run=run.ref,
        )
    if not run.results:
        raise StateError(
            "{run} has no network yet", where=run.ref, why="none of its folds has finished", fix="wait for the first fold", run=run.name
        )


@dataclass(frozen=True, eq=False)
class Piece:
    """What the networks of one fold are to predict in one view: training `rows` that the fold validates, or the test rows (None).

    `view` is one of `VIEW_NAMES`, or a corruption with its strength such as "blur-1". The predictions go into the artefact `folder`.
    """

    result: FoldResult
    view: str
    rows: NDArray[np.int64] | None
    n_rows: int
    folder: Path

    @property
    def is_kept(self) -> bool:
        return (self.folder / MANIFEST).exists()


def pieces_of(workspace: Workspace, contest: Contest, run: Run, views: Sequence[str], part: Part) -> list[Piece]:
    """The predictions of a part of the rows in these views, kept or not, fold by fold."""
    pairs = _pairs(workspace, contest, run)
    found: list[Piece] = []
    for result in finished_folds(run):
        rows = pairs.valid_idx(result.fold) if part == "oof" else None
        n_rows = contest.n_test if rows is None else len(rows)
        found += [Piece(result, view, rows, n_rows, _folder(workspace, contest, run, result, part, view)) for view in views]
    return found


def pieces_of_sample(workspace: Workspace, contest: Contest, run: Run, views: Sequence[str], rows: NDArray[np.int64]) -> list[Piece]:
    """The same of some training rows only."""
    pairs = _pairs(workspace, contest, run)
    part = f"rows-{fingerprint(rows.tolist())[:12]}"
    found: list[Piece] = []
    for result in finished_folds(run):
        mine = np.intersect1d(pairs.valid_idx(result.fold), rows)
        found += [Piece(result, view, mine, len(mine), _folder(workspace, contest, run, result, part, view)) for view in views]
    return found


def _pairs(workspace: Workspace, contest: Contest, run: Run) -> FoldPairs:
    return load_folds(workspace, get_folds(workspace.store, run.folds_id)).keeping(load_kept(workspace, contest, run.truth_id))


def _folder(workspace: Workspace, contest: Contest, run: Run, result: FoldResult, part: str, view: str) -> Path:
    return workspace.views_dir(contest.folder, run.id) / f"fold-{result.fold}-{result.fingerprint[:12]}" / part / view


def predict_pieces(
    workspace: Workspace,
    contest: Contest,
    run: Run,
    pieces: Sequence[Piece],
    *,
    device: str = "",
    batch: Batch = "trained",
    halvings: int = 0,
    after_batch: Callable[[Piece, int], None] = lambda _piece, _n: None,
) -> None:
    """Predict the pieces that are not kept yet, those of one fold after the other, and keep each.

    `after_batch(piece, n)` hears of every n rows, and may raise to stop. Where memory runs out, half the rows are predicted at once from there
    on; how many that were is kept. `halvings` is how often it ran out before. Raises as `predict_run` does.
    """
    from core.training.predictor import TorchPredictor

    table = load_table(workspace, contest)
    for result in finished_folds(run):
        todo = [piece for piece in pieces if piece.result.fingerprint == result.fingerprint and not piece.is_kept]
        if todo:
            loaded, size = load_fold(workspace, contest, run, result, device=device), 0
            networks = [network for network in loaded if isinstance(network, TorchPredictor)]
            assert len(networks) == len(loaded), "images are read by networks of torch"
            for piece in todo:
                size = size or max(1, _first_batch(table, networks, piece, batch) >> halvings)
                size = _predict_piece(workspace, table, networks, piece, size, device, after_batch)


def _first_batch(table: ContestTable, networks: Sequence[TorchPredictor], piece: Piece, batch: Batch) -> int:
    """How many rows to begin with, after a batch of that size: the first takes longest, and the time of a view is kept."""
    from core.training.batch_size import MOST, batch_of_size, halving, largest_batch
    from core.training.predictor import EVALUATION_FACTOR

    network, rows = networks[0], _rows(table, piece)
    trained = EVALUATION_FACTOR * network.spec.micro_batch

    def predict(n: int) -> None:
        network.predict(rows.inputs[:n], batch_size=n)

    if batch == "auto":
        most = max(1, min(MOST, len(rows.ids)))
        return largest_batch(predict, min(trained, most), most, on_cpu=network.device.type == "cpu")
    n = {"trained": trained, "size": batch_of_size(network.spec.input_px)}[batch] if isinstance(batch, str) else batch
    return halving(predict, n)[1]


def _rows(table: ContestTable, piece: Piece) -> Rows:
    return rows_of_test(table) if piece.rows is None else rows_of_train(table, piece.rows)


def _predict_piece(
    workspace: Workspace,
    table: ContestTable,
    networks: Sequence[TorchPredictor],
    piece: Piece,
    batch_size: int,
    device: str,
    after_batch: Callable[[Piece, int], None],
) -> int:
    """Predict and publish a piece; returns how many rows were predicted at once in the end."""
    from core.training.batch_size import halving

    rows, view = _rows(table, piece), _transforms(piece.view)

    def predict(n: int) -> tuple[NDArray[np.float32], float]:
        started = time.perf_counter()
        each = (
            network.predict(rows.inputs, sha256=rows.sha256, view=view, batch_size=n, after_batch=lambda n: after_batch(piece, n))
            for network in networks
        )
        return mean_of(each), time.perf_counter() - started

    (prob, elapsed_s), batch_size = halving(predict, batch_size)
    spec = networks[0].spec
    check_probabilities(prob, where=piece.view, multilabel=spec.labels == "several")
    facts: dict[str, Any] = {"view": piece.view, "n_rows": len(prob), "elapsed_s": elapsed_s}
    facts |= {"batch_size": batch_size, "device": device or spec.device, "n_transforms": len(view)}
    result = piece.result
    own = load_manifest(workspace.absolute(result.path)).parents
    parents = {name: own[name] for name in ("contest", "rows", "truth", "folds") if name in own}
    with publishing(piece.folder, kind="view", parents={**parents, f"fold {result.fold}": result.fingerprint}, facts=facts) as folder:
        if piece.rows is None:
            np.save(folder / TEST_PROB, prob, allow_pickle=False)
        else:
            np.save(folder / VALID_IDX, piece.rows, allow_pickle=False)
            np.save(folder / VALID_PROB, prob, allow_pickle=False)
    return batch_size


def _transforms(view: str) -> View:
    from core.data.views import VIEWS, corrupted

    kind, _, strength = view.partition("-")
    return corrupted(kind, float(strength)) if strength else VIEWS[read_views([kind])[0]]


def kept_views(workspace: Workspace, contest: Contest, run: Run, part: Part = "oof") -> tuple[ViewName, ...]:
    """The views whose predictions are kept of every fold that has finished."""
    return tuple(
        view
        for view in VIEW_NAMES
        if run.results and all((_folder(workspace, contest, run, result, part, view) / MANIFEST).exists() for result in run.results)
    )


def run_in_view(workspace: Workspace, contest: Contest, run: Run, view: str, part: Part = "oof") -> Run:
    """The run as if its networks had predicted in this view only: its results are those artefacts, so that all that reads a run reads them.

    Raises CheckpointError where a fold's predictions in it are not kept.
    """

    def seen(result: FoldResult) -> FoldResult:
        folder = _folder(workspace, contest, run, result, part, view)
        return replace(result, path=workspace.relative(folder), fingerprint=load_manifest(folder).fingerprint)

    return replace(run, results=tuple(map(seen, run.results)))


def source_in_view(workspace: Workspace, contest: Contest, run: Run, view: str) -> Source:
    """Its out-of-fold predictions as a source; errors as of `run_in_view`."""
    return source_of(workspace, run_in_view(workspace, contest, run, view), contest)


def test_prob_in_views(workspace: Workspace, contest: Contest, run: Run, views: Sequence[str]) -> NDArray[np.float32]:
    """Test predictions (n_test, n_classes), the mean over these views and the run's folds; errors as of `run_in_view`."""
    return mean_of(load_test_prob(workspace, run_in_view(workspace, contest, run, view, "test")) for view in views)


def cost_of(workspace: Workspace, contest: Contest, run: Run, view: str) -> float:
    """Seconds that a network took for a thousand out-of-fold rows in a view."""
    facts = [load_manifest(_folder(workspace, contest, run, result, "oof", view)).facts for result in run.results]
    return 1000 * sum(each["elapsed_s"] for each in facts) / max(1, sum(each["n_rows"] for each in facts))
