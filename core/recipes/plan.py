"""Plan files: read with every problem at once, written as a person would write them, and their weights kept for the blend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import count
from pathlib import Path
from typing import Any, cast

import yaml

from core.base.errors import InputError, PitwallError, RecipeError
from core.base.files import write_json
from core.base.messages import joined, msg, reason
from core.base.settings import Settings, load_yaml, settings_error, try_changes, try_settings
from core.recipes.grid import make_grid
from core.recipes.presets import load_preset
from core.specs.plan import Plan, PlanRecipe
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.runs import Run
from core.training.backbone import backbone_of
from core.workspace import Workspace


@dataclass(frozen=True)
class ReadPlan:
    """A plan with its recipes, in the order of its entries, presets read and settings changed."""

    plan: Plan
    recipes: tuple[Recipe, ...]

    @classmethod
    def of(cls, recipes: Sequence[Recipe], seeds: Sequence[int] = (), *, name: str = "plan", weights: Sequence[float] = ()) -> ReadPlan:
        """A plan of these recipes, which become a grid; without weights none has one. Errors as of `make_grid`."""
        entries = tuple(
            PlanRecipe(recipe=recipe, weight=weight) for recipe, weight in zip(recipes, weights or [None] * len(recipes), strict=True)
        )
        make_grid(recipes, seeds)
        return cls(Plan(name=name, recipes=entries, seeds=tuple(seeds)), tuple(recipes))

    @property
    def grid(self) -> tuple[Recipe, ...]:
        """The recipes of its runs, seed by seed."""
        return make_grid(self.recipes, self.plan.seeds)

    @property
    def run_weights(self) -> tuple[float, ...]:
        """The weight of each run of the grid, sums to one; empty where the plan gives none."""
        weights = [entry.weight for entry in self.plan.recipes if entry.weight is not None]
        n_seeds = max(1, len(set(self.plan.seeds)))
        return tuple(weight / sum(weights) / n_seeds for weight in weights) * n_seeds


@dataclass(frozen=True)
class PlanWeights:
    """What a plan says about the blend of its runs: a weight by run id."""

    name: str
    folds_id: int
    weights: Mapping[int, float]


def load_plan(path: Path, modality: str) -> ReadPlan:
    """Read a plan file for a contest of "image" or "text" rows; errors as of `parse_plan`."""
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise RecipeError(
            msg("cannot read {file}", file=path.name), where=str(path), why=reason(problem), fix="give the path of a UTF-8 YAML file"
        ) from None
    return parse_plan(raw, modality, where=str(path))


def parse_plan(raw: bytes, modality: str, *, where: str) -> ReadPlan:
    """Read the bytes of a plan file. One RecipeError tells every field that cannot be used, with its value and the fix."""
    values = _values_of(raw, where)
    plan, problems = try_settings(Plan, values)
    recipes: list[Recipe] = []
    entries = values.get("recipes")
    for number, entry in enumerate(cast("list[Any]", entries) if isinstance(entries, list) else []):
        recipe, found = _recipe_of(entry, modality)
        problems += [joined("", (f"recipes.{number}.", problem)) for problem in found]
        recipes += [recipe] if recipe else []
    if plan is None or problems:
        raise settings_error(problems, where=where)
    make_grid(recipes, plan.seeds)
    return ReadPlan(plan, tuple(recipes))


def plan_text(plan: Plan) -> str:
    """A plan as YAML, without what is at its default."""
    entries = [
        {
            **({"preset": entry.preset} if entry.preset else {}),
            **({"recipe": _changed(entry.recipe, keep=("name", "modality"))} if entry.recipe else {}),
            **({"set": dict(entry.set)} if entry.set else {}),
            **({"weight": entry.weight} if entry.weight is not None else {}),
        }
        for entry in plan.recipes
    ]
    values = {
        "name": plan.name,
        "recipes": entries,
        **({"seeds": list(plan.seeds)} if plan.seeds else {}),
        **({"folds": _changed(plan.folds, keep=("kind", "n_folds", "seed"))} if plan.folds else {}),
        **({"fold_numbers": list(plan.fold_numbers)} if plan.fold_numbers else {}),
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def keep_plan_weights(workspace: Workspace, contest: Contest, read: ReadPlan, runs: Sequence[Run]) -> None:
    """Write the weights of a plan's runs, in the order of its grid, to a file of the contest; nothing where the plan gives none."""
    if read.run_weights:
        folder = _weights_folder(workspace, contest)
        folder.mkdir(exist_ok=True)
        taken = {path.stem for path in folder.glob("*.json")}
        names = (read.plan.name if number == 1 else f"{read.plan.name}-{number}" for number in count(1))
        name = next(name for name in names if name not in taken)
        weights = {str(run.id): weight for run, weight in zip(runs, read.run_weights, strict=True)}
        write_json(folder / f"{name}.json", {"folds": runs[0].folds_id, "weights": weights})


def list_plan_weights(workspace: Workspace, contest: Contest) -> tuple[PlanWeights, ...]:
    """The weights of the plans that were queued, the newest first; InputError for a file that somebody changed into something else."""
    found: list[PlanWeights] = []
    for path in _weights_folder(workspace, contest).glob("*.json"):
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            weights = {int(run): float(weight) for run, weight in raw["weights"].items()}
            found.append(PlanWeights(path.stem, int(raw["folds"]), weights))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise InputError("the weights of a plan cannot be read", where=str(path), why=reason(problem), fix="delete that file") from None
    return tuple(sorted(found, key=lambda one: max(one.weights), reverse=True))


def _weights_folder(workspace: Workspace, contest: Contest) -> Path:
    return workspace.contest_dir(contest.name) / "plans"


def _values_of(raw: bytes, where: str) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise RecipeError(
            msg("cannot read {file}", file=Path(where).name),
            where=where,
            why=reason(problem),
            fix="give the path of a UTF-8 YAML file",
        ) from None
    values = load_yaml(text, where=where, error=RecipeError)
    if not isinstance(values, dict):
        raise RecipeError(
            msg("{file} holds no settings", file=Path(where).name),
            where=where,
            why="expected `field: value` lines",
            fix="start from the plan in docs/cli.md",
        )
    return cast("dict[str, Any]", values)


def _recipe_of(entry: Any, modality: str) -> tuple[Recipe | None, list[str]]:
    """The recipe of a plan's entry, and what is wrong with its preset, its changes and its backbone; what `Plan` finds is left out."""
    if not isinstance(entry, dict):
        return None, []
    given = cast("dict[str, Any]", entry)
    recipe: Recipe | None = None
    if given.get("preset") and isinstance(given["preset"], str):
        try:
            recipe = load_preset(given["preset"])
        except PitwallError as problem:
            return None, [msg("{field}: {problem}", field="preset", problem=joined("; ", (problem.what, problem.why)))]
    elif isinstance(given.get("recipe"), dict):
        recipe, _ = try_settings(Recipe, cast("dict[str, Any]", given["recipe"]))
    if recipe is None:
        return None, []
    changes = given.get("set")
    if isinstance(changes, dict):
        recipe, problems = try_changes(recipe, {str(path): value for path, value in cast("dict[Any, Any]", changes).items()})
        if recipe is None:
            return None, [joined("", ("set.", problem)) for problem in problems]
    if recipe.modality != modality:
        why = "the contest's rows are images" if modality == "image" else "the contest's rows are texts"
        return recipe, [msg("{field} = {value}: {problem}", field="modality", value=repr(recipe.modality), problem=why)]
    try:
        backbone_of(recipe)
    except RecipeError as problem:
        return recipe, [msg("{field}: {problem}", field=problem.where, problem=joined("; ", (problem.what, problem.fix)))]
    return recipe, []


def _changed(settings: Settings, *, keep: Sequence[str]) -> dict[str, Any]:
    """Nested plain values: those of `keep`, and those that differ from their default."""
    values = settings.to_dict()
    for path, field, value in settings.leaves():
        *sections, name = path.split(".")
        target = reduce(lambda inner, section: inner[section], sections, values)
        if path not in keep and value == field.get_default(call_default_factory=True):
            del target[name]
    return {name: value for name, value in values.items() if value != {}}
