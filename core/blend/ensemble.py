"""The runs that are blended: their out-of-fold predictions, aligned once, with a scorer for each mean; and the blend that is kept of them.

All scores here are on out-of-fold predictions; weights that were tuned by looking at them are scored optimistically.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing
from core.base.errors import InputError
from core.base.files import fingerprint, write_json
from core.base.names import check_name
from core.base.settings import parse_settings
from core.blend.honest import HonestScore, honest_score
from core.blend.procedure import BlendProcedure, fit_of, fit_procedure
from core.blend.scorer import BlendScore, Outcome, Scorer, Weighing, make_scorer, under_mean
from core.blend.steps import apply_steps, of_classes
from core.blend.temperature import Networks, estimate_test_temperature, step_of
from core.contest.table import parents_of
from core.metrics.scores import Metric
from core.predictions.again import Rows, predict_run
from core.predictions.networks import Runtime
from core.predictions.oof import check_alignment, load_test_networks, load_test_prob
from core.predictions.source import OOF_PROB, TEST_PROB, Member, OofMatrix, Read, Source, load_matrix, source_of
from core.specs.blend import BlendSpec, BlendSteps, MeanName
from core.specs.kept import BlendScores, HonestFigures
from core.store.blends import Blend, add_blend, free_blend_name
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run, get_run
from core.workspace import Workspace


class Ensemble:
    """Runs to be blended: their out-of-fold predictions `oof`, and what any weights or steps make of them. Sessions share it.

    Weights given without steps are weights by hand under the arithmetic mean.
    """

    def __init__(self, oof: OofMatrix, runs: Sequence[Run] = ()) -> None:
        self.oof, self.runs = oof, tuple(runs)
        self._scorers: dict[MeanName, Scorer] = {}
        self._lock = Lock()
        self.scorer("arithmetic")

    def scorer(self, mean: MeanName) -> Scorer:
        """The scorer of all runs under a mean: made when first asked for, then kept."""
        with self._lock:
            if mean not in self._scorers:
                flat = self._scorers.get("arithmetic")
                self._scorers[mean] = make_scorer(self.oof) if flat is None else under_mean(flat, mean)
            return self._scorers[mean]

    @property
    def metric(self) -> Metric:
        return self.oof.metric

    @property
    def equal_weights(self) -> tuple[float, ...]:
        return (1 / len(self.oof.prob),) * len(self.oof.prob)

    def prob(self, weighing: Weighing) -> NDArray[np.float32]:
        """The blend's out-of-fold predictions (n_rows, n_classes)."""
        prob = self._of(weighing).prob(weighing)
        return of_classes(prob, self.oof.n_classes) if self.oof.is_multilabel else prob

    def outcome(self, weighing: Weighing, *, quick: bool = False) -> Outcome:
        """The blend's labels and its probability of the true class, one each for every row, or for every row and class.

        `quick` is for the steps of a drag: see `Scorer.p_true`.
        """
        return self._of(weighing).outcome(weighing, quick=quick)

    def labels(self, outcome: Outcome) -> NDArray[np.integer]:
        """The labels of an outcome in the form of `y_true`."""
        return self.scorer("arithmetic").table(outcome.y_pred)

    def score(self, weighing: Weighing) -> BlendScore:
        """Every score of weights (one per run, in the order of `runs`) or of steps."""
        scorer = self._of(weighing)
        return scorer.report(scorer.outcome(weighing))

    def member_scores(self) -> tuple[BlendScore, ...]:
        """The score of each run alone."""
        return tuple(self.score(alone) for alone in self.scorer("arithmetic").alone())

    def fit(self, procedure: BlendProcedure) -> BlendSteps:
        """The steps that a procedure comes to on all rows."""
        return fit_procedure(procedure, self.scorer)

    def honest(self, procedure: BlendProcedure) -> HonestScore:
        """What a procedure is worth on rows that it has not seen; `steps` in it are those of `fit`."""
        return honest_score(self.scorer, fit_of(procedure))

    def _of(self, weighing: Weighing) -> Scorer:
        return self.scorer(weighing.mean if isinstance(weighing, BlendSteps) else "arithmetic")


def open_ensemble(
    workspace: Workspace, contest: Contest, runs: Sequence[Run], fold_numbers: Sequence[int] | None = None, *, read: Read | None = None
) -> Ensemble:
    """Load and align the runs' out-of-fold predictions; AlignmentError says which run does not fit and why.

    `fold_numbers` restricts them to the rows of these folds, which every run must have finished; all folds when left out.
    """
    if not runs:
        raise InputError(
            "no run was chosen", where="blend", why="a blend needs at least one run", fix="choose finished runs with equal folds"
        )
    folds = get_folds(workspace.store, runs[0].folds_id)
    check_alignment(runs, folds, fold_numbers)
    return Ensemble(load_matrix([source_of(workspace, run, contest, folds) for run in runs], fold_numbers, read=read), runs)


def load_networks(ensemble: Ensemble, networks_of: Sequence[tuple[int, ...] | None] = ()) -> Networks:
    """What the networks of each run say of test rows, as `estimate_test_temperature` reads it; of the folds `networks_of` where not all."""
    folds, contest = ensemble.oof.sources[0].folds, ensemble.oof.sources[0].contest
    step = step_of(contest.n_test, ensemble.oof.n_classes)
    chosen = networks_of or (None,) * len(ensemble.runs)
    return [
        load_test_networks(source.workspace, run, folds.spec.repeats, numbers, step=step)
        for source, run, numbers in zip(ensemble.oof.sources, ensemble.runs, chosen, strict=True)
    ]


def temperature_of_test(ensemble: Ensemble, steps: BlendSteps, networks: Networks) -> float:
    """The temperature of test rows, from that of the steps, which out-of-fold rows were fitted with."""
    step = step_of(len(ensemble.oof.rows), ensemble.oof.n_classes)
    oof = [prob[::step] for prob in ensemble.oof.prob]
    return estimate_test_temperature(steps, oof, ensemble.oof.y_true[::step], networks, multilabel=ensemble.oof.is_multilabel)


def save_blend(
    workspace: Workspace,
    contest: Contest,
    spec: BlendSpec,
    *,
    name: str = "",
    honest: HonestScore | None = None,
    ensemble: Ensemble | None = None,
    procedure: BlendProcedure | None = None,
) -> Blend:
    """Blend out-of-fold and test predictions of the named runs by the same steps, and keep the result.

    `procedure` and `honest` are kept with the scores, the first where it can be fitted again; `ensemble` is that of the same runs in
    the same order where it is open already. From one on some folds comes a blend that says so: its other training rows stay NaN, and its test
    rows are predicted by every network that its runs have. Raises AlignmentError when a run does not fit the others, InputError
    for what cannot be a name.
    """
    name = name and check_name(name)
    runs = [get_run(workspace.store, run_id) for run_id in spec.members]
    if (
        ensemble is None
        or [run.id for run in ensemble.runs] != list(spec.members)
        or spec.folds not in ((), ensemble.oof.restricted_to)
        or any(source.contest.truth != contest.truth for source in ensemble.oof.sources)
    ):
        ensemble = open_ensemble(workspace, contest, runs, spec.folds or None)
    if ensemble.oof.restricted_to and not spec.is_restricted:
        networks = [sorted(result.fold for result in run.results) for run in runs]
        spec = parse_settings(BlendSpec, spec.to_dict() | {"folds": ensemble.oof.restricted_to, "networks": networks}, where="blend")
    scores = score_blend(ensemble, spec)
    folds = get_folds(workspace.store, runs[0].folds_id)
    oof = np.full((ensemble.oof.n_train, len(contest.spec.classes)), np.nan, dtype=np.float32)
    oof[ensemble.oof.rows] = apply_steps(spec, ensemble.oof.prob, multilabel=ensemble.oof.is_multilabel)
    if spec.temperature != 1 or spec.stack:  # a regression sharpens or softens too
        on_test = temperature_of_test(ensemble, spec.steps, load_networks(ensemble, spec.networks_of))
        spec = spec.model_copy(update={"test_temperature": None if on_test == spec.temperature else on_test})
    members = [Member(*each) for each in zip(runs, spec.normalised(), spec.networks_of, strict=True)]
    tests = [load_test_prob(workspace, member.run, member.networks) for member in members]
    test = apply_steps(spec.test_steps, tests, multilabel=ensemble.oof.is_multilabel)
    parents = {f"{member.run.ref} fold {fold}": own for member in members for fold, own in member.fold_fingerprints.items()}
    parents |= parents_of(contest, contest.truth) | {"folds": folds.fingerprint}
    folder = workspace.blend_dir(contest.folder, fingerprint({"spec": spec.identity(), "parents": parents}))
    with publishing(folder, kind="blend", parents=parents) as temporary:
        np.save(temporary / OOF_PROB, oof, allow_pickle=False)
        np.save(temporary / TEST_PROB, test, allow_pickle=False)
        write_json(temporary / "blend.json", {"spec": spec.identity(), "runs": [run.name for run in runs], "scores": scores.to_dict()})
    # How the blend was found is a fact of the row, not of the artefact; weights by hand are the blend's own.
    found = {
        "honest": honest and HonestFigures(**{name: getattr(honest, name) for name in HonestFigures.model_fields}),
        "procedure": procedure.trimmed.to_dict() if procedure and procedure.is_refitted else None,
    }
    return add_blend(
        workspace.store,
        contest_id=contest.id,
        folds_id=folds.id,
        truth_id=contest.truth.id,
        name=name or free_blend_name(workspace.store, contest.id, "blend"),
        spec=spec,
        scores=scores.model_copy(update=found),
        fingerprint=load_manifest(folder).fingerprint,
        path=workspace.relative(folder),
    )


def score_blend(ensemble: Ensemble, spec: BlendSpec) -> BlendScores:
    """What a blend of the ensemble's runs scores on its rows, beside equal weights and the best single run."""
    return BlendScores(
        metric=ensemble.metric.name,
        folds=ensemble.oof.folds,
        n_rows=len(ensemble.oof.rows),
        **asdict(ensemble.score(spec.steps)),
        equal_score=ensemble.score(ensemble.equal_weights).oof_score,
        best_single_score=ensemble.metric.best([member.oof_score for member in ensemble.member_scores()]),
    )


def blend_runs(
    workspace: Workspace,
    contest: Contest,
    runs: Sequence[Run],
    procedure: BlendProcedure,
    *,
    name: str = "",
    fold_numbers: Sequence[int] | None = None,
) -> Blend:
    """Fit a procedure on the runs and keep its blend, with the honest score where there was anything to fit.

    `fold_numbers` restricts all of it to some folds (see `shared_folds`). Raises StateError when that leaves one fold, and something
    is to be fitted: what was tuned on the only fold cannot be judged.
    """
    ensemble = open_ensemble(workspace, contest, runs, fold_numbers)
    honest = ensemble.honest(procedure) if procedure.is_fitted and procedure.is_refitted else None
    spec = spec_of([run.id for run in runs], honest.steps if honest else ensemble.fit(procedure))
    return save_blend(workspace, contest, spec, name=name, honest=honest, ensemble=ensemble, procedure=procedure)


def make_spec(members: Sequence[int], weights: Sequence[float] | None = None, mean: str = "arithmetic") -> BlendSpec:
    """A blend of runs by id; equal weights unless weights are given. All problems are reported in one RecipeError."""
    given = weights if weights is not None else [1 / max(1, len(members))] * len(members)
    return parse_settings(BlendSpec, {"members": members, "weights": given, "mean": mean}, where="blend")


def spec_of(members: Sequence[int], steps: BlendSteps) -> BlendSpec:
    """The blend of runs by id, in the order in which the steps were fitted."""
    return parse_settings(BlendSpec, {"members": members, **steps.to_dict()}, where="blend")


def predict_source(
    source: Source, rows: Rows, *, device: str = "", runtime: Runtime = "torch", after_batch: Callable[[int], None] | None = None
) -> NDArray[np.float32]:
    """Probabilities (n, n_classes) of any rows, by the networks of a run, or of a blend's runs through the blend's steps.

    Raises as `predict_run` does.
    """
    probs = [
        predict_run(
            source.workspace,
            source.contest,
            member.run,
            rows,
            fold_numbers=member.networks,
            device=device,
            runtime=runtime,
            after_batch=after_batch,
        )
        for member in source.members()
    ]
    if source.saved is None:
        return probs[0]
    return apply_steps(source.saved.spec.test_steps, probs, multilabel=source.contest.spec.is_multilabel)


def n_networks(source: Source) -> int:
    """How many folds' networks predict each row."""
    return sum(len(member.fold_fingerprints) for member in source.members())
