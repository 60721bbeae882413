"""Runs: a recipe over folds, with its jobs, results and epochs. A run's state is what its jobs are; it is stored nowhere.

An imported run is one that was trained elsewhere: it has results and no recipe, jobs or epochs. So has a run that predicts by the networks
of another run in other views, but for its recipe. A run of several seeds is the mean of runs of one seed each: its jobs are theirs, and it has
a result for each fold that all of them have finished.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, false, func, or_, select, update

from core.base.errors import InputError, NotFoundError, StateError
from core.base.names import check_name, unused_name
from core.specs.kept import ImportOrigin, PretrainedOn
from core.specs.recipe import Recipe
from core.store import tables
from core.store.contests import current_truths
from core.store.database import Store
from core.store.digests import check_live, insert_row, is_live, raw_columns, read_row, read_rows, update_row, values_of
from core.store.jobs import FOLD, RAW, FoldJob, JobState, job_of

MOST_ID = 2**63 - 1
"""The largest number that SQLite keeps."""


class _Named(Protocol):
    @property
    def ref(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


@dataclass(frozen=True)
class FoldResult:
    """What one fold ended with: `scores` by metric name, `path` the published artefact, relative to the workspace."""

    run_id: int
    fold: int
    token: int
    path: str
    fingerprint: str
    scores: dict[str, float]
    best_epoch: int
    n_epochs: int
    elapsed_s: float
    facts: dict[str, Any]
    created_at: float


@dataclass(frozen=True)
class EpochRow:
    """One epoch of one attempt at a fold; a loss that was not finite is NaN. `train_log_loss` and `train_accuracy` are None where they were not recorded."""

    run_id: int
    fold: int
    token: int
    epoch: int
    train_loss: float
    valid_loss: float
    scores: dict[str, float]
    lr: float
    elapsed_s: float
    train_log_loss: float | None = None
    train_accuracy: float | None = None


@dataclass(frozen=True)
class Run:
    """A recipe over the folds `fold_numbers`, as it stood when it was read; `jobs` are those that train it. Nothing takes the waiting jobs of a paused one.

    `truth_id` is the version of the truth that it is trained on, and that the scores of its results are of.
    `chosen_by` is the metric that its best epochs are chosen by, where that is not the contest's any more; `note` what a person wrote.
    `imported` says where a run's predictions came from when no job of it trained; else it is None. `seeds` are the runs that a run of several
    seeds is the mean of, one for each; `is_seed`: it was made as one of those, and is listed with the run that it belongs to.
    """

    id: int
    contest_id: int
    folds_id: int
    name: str
    own_recipe: Recipe | None
    fold_numbers: tuple[int, ...]
    created_at: float
    jobs: tuple[FoldJob, ...]
    results: tuple[FoldResult, ...]
    is_paused: bool
    truth_id: int
    imported: ImportOrigin | None = None
    note: str | None = None
    chosen_by: str | None = None
    seeds: tuple["Run", ...] = ()
    is_seed: bool = False

    @property
    def recipe(self) -> Recipe:
        """What the run was trained with. Raises StateError for an imported run, which has none."""
        if self.own_recipe is None:
            raise StateError(
                "{run} has no recipe",
                where=self.ref,
                why="its predictions were imported, not trained here",
                fix="choose a run that was trained here",
                run=self.name,
            )
        return self.own_recipe

    @property
    def is_imported(self) -> bool:
        """The predictions came from elsewhere."""
        return self.imported is not None

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"r{self.id}"

    @cached_property
    def state(self) -> JobState:
        """The first of running, queued, failed, canceled that any job is in, else done."""
        states = {job.state for job in self.jobs}
        order: tuple[JobState, ...] = ("running", "queued", "failed", "canceled", "done")
        return next(state for state in order if state in states or state == "done")

    @property
    def is_complete(self) -> bool:
        """Every fold of the run has a result."""
        return {result.fold for result in self.results} >= set(self.fold_numbers)

    @property
    def parts(self) -> tuple["Run", ...]:
        """The runs that are trained for it: one for each of several seeds, else itself."""
        return self.seeds or (self,)

    @property
    def pretrained_on(self) -> PretrainedOn | None:
        """The pretraining on texts of the contest that its weights began with, also by way of a run that it started from."""
        facts = (result.facts for part in self.parts for result in part.results)
        return next((PretrainedOn.model_validate(each["pretrained_on"]) for each in facts if "pretrained_on" in each), None)

    @property
    def elapsed_s(self) -> float:
        """Seconds of training behind the finished folds, of every seed."""
        return sum(result.elapsed_s for part in self.parts for result in part.results)

    def fold_scores(self, metric: str) -> dict[int, float]:
        """The score of each finished fold."""
        return {result.fold: result.scores[metric] for result in self.results}

    def cv_score(self, metric: str) -> float | None:
        """The mean over the finished folds; None before the first."""
        scores = self.fold_scores(metric)
        return statistics.fmean(scores.values()) if scores else None

    def cv_sd(self, metric: str) -> float | None:
        """The sample standard deviation over the finished folds; None below two."""
        return _sample_sd(tuple(self.fold_scores(metric).values()))

    def seed_scores(self, metric: str) -> tuple[float, ...]:
        """The CV score of each of several seeds alone, over the folds that all of them have finished; empty before the first of those."""
        done = [result.fold for result in self.results]
        by_seed = [seed.fold_scores(metric) for seed in self.seeds]
        return tuple(statistics.fmean(scores[fold] for fold in done) for scores in by_seed) if done else ()

    def seed_sd(self, metric: str) -> float | None:
        """The noise of a retraining: the sample standard deviation of the CV scores of single seeds; None for one seed."""
        return _sample_sd(self.seed_scores(metric))


def _sample_sd(scores: Sequence[float]) -> float | None:
    mean = statistics.fmean(scores) if scores else 0.0  # statistics.stdev is exact in fractions, and 20 times as slow
    return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) if len(scores) > 1 else None


@lru_cache(maxsize=1024)
def _recipe(text: str) -> Recipe:
    return Recipe.model_validate(json.loads(text))


@lru_cache(maxsize=2048)
def _own_values(values: tuple[Any, ...]) -> Mapping[str, Any]:
    """The values of a run's own row, never changed; the key is the whole row."""
    return read_row(tables.runs, values)


@lru_cache(maxsize=8192)
def _result(values: tuple[Any, ...]) -> FoldResult:
    """A result never changes once it is there; as with jobs, the key is the whole row."""
    return FoldResult(**read_row(tables.fold_results, values))


def add_run(
    connection: Connection,
    *,
    contest_id: int,
    folds_id: int,
    name: str,
    recipe: Recipe,
    fold_numbers: Iterable[int],
    now: float,
    is_taken: Callable[[int], bool] = lambda _: False,
) -> int:
    """Insert a run on the contest's current truth inside the caller's transaction (the queue adds its jobs there) and return its id.

    A name that is taken gets a number. An id that `is_taken` is passed over: files may have the number of a run that a database which was
    put back does not know.
    Raises StateError when the folds were deleted meanwhile.
    """
    check_live(connection, tables.folds, [folds_id])
    values = {
        "contest_id": contest_id,
        "folds_id": folds_id,
        "name": free_name(connection, tables.runs, contest_id, name),
        "recipe": recipe.model_dump_json(),
        "fold_numbers": list(fold_numbers),
        "created_at": now,
        "truth_id": current_truths(connection, [contest_id])[contest_id].id,
    }
    while is_taken(run_id := insert_row(connection, tables.runs, values).id):
        connection.execute(delete(tables.runs).where(tables.runs.c.id == run_id))
    return run_id


def add_seeds(connection: Connection, run_id: int, seeds: Mapping[int, bool]) -> Run:
    """Make a run the mean of other runs, inside the caller's transaction; `seeds` says of each by its id whether it was made for this one."""
    for seed_run_id, is_own in seeds.items():
        insert_row(connection, tables.seed_runs, {"run_id": run_id, "seed_run_id": seed_run_id, "is_own": is_own})
    return _read_runs(connection, None, tables.runs.c.id == run_id)[0]


def runs_by_recipe(connection: Connection, *, contest_id: int, folds_id: int, fold_numbers: Iterable[int]) -> dict[str, Run]:
    """The runs on a contest's current truth that have trained these folds or are about to, by the fingerprint of their recipe.

    Of equal ones the oldest; none that failed or was canceled, or that has several seeds.
    """
    runs, truth_id, wanted = tables.runs.c, current_truths(connection, [contest_id])[contest_id].id, set(fold_numbers)
    return {
        run.recipe.fingerprint: run
        for run in _read_runs(connection, contest_id, runs.folds_id == folds_id, runs.truth_id == truth_id)
        if not run.is_imported and not run.seeds and run.state not in ("failed", "canceled") and wanted <= set(run.fold_numbers)
        if not (run.chosen_by and run.recipe.average.chooses_by_metric)
    }


def runs_of_seed(connection: Connection, run_id: int) -> tuple[Run, ...]:
    """The runs of several seeds that a run is one of, also those in the trash, which may come back."""
    links = tables.seed_runs.c
    of_it = select(links.run_id).where(links.seed_run_id == run_id)
    return _read_runs(connection, None, tables.runs.c.id.in_(of_it), with_trash=True)


def add_imported_run(
    store: Store,
    *,
    contest_id: int,
    folds_id: int,
    truth_id: int,
    name: str,
    origin: ImportOrigin,
    results: Iterable[FoldResult],
    now: float,
) -> Run:
    """Add a run that was trained elsewhere with its results, all in one transaction; the results' `run_id` is set here."""
    with store.transaction() as connection:
        run_id = insert_imported_run(
            connection,
            contest_id=contest_id,
            folds_id=folds_id,
            truth_id=truth_id,
            name=name,
            origin=origin,
            results=tuple(results),
            now=now,
        )
        return _read_runs(connection, contest_id, tables.runs.c.id == run_id)[0]


def insert_imported_run(
    connection: Connection,
    *,
    contest_id: int,
    folds_id: int,
    truth_id: int,
    name: str,
    origin: ImportOrigin,
    results: Sequence[FoldResult],
    now: float,
    recipe: Recipe | None = None,
) -> int:
    """`add_imported_run` inside the caller's transaction; returns its id. `recipe` is what its networks were trained with, where they were
    trained here."""
    check_live(connection, tables.folds, [folds_id])
    values = {
        "contest_id": contest_id,
        "folds_id": folds_id,
        "name": free_name(connection, tables.runs, contest_id, name),
        "recipe": "" if recipe is None else recipe.model_dump_json(),
        "fold_numbers": [result.fold for result in results],
        "created_at": now,
        "imported": origin.to_dict(),
        "truth_id": truth_id,
    }
    run_id = insert_row(connection, tables.runs, values).id
    for result in results:
        insert_row(connection, tables.fold_results, {**values_of(tables.fold_results, result), "run_id": run_id})
    return run_id


def add_result(connection: Connection, result: FoldResult) -> None:
    """Record the result of a fold inside the caller's transaction, the one that ends its job."""
    insert_row(connection, tables.fold_results, values_of(tables.fold_results, result))


def rename_run(store: Store, run_id: int, name: str) -> Run:
    """Give a run another name. Raises InputError for what cannot be a name, StateError when another run of the contest has it."""
    with store.transaction() as connection:
        rename(connection, tables.runs, run_id, name)
    return get_run(store, run_id)


def note_run(store: Store, run_id: int, note: str) -> Run:
    """Keep a person's note on a run; empty for none."""
    with store.transaction() as connection:
        connection.execute(update(tables.runs).where(tables.runs.c.id == run_id).values(note=note.strip() or None))
    return get_run(store, run_id)


def rename(connection: Connection, table: Table, number: int, name: str) -> None:
    """Give a run or a blend another name, unique in its contest, inside the caller's transaction."""
    name, thing = check_name(name), table.name.removesuffix("s")
    contest_id = connection.execute(select(table.c.contest_id).where(table.c.id == number)).scalar()
    taken = connection.execute(select(table.c.id).where(table.c.contest_id == contest_id, table.c.name == name)).scalar()
    if taken not in (None, number):
        raise StateError(
            {"run": "there is already a run named '{name}'", "blend": "there is already a blend named '{name}'"}[thing],
            where="name",
            why="it is {ref}, and a name is unique in a contest",
            fix="choose another name",
            name=name,
            ref=f"{thing[0]}{taken}",
        )
    update_row(connection, table, number, {"name": name})


def free_name(connection: Connection, table: Table, contest_id: int, name: str) -> str:
    """`name`, or name-2, name-3 and so on when the contest has that run or blend already."""
    return unused_name(name, connection.execute(select(table.c.name).where(table.c.contest_id == contest_id)).scalars())


def named(table: Table, ref: str | int) -> ColumnElement[bool]:
    """A condition: a run or a blend has that id (int), reference (such as "r12") or name."""
    if isinstance(ref, int):
        return table.c.id == ref
    digits = ref.removeprefix(table.name[0])
    is_number = digits != ref and digits.isascii() and digits.isdigit() and len(digits) <= len(str(MOST_ID)) and int(digits) <= MOST_ID
    return (table.c.name == ref) | (table.c.id == int(digits) if is_number else false())


def only(connection: Connection, table: Table, found: Sequence[Named], ref: str | int, contest_id: int | None) -> Named:
    """The run or blend of all that are `named`, of several the one whose reference it is.

    Raises NotFoundError listing what is there, InputError when a name is that of several.
    """
    thing = table.name.removesuffix("s")
    exactly = [each for each in found if each.ref == ref]
    if len(found) > 1 and not exactly:
        raise InputError(
            {"run": "several runs are named '{name}'", "blend": "several blends are named '{name}'"}[thing],
            where=thing,
            why="they are {names}",
            fix="use the reference instead of the name",
            name=ref,
            names=", ".join(each.ref for each in found),
        )
    if not found:
        of_contest = () if contest_id is None else (table.c.contest_id == contest_id,)
        known = connection.execute(select(table.c.id, table.c.name).where(*of_contest, *is_live(table)).order_by(table.c.id.desc()))
        raise NotFoundError.among(thing, str(ref), (f"{thing[0]}{row.id} ({row.name})" for row in known))
    return (exactly or found)[0]


def unique_run_name(store: Store, contest_id: int, name: str) -> str:
    """The name a run launched now under `name` would get."""
    with store.read() as connection:
        return free_name(connection, tables.runs, contest_id, name)


def get_run(store: Store, ref: str | int, contest_id: int | None = None) -> Run:
    """The run of that id (int), reference ("r12") or name, of one contest where given.

    Raises NotFoundError listing what is there, InputError when a name is that of runs in several contests.
    """
    with store.read() as connection:
        return only(connection, tables.runs, _read_runs(connection, contest_id, named(tables.runs, ref)), ref, contest_id)


def list_runs(store: Store, contest_id: int | None = None) -> tuple[Run, ...]:
    """All runs, or those of one contest, newest first. A run that was made as a seed of another is in the `seeds` of that one alone."""
    with store.read() as connection:
        return tuple(run for run in _read_runs(connection, contest_id) if not run.is_seed)


def list_epochs(store: Store, run_id: int) -> tuple[EpochRow, ...]:
    """The epochs of a run by fold and epoch: for each fold those of the attempt that won, else of the latest."""
    return list_epochs_of(store, [run_id])[run_id]


def list_epochs_of(store: Store, run_ids: Sequence[int]) -> dict[int, tuple[EpochRow, ...]]:
    """The same of several runs in one query, by run id."""
    epochs, results, jobs = tables.epochs.c, tables.fold_results.c, tables.jobs.c
    query = (
        select(*raw_columns(tables.epochs))
        .join(tables.jobs, and_(jobs.run_id == epochs.run_id, jobs.fold == epochs.fold))
        .outerjoin(tables.fold_results, and_(results.run_id == epochs.run_id, results.fold == epochs.fold))
        .where(epochs.run_id.in_(run_ids), epochs.token == func.coalesce(results.token, jobs.token))
        .order_by(epochs.fold, epochs.epoch)
    )
    with store.read() as connection:
        rows = [read_row(tables.epochs, row) for row in connection.execute(query)]
    for row in rows:  # SQLite keeps NaN as NULL.
        row |= {loss: math.nan for loss in ("train_loss", "valid_loss") if row[loss] is None}
    found: dict[int, list[EpochRow]] = {run_id: [] for run_id in run_ids}
    for row in rows:
        found[row["run_id"]].append(EpochRow(**row))
    return {run_id: tuple(mine) for run_id, mine in found.items()}


def _read_runs(connection: Connection, contest_id: int | None, *where: ColumnElement[bool], with_trash: bool = False) -> tuple[Run, ...]:
    conditions = where if contest_id is None else (*where, tables.runs.c.contest_id == contest_id)
    links, asked = tables.seed_runs.c, select(tables.runs.c.id).where(*conditions)
    ids = asked.union(select(links.seed_run_id).where(links.run_id.in_(asked)))
    jobs: defaultdict[int, list[FoldJob]] = defaultdict(list)
    trained = select(*RAW).where(tables.jobs.c.run_id.in_(ids), tables.jobs.c.kind == FOLD)
    for row in connection.execute(trained.order_by(tables.jobs.c.fold)):
        if isinstance(job := job_of(row), FoldJob):
            jobs[job.run_id].append(job)
    results: defaultdict[int, list[FoldResult]] = defaultdict(list)
    finished = select(*raw_columns(tables.fold_results)).where(tables.fold_results.c.run_id.in_(ids))
    for row in connection.execute(finished.order_by(tables.fold_results.c.fold)):
        results[row.run_id].append(_result(tuple(row)))
    linked = read_rows(connection, tables.seed_runs, or_(links.run_id.in_(ids), links.seed_run_id.in_(ids)))
    own = {link["seed_run_id"] for link in linked if link["is_own"]}
    live = () if with_trash else is_live(tables.runs)
    query = select(*raw_columns(tables.runs), tables.runs.c.id.in_(asked)).where(tables.runs.c.id.in_(ids), *live)
    found: dict[int, Run] = {}
    chosen: list[int] = []
    for *values, is_asked in connection.execute(query.order_by(tables.runs.c.id.desc())):
        run_id = values[0]
        found[run_id] = _run(_own_values(tuple(values)), jobs[run_id], results[run_id], is_seed=run_id in own)
        chosen += [run_id] if is_asked else []
    for run_id in {link["run_id"] for link in linked} & found.keys():
        seeds = [found[link["seed_run_id"]] for link in linked if link["run_id"] == run_id and link["seed_run_id"] in found]
        seeds.sort(key=lambda run: run.recipe.train.seed)
        of_all = sorted((job for seed in seeds for job in seed.jobs), key=lambda job: job.fold)
        found[run_id] = replace(found[run_id], seeds=tuple(seeds), jobs=tuple(of_all))
    return tuple(found[run_id] for run_id in chosen)


def _run(values: Mapping[str, Any], jobs: Iterable[FoldJob], results: Iterable[FoldResult], *, is_seed: bool) -> Run:
    recipe, fold_numbers, origin = (values[name] for name in ("recipe", "fold_numbers", "imported"))
    return Run(
        own_recipe=_recipe(recipe) if recipe else None,
        fold_numbers=tuple(fold_numbers),
        jobs=tuple(jobs),
        results=tuple(results),
        imported=origin and ImportOrigin.model_validate(origin),
        is_seed=is_seed,
        **{name: value for name, value in values.items() if name not in ("recipe", "fold_numbers", "imported")},
    )
