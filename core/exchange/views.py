"""A choice of views of a run becomes a run of its own: the same networks, whose prediction is the mean over these views."""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from core.artefacts import MANIFEST, load_manifest, publishing, write_manifest
from core.base.errors import StateError
from core.base.files import write_json
from core.base.names import name_from
from core.base.settings import parse_settings
from core.contest.table import load_truth, parents_of
from core.exchange.exchange import link_network
from core.folds import load_folds
from core.metrics.scores import all_scores
from core.predictions.networks import networks_of
from core.predictions.oof import TEST_PROB, VALID_PROB, FoldPredictions, mean_of, read_fold_arrays, write_fold_predictions
from core.predictions.views import Part, run_in_view
from core.specs.data_settings import ViewName
from core.specs.kept import ImportOrigin
from core.specs.network import NETWORK_FILE, NETWORKS_DIR, NetworkSpec
from core.store.contests import Contest, get_truth
from core.store.database import Connection
from core.store.folds import get_folds
from core.store.runs import FoldResult, Run, insert_imported_run
from core.workspace import Workspace


def publish_views(
    workspace: Workspace, contest: Contest, run: Run, views: Sequence[ViewName], *, name: str = "", key: str = ""
) -> Callable[[Connection], int]:
    """Publish the mean over views of what a run's networks predicted in each, fold by fold, and return what adds it as a run, to be called in a
    transaction: it returns the run's id. `key` names its folder, so that one who begins again finds it; "" chooses one.

    Out-of-fold and test predictions in these views must be kept (`core.predictions.views`). Each network is kept with its views, so that
    the new run predicts other rows too. Raises StateError for a run that misses folds, CheckpointError for a view that is not kept.
    """
    if not run.is_complete:
        raise StateError(
            "{name} is not finished",
            where=run.ref,
            why="{done} of {n} folds are done",
            fix="wait for it, or retry its failed folds",
            name=run.name,
            done=len(run.results),
            n=len(run.fold_numbers),
        )
    folds, truth = get_folds(workspace.store, run.folds_id), load_truth(workspace, contest, get_truth(workspace.store, run.truth_id))
    pairs, several = load_folds(workspace, folds).keeping(truth.kept), contest.spec.is_multilabel
    key = key or uuid4().hex[:12]
    home, now = workspace.import_dir(contest.folder, key), time.time()
    results: list[FoldResult] = []
    for place, result in enumerate(run.results):
        rows, folder = pairs.valid_idx(result.fold), home / f"fold-{result.fold}"
        valid, test = (_mean(workspace, contest, run, views, place, part) for part in ("oof", "test"))
        parents = parents_of(contest, truth.version) | {"folds": folds.fingerprint, f"{run.ref} fold {result.fold}": result.fingerprint}
        with publishing(folder, kind="fold", parents=parents, facts={"views": list(views)}) as temporary:
            write_fold_predictions(temporary, FoldPredictions(rows, valid, test), multilabel=several)
            networks = networks_of(workspace, run, result)
            for number, network in enumerate(networks):
                kept = f"{network.name}-{number}" if len(networks) > 1 else network.name
                _keep_network(network, temporary / NETWORKS_DIR / kept, views)
        scores, facts = all_scores(truth.labels[rows], valid, multilabel=several), {"imported": True, "views": list(views)}
        path, own = workspace.relative(folder), load_manifest(folder).fingerprint
        results.append(FoldResult(0, result.fold, 0, path, own, scores, 0, 0, 0.0, facts, now))
    recipe = run.own_recipe
    return partial(
        insert_imported_run,
        contest_id=contest.id,
        folds_id=folds.id,
        truth_id=run.truth_id,
        name=name_from(name, f"{run.name}-views"),
        origin=ImportOrigin(key=key, run=run.ref, run_name=run.name, views=tuple(views)),
        results=results,
        now=now,
        recipe=recipe and recipe.model_copy(update={"predict": recipe.predict.model_copy(update={"views": tuple(views)})}),
    )


def _mean(workspace: Workspace, contest: Contest, run: Run, views: Sequence[ViewName], place: int, part: Part) -> NDArray[np.float32]:
    """What the networks of a fold predicted, the mean over views in float64."""
    if part == "test" and not contest.n_test:
        return np.empty((0, len(contest.spec.classes)), dtype=np.float32)
    paths = [workspace.absolute(run_in_view(workspace, contest, run, view, part).results[place].path) for view in views]
    each = [read_fold_arrays(path, VALID_PROB if part == "oof" else TEST_PROB)[0] for path in paths]
    return mean_of(each)


def _keep_network(network: Path, folder: Path, views: Sequence[ViewName]) -> None:
    """A network as a fold's own, which predicts the mean over these views."""
    link_network(network, folder)
    spec = parse_settings(NetworkSpec, json.loads((folder / NETWORK_FILE).read_text(encoding="utf-8")), where=str(folder))
    for name in (NETWORK_FILE, MANIFEST):
        (folder / name).unlink()  # a link to the other network's own
    write_json(folder / NETWORK_FILE, spec.model_copy(update={"views": tuple(views)}).to_dict())
    write_manifest(folder, kind="network", parents={"network": load_manifest(network).fingerprint})
