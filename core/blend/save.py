"""A blend that is kept: its weights, its score, and the predictions it makes, published with the fingerprints of its runs."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from core.blend.bank import Bank, open_bank
from core.blend.mean import mix
from core.blend.spec import BlendSpec
from core.errors import CheckpointError, InputError
from core.predictions import load_test_prob
from core.settings import parse_settings
from core.store.blends import Blend, add_blend, free_blend_name
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import get_run
from core.workspace import Workspace, fingerprint, load_manifest, publishing, verify, write_json

OOF_PROB = "oof_prob.npy"
TEST_PROB = "test_prob.npy"
NAME = re.compile(r"[\w.\-]{1,60}")


def save_blend(workspace: Workspace, contest: Contest, spec: BlendSpec, *, name: str = "") -> Blend:
    """Blend out-of-fold and test predictions of the named runs and keep the result.

    Raises AlignmentError when a run does not fit the others, InputError for a name that could not be part of a file's name. The
    test predictions get exactly the weights of the spec.
    """
    if name and not NAME.fullmatch(name):
        raise InputError(
            "a blend cannot have this name",
            where=f"name '{name}'",
            why="only letters, digits, '.', '-' and '_' are allowed, at most 60: submissions are named after it",
            fix="write for example blend-2",
        )
    runs = [get_run(workspace.store, run_id) for run_id in spec.members]
    bank = open_bank(workspace, contest, runs, spec.mean)
    scores = blend_scores(bank, spec)
    test = mix(np.stack([load_test_prob(workspace, run) for run in runs]), spec.weights, spec.mean)
    parents = {f"{run.ref} fold {result.fold}": result.fingerprint for run in runs for result in run.results}
    parents |= {"contest": contest.fingerprint, "folds": get_folds(workspace.store, runs[0].folds_id).fingerprint}
    folder = workspace.blend_dir(contest.name, fingerprint({"spec": spec.to_dict(), "parents": parents}))
    with publishing(folder, kind="blend", parents=parents) as temporary:
        np.save(temporary / OOF_PROB, bank.prob(spec.weights), allow_pickle=False)
        np.save(temporary / TEST_PROB, test, allow_pickle=False)
        write_json(temporary / "blend.json", {"spec": spec.to_dict(), "runs": [run.name for run in runs], "scores": scores})
    return add_blend(
        workspace.store,
        contest_id=contest.id,
        folds_id=runs[0].folds_id,
        name=name or free_blend_name(workspace.store, contest.id, "blend"),
        spec=spec,
        scores=scores,
        fingerprint=load_manifest(folder).fingerprint,
        path=workspace.relative(folder),
    )


def make_spec(members: list[int], weights: list[float] | None = None, mean: str = "arithmetic") -> BlendSpec:
    """A blend of runs by id; equal weights unless weights are given. All problems are reported in one RecipeError."""
    given = weights if weights is not None else [1 / max(1, len(members))] * len(members)
    return parse_settings(BlendSpec, {"members": members, "weights": given, "mean": mean}, where="blend")


def blend_scores(bank: Bank, spec: BlendSpec) -> dict[str, object]:
    """What is kept of a blend's score, with that of equal weights and of the best single run beside it."""
    score = bank.score(spec.weights)
    members = bank.member_scores()
    return {
        "metric": bank.metric.name,
        **asdict(score),
        "fold_scores": list(score.fold_scores),
        "equal_score": bank.score(bank.equal_weights).oof_score,
        "best_single_score": bank.metric.best([member.oof_score for member in members]),
    }


def load_blend_oof(workspace: Workspace, blend: Blend) -> NDArray[np.float32]:
    """The blend's out-of-fold predictions (n_train, n_classes), verified."""
    return _load(workspace, blend, OOF_PROB)


def load_blend_test(workspace: Workspace, blend: Blend) -> NDArray[np.float32]:
    """The blend's test predictions (n_test, n_classes), verified."""
    return _load(workspace, blend, TEST_PROB)


def _load(workspace: Workspace, blend: Blend, name: str) -> NDArray[np.float32]:
    folder = workspace.absolute(blend.path)
    verify(folder)
    try:
        return np.load(folder / name, allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise CheckpointError("a blend cannot be read", where=str(folder / name), why=str(problem), fix="save the blend again") from None
