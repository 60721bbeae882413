"""The networks of a run as ONNX files: each an artefact of the run, with how far it differs from its network; int8 with what it costs on
rows that the network never saw. Needs torch."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.artefacts import publishing
from core.base.errors import StateError
from core.contest.table import ContestTable, load_table, load_truth
from core.folds import load_folds
from core.metrics.scores import get_metric
from core.onnx.export import export_network, export_text_network, quantise, quantise_text
from core.onnx.runtime import load_onnx
from core.onnx.text import load_onnx_text
from core.predictions.again import Rows, load_fold, rows_of_train
from core.predictions.networks import KIND, ONNX_FILE, Export, export_dirs, is_tfidf, list_exports, networks_of
from core.predictions.oof import finished_folds
from core.store.contests import Contest, get_truth
from core.store.folds import get_folds
from core.store.runs import Run
from core.training.predictor import TorchPredictor
from core.workspace import Workspace

N_COMPARED = 5
N_CALIBRATION = 128
"""Training rows from which the ranges of int8 are read."""
N_OOF = 1000
"""The most out-of-fold rows of a fold on which the loss of int8 is measured."""

Numbers = NDArray[np.int64]


def export_run(
    workspace: Workspace,
    contest: Contest,
    run: Run,
    *,
    int8: bool = False,
    after_network: Callable[[int, int], None] = lambda _done, _n: None,
) -> tuple[Export, ...]:
    """Export every network of a run's finished folds that has not been exported yet; with `int8` that version too. Returns the files asked for.

    `after_network(done, n)` hears of each network, at first of none, and may raise to stop; what was exported is kept. Raises StateError for a
    run without networks, and as `export_network` does.
    """
    if is_tfidf(run):
        raise StateError(
            "{run} has no network that could be exported",
            where=run.ref,
            why="its terms and weights are no network",
            fix="predict with it as it is: it needs no torch",
            run=run.name,
        )
    table = load_table(workspace, contest)
    truth = load_truth(workspace, contest, get_truth(workspace.store, run.truth_id))
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id)).keeping(truth.kept)
    results = finished_folds(run)
    plain = [export_dirs(workspace, contest, run, result, "onnx") for result in results]
    small = [export_dirs(workspace, contest, run, result, "int8") for result in results]
    n, done = sum(map(len, plain)) * (1 + int8), 0
    after_network(done, n)
    for result, folders, small_folders in zip(results, plain, small, strict=True):
        valid = pairs.valid_idx(result.fold)
        parents = {"fold": result.fingerprint}
        if not all(folder.is_dir() for folder in folders):
            networks = load_fold(workspace, contest, run, result, device="cpu")
            places = networks_of(workspace, run, result) or (workspace.absolute(result.path),)
            for network, folder, kept in zip(networks, folders, places, strict=True):
                if not folder.is_dir():
                    assert isinstance(network, TorchPredictor)
                    _publish(network, folder, rows_of_train(table, spread(valid, N_COMPARED)), kept, parents)
        for folder, small_folder in zip(folders, small_folders, strict=True):
            done += 1
            after_network(done, n)
            if int8:
                if not small_folder.is_dir():
                    rows = spread(valid, N_OOF)
                    calibration = spread(pairs.train_idx(result.fold), N_CALIBRATION)
                    _publish_int8(folder, small_folder, table, calibration, rows, truth.labels[rows], contest, parents)
                done += 1
                after_network(done, n)
    found = list_exports(workspace, contest, run, "int8" if int8 else "onnx")
    assert found is not None
    return found


def _publish(network: TorchPredictor, folder: Path, compared: Rows, kept: Path, parents: dict[str, str]) -> None:
    """`kept` is the folder of the network, where its tokenizer is."""
    facts: dict[str, object] = {}
    with publishing(folder, kind=KIND, parents=parents, facts=facts) as to:
        inputs = compared.inputs_of(network.spec)
        if network.spec.modality == "image":
            parity = export_network(network, to / ONNX_FILE, [Path(path) for path in inputs])
        else:
            parity = export_text_network(network, to / ONNX_FILE, [str(text) for text in inputs], kept / "tokenizer.json")
        facts |= asdict(parity)


def _publish_int8(
    source: Path,
    folder: Path,
    table: ContestTable,
    calibration: Numbers,
    rows: Numbers,
    labels: NDArray[np.integer],
    contest: Contest,
    parents: dict[str, str],
) -> None:
    """The int8 version of an exported network, with its loss on out-of-fold rows and their truth."""
    facts: dict[str, object] = {}
    given = rows_of_train(table, rows)
    with publishing(folder, kind=KIND, parents=parents, facts=facts) as to:
        if contest.spec.modality == "image":
            before = load_onnx(source / ONNX_FILE)
            images = [before.read(Path(path)) for path in rows_of_train(table, calibration).inputs]
            facts["weight_bits"] = quantise(source / ONNX_FILE, to / ONNX_FILE, images)
            networks = (before, load_onnx(to / ONNX_FILE))
        else:
            facts["weight_bits"] = quantise_text(source / ONNX_FILE, to / ONNX_FILE)
            networks = tuple(load_onnx_text(place / ONNX_FILE) for place in (source, to))
        probs = [network.predict(given.inputs_of(network.spec)) for network in networks]
        multilabel = contest.spec.is_multilabel
        metrics = [get_metric(name) for name in dict.fromkeys(("log_loss", contest.spec.metric))]
        facts["n_rows"] = len(rows)
        facts["argmax_agreement"] = float(np.mean(probs[0].argmax(axis=1) == probs[1].argmax(axis=1)))
        facts["scores"] = {metric.name: [metric.score(labels, prob, multilabel=multilabel) for prob in probs] for metric in metrics}


def spread(rows: Numbers, n: int) -> Numbers:
    """At most `n` rows, spread evenly over those given."""
    return rows if len(rows) <= n else rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]
