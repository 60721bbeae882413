"""What a person queues: the catalogue of backbones, presets, grids of recipes and seeds, and plan files, read with every problem at once."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self, cast

import yaml

from core.base.errors import InputError, NotFoundError, PitwallError, RecipeError
from core.base.files import write_json
from core.base.messages import joined, msg, reason
from core.base.names import NAME_LENGTH, unused_file_name, unused_name
from core.base.settings import apply_sets, load_settings, settings_error, try_changes, try_settings, yaml_settings
from core.specs.plan import Plan, PlanRecipe
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.runs import Run
from core.training.task import backbone_of
from core.workspace import Workspace
from models.catalog import OPEN_LICENCES, Backbone as Backbone, load_catalog
from models.local import any_backbone as any_backbone, local_backbones
from models.weights import Place, where_are_weights

PRESETS_DIR = Path(__file__).parents[2] / "models" / "presets"
PLANS_DIR = PRESETS_DIR.with_name("plans")
OPEN = "open"
"""In place of one licence: any that everybody may use commercially and build on."""


def list_presets(modality: str | None = None) -> tuple[str, ...]:
    """The names of all presets, or of those for "image" or "text", sorted."""
    names = sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))
    return tuple(name for name in names if modality is None or load_preset(name).modality == modality)


@cache
def load_preset(name: str) -> Recipe:
    """Read one preset. NotFoundError lists the names there are."""
    known = {path.stem: path for path in PRESETS_DIR.glob("*.yaml")}
    if name not in known:
        raise NotFoundError.among("preset", name, known)
    return load_settings(Recipe, known[name])


MAX_RUNS = 200
MAX_SEED = 2**31 - 1


def parse_seeds(text: str, *, where: str = "seeds") -> tuple[int, ...]:
    """The seeds of `0,1,2`, of `0-4` or of both, each once; none of an empty text. Raises InputError."""
    seeds: dict[int, None] = {}
    parts = [part for piece in re.split(r"[,\uff0c\u3001]", text) for part in re.sub(r"\s*[-~\u2013]\s*", "-", piece).split()]
    for part in parts:
        found = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last <= MAX_SEED or last - first >= MAX_RUNS:
            raise InputError(
                "'{part}' is no seed and no range of seeds",
                where=where,
                why="a seed is a whole number from 0 to {last}, a range holds at most {most}",
                fix="write 0,1,2 or 0-4",
                part=part[:40],
                last=MAX_SEED,
                most=MAX_RUNS,
            )
        seeds |= dict.fromkeys(range(first, last + 1))
    return tuple(seeds)


def make_grid(recipes: Sequence[Recipe], seeds: Sequence[int] = ()) -> tuple[Recipe, ...]:
    """Every recipe with every seed, seed by seed, so that the first folds of all recipes can be compared early.

    Runs of one recipe are named after it and what differs between them: `digits-s0`, `digits-s1`, `digits-lr0.01`. Without
    seeds every recipe keeps its own. Raises RecipeError for a grid that is empty, too large, or holds one training twice.
    """
    chosen = tuple(dict.fromkeys(seeds))
    n_runs = len(recipes) * (len(chosen) or 1)
    if not 0 < n_runs <= MAX_RUNS:
        raise RecipeError(
            "a grid of {n} runs cannot be queued",
            where="grid",
            why="it holds 1 to {most}",
            fix="name fewer recipes or seeds" if n_runs else "name at least one recipe",
            n=n_runs,
            most=MAX_RUNS,
        )
    cells = [apply_sets(recipe, [f"train.seed={seed}"], where="seeds") for seed in chosen for recipe in recipes] or list(recipes)
    seen: dict[str, Recipe] = {}
    for cell in cells:
        first = seen.setdefault(cell.fingerprint, cell)
        if first is not cell:
            raise RecipeError(
                "the grid holds the same training twice",
                where="grid",
                why="every setting of {one} and {other} is equal",
                fix="leave one of them out",
                one=first.name,
                other=cell.name,
            )
    return tuple(cell.model_copy(update={"name": name}) for cell, name in zip(cells, _names(cells), strict=True))


def _names(cells: Sequence[Recipe]) -> list[str]:
    """Each recipe's name, followed by the settings in which it differs from recipes of the same name."""
    leaves = [{path: value for path, _, value in cell.leaves() if path != "name"} for cell in cells]
    known: defaultdict[tuple[str, str], dict[str, object]] = defaultdict(dict)
    for cell, mine in zip(cells, leaves, strict=True):
        for path, value in mine.items():
            known[cell.name, path][repr(value)] = value
    names: list[str] = []
    for cell, mine in zip(cells, leaves, strict=True):
        suffix = ""
        for path, value in mine.items():
            values = known[cell.name, path].values()
            if len(values) > 1:
                is_short = len({_text(path, each, short=True) for each in values}) == len(values)
                suffix += "-" + _text(path, value, short=is_short)
        names.append(cell.name[: max(1, NAME_LENGTH - len(suffix))] + suffix[: NAME_LENGTH - 1])
    return names


def _text(path: str, value: object, *, short: bool) -> str:
    """A setting as part of a name: `s1` for a seed, `lr0.01`, and for a text the text alone, without its tag when `short`."""
    if isinstance(value, str):
        text = value.rpartition("/")[2].partition(".")[0] if short else value
    else:
        name = "s" if path == "train.seed" else path.rpartition(".")[2]
        text = f"{name}{value:g}" if isinstance(value, float) else f"{name}{value}"
    return "".join(char if char.isalnum() or char in ".-_" else "-" for char in text)


@dataclass(frozen=True)
class ReadPlan:
    """A plan with its recipes, in the order of its entries, presets read and settings changed."""

    plan: Plan
    recipes: tuple[Recipe, ...]

    @classmethod
    def of(cls, recipes: Sequence[Recipe], seeds: Sequence[int] = (), *, name: str = "plan", weights: Sequence[float] = ()) -> Self:
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


def load_plan(path: Path, modality: str, weights_dir: Path) -> ReadPlan:
    """Read a plan file, or the plan of `list_plans` that has this name, for a contest of "image" or "text" rows; errors as of `parse_plan`."""
    shipped = PLANS_DIR / f"{path}.yaml"
    return parse_plan(shipped if str(path) in list_plans() and not path.exists() else path, modality, weights_dir, where=str(path))


@cache
def list_plans(modality: str | None = None) -> tuple[str, ...]:
    """The names of the plans that come with Pitwall, all of them or those for "image" or "text", sorted."""
    names = sorted(path.stem for path in PLANS_DIR.glob("*.yaml"))
    return tuple(name for name in names if modality is None or _modality_of(PLANS_DIR / f"{name}.yaml") == modality)


def _modality_of(path: Path) -> str:
    """What the recipes of a shipped plan are for: that of its first preset."""
    return load_preset(load_settings(Plan, path).recipes[0].preset).modality


def parse_plan(source: Path | bytes, modality: str, weights_dir: Path, *, where: str) -> ReadPlan:
    """Read a plan file, or its bytes. One RecipeError names every field that cannot be used, with its value and the fix."""
    values = yaml_settings(source, where=where, start="start from the plan in docs/cli.md")
    plan, problems = try_settings(Plan, values)
    recipes: list[Recipe] = []
    entries = values.get("recipes")
    for number, entry in enumerate(cast("list[Any]", entries) if isinstance(entries, list) else []):
        recipe, found = _recipe_of(entry, modality, weights_dir)
        problems += [joined("", (f"recipes.{number}.", problem)) for problem in found]
        recipes += [recipe] if recipe else []
    if plan is None or problems:
        raise settings_error(problems, where=where)
    make_grid(recipes, plan.seeds)
    return ReadPlan(plan, tuple(recipes))


def plan_text(plan: Plan) -> str:
    """A plan as YAML, without what is at its default."""
    values: dict[str, Any] = {"name": plan.name, **plan.model_dump(mode="json", exclude_defaults=True)}
    for entry, written in zip(plan.recipes, values["recipes"], strict=True):
        if entry.recipe is not None:
            written["recipe"] = {"name": entry.recipe.name, "modality": entry.recipe.modality, **written["recipe"]}
    if plan.folds is not None:
        values["folds"] = {"kind": plan.folds.kind, "n_folds": plan.folds.n_folds, "seed": plan.folds.seed, **values["folds"]}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def keep_plan_weights(workspace: Workspace, contest: Contest, read: ReadPlan, runs: Sequence[Run]) -> None:
    """Write the weights of a plan's runs, in the order of its grid, to a file of the contest; nothing where the plan gives none."""
    if read.run_weights:
        folder = _weights_folder(workspace, contest)
        folder.mkdir(exist_ok=True)
        taken = {path.stem for path in folder.glob("*.json")}
        weights = {str(run.id): weight for run, weight in zip(runs, read.run_weights, strict=True)}
        content = {"name": unused_name(read.plan.name, {plan.name for plan in list_plan_weights(workspace, contest)})}
        write_json(folder / f"{unused_file_name(read.plan.name, taken)}.json", content | {"folds": runs[0].folds_id, "weights": weights})


def list_plan_weights(workspace: Workspace, contest: Contest) -> tuple[PlanWeights, ...]:
    """The weights of the plans that were queued, the newest first; InputError for a file that somebody changed into something else."""
    found: list[PlanWeights] = []
    for path in _weights_folder(workspace, contest).glob("*.json"):
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            weights = {int(run): float(weight) for run, weight in raw["weights"].items()}
            found.append(PlanWeights(raw.get("name", path.stem), int(raw["folds"]), weights))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise InputError("the weights of a plan cannot be read", where=str(path), why=reason(problem), fix="delete that file") from None
    return tuple(sorted(found, key=lambda one: max(one.weights), reverse=True))


def _weights_folder(workspace: Workspace, contest: Contest) -> Path:
    return workspace.contest_dir(contest.folder) / "plans"


def _recipe_of(entry: Any, modality: str, weights_dir: Path) -> tuple[Recipe | None, list[str]]:
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
        backbone_of(recipe, weights_dir)
    except RecipeError as problem:
        return recipe, [msg("{field}: {problem}", field=problem.where, problem=joined("; ", (problem.what, problem.fix)))]
    return recipe, []


@dataclass(frozen=True)
class Listed:
    """A backbone with the local place that has its weights; None when they would be fetched, or when it has none."""

    backbone: Backbone
    place: Place | None


def list_backbones(workspace: Workspace, modality: str) -> tuple[Listed, ...]:
    """All backbones for "image" or "text" but timm's toys for its own tests; those whose weights are here first, otherwise as in the catalogue;
    for texts those too that only this machine has."""
    offered = [one for one in load_catalog() if one.modality == modality and not one.name.startswith("test_")]
    offered += local_backbones(workspace.weights_dir) if modality == "text" else ()
    listed = (Listed(one, where_are_weights(one, workspace.weights_dir)) for one in offered)
    return tuple(sorted(listed, key=lambda one: one.place is None))


def filter_backbones(
    listed: Iterable[Listed],
    text: str = "",
    *,
    family: str | None = None,
    max_params_m: float | None = None,
    max_gmacs: float | None = None,
    min_top1: float | None = None,
    input_px: int | None = None,
    pretraining: str | None = None,
    licence: str | None = None,
    only_here: bool = False,
) -> tuple[Listed, ...]:
    """Those that fit every filter, in the given order: each word of `text` is in the name, family or note; `pretraining` is one of the sets of
    images of the weights; `licence` is one licence, or OPEN for any that is in OPEN_LICENCES; what has no published accuracy or no known cost
    passes no filter by it; `only_here` keeps networks that can start without a network."""
    return tuple(
        one
        for one in listed
        if all(word in f"{one.backbone.name} {one.backbone.family} {one.backbone.note}".lower() for word in text.lower().split())
        and family in (None, one.backbone.family)
        and (max_params_m is None or one.backbone.params_m <= max_params_m)
        and (max_gmacs is None or 0 < one.backbone.gmacs <= max_gmacs)
        and (min_top1 is None or (one.backbone.published is not None and one.backbone.published.top1 >= min_top1))
        and input_px in (None, one.backbone.input_px)
        and (pretraining is None or pretraining in one.backbone.pretraining.split(" > "))
        and (licence in (None, one.backbone.licence) or (licence == OPEN and one.backbone.licence in OPEN_LICENCES))
        and (not only_here or one.place is not None or not one.backbone.has_pretrained)
    )
