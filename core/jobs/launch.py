"""What puts jobs into the queue: runs, with their plans and seeds; registrations, predictions, exports, views and probes. Each launch is one transaction."""

import time
import uuid
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO

from core.artefacts import load_manifest
from core.base.errors import RecipeError, StateError
from core.base.files import fingerprint, keep_upload, write_json
from core.base.messages import msg
from core.base.names import NAME_LENGTH, check_name
from core.base.settings import parse_settings
from core.jobs.fold import start_dir
from core.jobs.kinds import check_kind
from core.predictions.networks import Runtime, list_exports
from core.recipes.plan import ReadPlan, keep_plan_weights
from core.recipes.pretraining import check_pretraining, read_lines
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store import jobs
from core.store.contests import Contest, get_contest, list_contests, name_taken
from core.store.database import Connection, Store
from core.store.folds import Folds, get_folds
from core.store.jobs import Job, add_job, add_jobs, get_job
from core.store.runs import Run, add_run, add_seeds, get_run, runs_by_recipe
from core.tracking.tracker import check_trackers
from core.training.task import backbone_of, check_classes
from core.workspace import Workspace


def launch_run(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipe: Recipe,
    *,
    fold_numbers: Sequence[int] | None = None,
    priority: int = 0,
    now: float | None = None,
) -> Run:
    """Queue a run: one job per fold, all folds unless `fold_numbers` names some. A name that is taken gets a number.

    Of a recipe with several seeds, one per fold and seed: each seed is a run of its own, and one that is there already, trained or on its way,
    is taken and not trained again.

    Raises RecipeError for a recipe of the other modality, a backbone, a tracker or a fold that is not there, StateError for folds of another
    contest.
    """
    return launch_runs(workspace, contest, folds, [recipe], fold_numbers=fold_numbers, priority=priority, now=now)[0]


def launch_runs(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipes: Sequence[Recipe],
    *,
    fold_numbers: Sequence[int] | None = None,
    priority: int = 0,
    now: float | None = None,
) -> tuple[Run, ...]:
    """Queue a run of each recipe, in this order: all of them or, when one is refused, none. Errors as of `launch_run`."""
    chosen = tuple(range(folds.n_folds)) if fold_numbers is None else tuple(sorted(set(fold_numbers)))
    for recipe in recipes:
        check_launch(workspace, contest, folds, recipe, chosen)
        for fold, seed in product(chosen, recipe.train.seeds):
            start_dir(workspace, contest, folds, recipe.with_seed(seed), fold)
    moment = time.time() if now is None else now
    ids: list[int] = []

    def add(connection: Connection, recipe: Recipe, name: str = "") -> int:
        run_id = add_run(
            connection,
            contest_id=contest.id,
            folds_id=folds.id,
            name=name or recipe.name,
            recipe=recipe,
            fold_numbers=chosen,
            now=moment,
            is_taken=workspace.has_run,
        )
        # From now on the number is taken, whatever becomes of the database.
        workspace.run_dir(contest.folder, run_id).mkdir(parents=True)
        return run_id

    def add_with_seeds(connection: Connection, recipe: Recipe) -> int:
        there = runs_by_recipe(connection, contest_id=contest.id, folds_id=folds.id, fold_numbers=chosen)
        seeds: dict[int, bool] = {}
        for seed in recipe.train.seeds:
            part, suffix = recipe.with_seed(seed), f"-s{seed}"
            known = there.get(part.fingerprint)
            seeds[known.id if known else add(connection, part, recipe.name[: NAME_LENGTH - len(suffix)] + suffix)] = known is None
        run = add_seeds(connection, add(connection, recipe), seeds)
        for fold, (run_id, is_new) in product(chosen, seeds.items()):  # fold by fold: the first are whole early
            add_jobs(connection, run_id, (fold,) if is_new else (), now=moment, priority=priority)
        if not any(seeds.values()):
            _average(workspace, connection, contest, run)
        return run.id

    with workspace.store.transaction() as connection:
        for recipe in recipes:
            if recipe.train.n_seeds > 1:
                ids.append(add_with_seeds(connection, recipe))
            else:
                ids.append(add(connection, recipe))
                add_jobs(connection, ids[-1], chosen, now=moment, priority=priority)
    return tuple(get_run(workspace.store, run_id) for run_id in ids)


def launch_seeds(workspace: Workspace, run: Run, n_seeds: int) -> Run:
    """Queue the recipe of a run with `n_seeds` seeds in all, on the same folds; the seeds that the run has are taken, and the run stays.

    Raises StateError for a run that has as many already, was imported, or of which nothing could be taken; else as `launch_run`.
    """
    contest = get_contest(workspace.store, run.contest_id)
    if n_seeds <= len(run.parts):
        raise StateError("{run} has {n} {n:seed|seeds} already", where=run.ref, fix="ask for more", run=run.name, n=len(run.parts))
    problem, fix = "", "queue its recipe anew, with train.n_seeds={n}"
    if run.truth_id != contest.truth.id:
        problem = "it was trained on labels that were corrected since"
    elif run.chosen_by and run.recipe.average.chooses_by_metric:
        problem = "its best epochs were chosen by another metric"
    elif run.state in ("failed", "canceled"):
        problem, fix = "one of its folds failed or was canceled", "retry it first"
    if problem:
        raise StateError("{run} cannot get more seeds", where=run.ref, why=problem, fix=fix, run=run.name, n=n_seeds)
    values = run.recipe.to_dict()
    values["train"]["n_seeds"] = n_seeds
    name = run.recipe.name if run.seeds else run.name
    recipe = parse_settings(Recipe, {**values, "name": name}, where="train.n_seeds")
    return launch_run(workspace, contest, get_folds(workspace.store, run.folds_id), recipe, fold_numbers=run.fold_numbers)


def _average(workspace: Workspace, connection: Connection, contest: Contest, run: Run) -> None:
    """The folds of a run whose seeds were all there before it."""
    from core.contest.table import load_truth  # they need pandas, which the engine does without
    from core.predictions.seeds import average_seeds

    labels = load_truth(workspace, contest).labels
    for fold in run.fold_numbers:
        average_seeds(workspace, connection, contest, run, fold, labels)


def make_folds_of(workspace: Workspace, contest: Contest, read: ReadPlan) -> Folds | None:
    """The folds that a plan describes, made where they are not there yet; None where it describes none."""
    from core.folds import save_folds  # it needs pandas, which the engine does without

    return save_folds(workspace, contest, read.plan.folds) if read.plan.folds else None


def spec_of_folds(workspace: Workspace, folds: Folds) -> FoldsSpec:
    """The settings that folds were made with, from their manifest."""
    facts = load_manifest(workspace.absolute(folds.path)).facts
    return parse_settings(FoldsSpec, {name: facts[name] for name in FoldsSpec.model_fields if name in facts}, where=f"folds {folds.id}")


def launch_plan(
    workspace: Workspace, contest: Contest, folds: Folds, read: ReadPlan, *, fold_numbers: Sequence[int] | None = None
) -> tuple[Run, ...]:
    """Queue every run of a plan, or none; `fold_numbers` takes the place of the plan's own. Errors as of `launch_runs`."""
    runs = launch_runs(workspace, contest, folds, read.grid, fold_numbers=fold_numbers or read.plan.fold_numbers or None)
    keep_plan_weights(workspace, contest, read, runs)
    return runs


def launch_job(
    store: Store,
    *,
    kind: str,
    contest_id: int | None,
    run_id: int | None = None,
    payload: Mapping[str, Any] | None = None,
    priority: int = 0,
) -> Job:
    """Queue one job of a kind in `KINDS`, of a contest, of one of its runs, or of none yet; `payload` is what the kind needs to know, as JSON.

    Raises StateError for a kind that is not there.
    """
    check_kind(kind)
    with store.transaction() as connection:
        job_id = add_job(connection, kind=kind, contest_id=contest_id, run_id=run_id, payload=payload, priority=priority, now=time.time())
    return get_job(store, job_id)


def launch_registration(workspace: Workspace, spec: ContestSpec) -> Job:
    """Queue the registration of a contest. Raises StateError where a contest has that name, or one of it is being registered."""
    live = jobs.list_jobs(workspace.store, ("queued", "running"))
    if any(job.kind == jobs.REGISTER and job.payload["spec"]["name"] == spec.name for job in live):
        raise StateError("'{name}' is being registered", where=spec.name, fix="wait for it, or cancel it", name=spec.name)
    if spec.name in [contest.name for contest in list_contests(workspace.store)]:
        raise name_taken(spec.name)
    return launch_job(workspace.store, kind=jobs.REGISTER, contest_id=None, payload={"spec": spec.to_dict()})


def launch_pretraining(workspace: Workspace, contest: Contest, recipe: Recipe, *, files: Sequence[Path] = (), priority: int = 0) -> Job:
    """Queue the pretraining of a recipe's backbone over the texts of a contest, and the lines of text `files`, which are copied.

    Raises RecipeError as `check_pretraining`, and for columns that are not there, InputError as `read_lines`.
    """
    if contest.spec.modality != "text":
        recipe = recipe.model_copy(update={"modality": contest.spec.modality})  # refused, with what is wrong
    check_pretraining(recipe, workspace.weights_dir)
    if recipe.input.composes:
        _check_columns(workspace, contest, recipe)
    payload: dict[str, Any] = {"recipe": recipe.to_dict()}
    if more := read_lines(files):
        kept = workspace.contest_dir(contest.folder) / "pretraining" / f"texts-{fingerprint(more)[:12]}.json"
        kept.parent.mkdir(exist_ok=True)
        write_json(kept, more)
        payload["texts"] = workspace.relative(kept)
    return launch_job(workspace.store, kind=jobs.PRETRAIN, contest_id=contest.id, payload=payload, priority=priority)


def launch_prediction(
    workspace: Workspace,
    run: Run,
    *,
    text: str = "",
    files: Sequence[tuple[str, BinaryIO]] = (),
    at_once: bool = True,
    runtime: Runtime = "torch",
) -> Job:
    """Queue the prediction of a text, or of files by name, which are copied, or else of the test set, by the networks of a run.

    `at_once`: on the processor beside what trains; else in the order of the queue. ONNX Runtime predicts at once, after the export of what
    was not exported yet. Raises StateError for a run without a finished fold, InputError for a file that cannot be kept.
    """
    _check_networks(run)
    payload: dict[str, Any] = {"text": text} if text else {}
    if runtime != "torch":
        payload["runtime"] = runtime
        if list_exports(workspace, get_contest(workspace.store, run.contest_id), run, runtime) is None:
            launch_export(workspace, run, int8=runtime == "int8")
    if files:
        folder = workspace.run_dir(get_contest(workspace.store, run.contest_id).folder, run.id) / "given" / uuid.uuid4().hex[:12]
        payload = {"files": [workspace.relative(keep_upload(folder, name, stream)) for name, stream in files]}
    kind = jobs.PREDICT_NOW if at_once or runtime != "torch" else jobs.PREDICT
    return launch_job(workspace.store, kind=kind, contest_id=run.contest_id, run_id=run.id, payload=payload)


def launch_export(workspace: Workspace, run: Run, *, int8: bool = False) -> Job:
    """Queue the export of a run's networks to ONNX, or return the same export that waits or runs. Raises StateError as `launch_prediction`."""
    _check_networks(run)
    live = jobs.list_jobs(workspace.store, ("queued", "running"), run.id)
    same = [job for job in live if job.kind == jobs.EXPORT and job.payload["int8"] == int8]
    if same:
        return same[0]
    return launch_job(workspace.store, kind=jobs.EXPORT, contest_id=run.contest_id, run_id=run.id, payload={"int8": int8})


def _check_networks(run: Run) -> None:
    if not run.results:
        raise StateError(
            "{run} has no network yet", where=run.ref, why="none of its folds has finished", fix="wait for the first fold", run=run.name
        )


def launch_views(
    workspace: Workspace, run: Run, views: Sequence[str], *, member: str | None = None, batch: str | int = "trained", at_once: bool = False
) -> Job:
    """Queue the prediction of a run's out-of-fold rows in these views and the plain one, which they are compared with.

    With a name in `member` ("" chooses one) the test rows are predicted in these views too, and their mean becomes a run of that name. Raises
    InputError for a view that is not there or a contest of texts, StateError for a run without a finished fold.
    """
    from core.predictions.views import check_images, read_views  # they need numpy and pandas, which the engine does without

    check_images(get_contest(workspace.store, run.contest_id), run)
    payload = {"views": list(read_views(views)), "batch": batch} | ({} if member is None else {"member": member and check_name(member)})
    kind = jobs.PREDICT_NOW if at_once else jobs.PREDICT
    return launch_job(workspace.store, kind=kind, contest_id=run.contest_id, run_id=run.id, payload=payload)


def launch_probe(workspace: Workspace, run: Run, *, n_rows: int, at_once: bool = False) -> Job:
    """Queue a probe of a run under disturbances of its images (`core.analysis.probe`); errors as of `launch_views`."""
    from core.predictions.views import check_images

    check_images(get_contest(workspace.store, run.contest_id), run)
    kind = jobs.PREDICT_NOW if at_once else jobs.PREDICT
    return launch_job(workspace.store, kind=kind, contest_id=run.contest_id, run_id=run.id, payload={"probe": n_rows})


def check_launch(workspace: Workspace, contest: Contest, folds: Folds, recipe: Recipe, chosen: tuple[int, ...]) -> None:
    """Refuse what cannot be trained, before it is queued or tried; errors as of `launch_run`."""
    if recipe.modality != contest.spec.modality:
        raise RecipeError(
            "a recipe for {modality} cannot train on {contest}",
            where="modality",
            why=msg("the contest's rows are of the kind '{modality}'", modality=contest.spec.modality),
            fix=msg("choose a recipe for {modality}", modality=contest.spec.modality),
            modality=recipe.modality,
            contest=contest.name,
        )
    backbone_of(recipe, workspace.weights_dir)
    check_classes(recipe, contest.spec.classes, multilabel=contest.spec.is_multilabel)
    if recipe.input.composes:
        _check_columns(workspace, contest, recipe)
    if recipe.train.extra_rows:
        from core.contest.extra_rows import rows_of_recipe  # pandas again

        rows_of_recipe(workspace, contest, recipe)
    check_trackers(recipe.tracking.trackers)
    if folds.contest_id != contest.id:
        raise StateError(
            "these folds belong to another contest",
            where="folds {numbers}",
            why="they are not of {contest}",
            fix="make folds for this contest",
            numbers=folds.id,
            contest=contest.name,
        )
    unknown = [fold for fold in chosen if not 0 <= fold < folds.n_folds]
    if unknown or not chosen:
        raise RecipeError(
            "there is no such fold" if unknown else "no fold was chosen",
            where="fold_numbers",
            why=msg("{folds} is not among 0 to {last}", folds=", ".join(map(str, unknown)), last=folds.n_folds - 1)
            if unknown
            else "a run trains one fold or more",
            fix="choose from 0 to {last}",
            last=folds.n_folds - 1,
        )


def _check_columns(workspace: Workspace, contest: Contest, recipe: Recipe) -> None:
    from core.contest.table import text_columns  # pandas again
    from core.data.compose import check_columns

    check_columns(recipe.input, text_columns(workspace, contest))
