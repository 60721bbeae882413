"""A plan is read as a person wrote it, tells every problem at once, and is the same plan when it is written and read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from core.base.errors import InputError, PitwallError, RecipeError
from core.base.settings import apply_sets
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.launch import launch_plan, make_folds_of
from core.recipes.plan import (
    MAX_RUNS,
    NAME_LENGTH,
    OPEN,
    ReadPlan,
    filter_backbones,
    list_backbones,
    list_plan_weights,
    list_plans,
    load_plan,
    load_preset,
    make_grid,
    parse_plan,
    parse_seeds,
    plan_text,
)
from core.specs.folds import FoldsSpec
from core.specs.plan import Plan, PlanRecipe
from core.specs.recipe import Recipe
from core.store.runs import list_runs
from core.workspace import Workspace
from models.catalog import OPEN_LICENCES

GOOD = """
name: first-night
recipes:
  - preset: news-tiny
    set: {optim.lr: 0.01, name: fast}
    weight: 3
  - recipe: {name: mine, modality: text, model: {backbone: tiny_transformer, pretrained: false}, input: {max_tokens: 16}}
    weight: 1
seeds: [0, 7]
folds: {n_folds: 3}
fold_numbers: [2]
"""
WRONG = """
name: "a\\u200bb"
speed: 3
recipes:
  - preset: news-tinny
  - preset: news-tiny
    set: {optim.lr: -1, wheel.size: 2, text.max_tokens: few}
  - recipe: {modality: text, train: {epochs: 0}}
    weight: 2
  - preset: digits-small
  - recipe: {modality: text, model: {backbone: resnet10}}
  - {}
seeds: [-1]
"""


def read(text: str, modality: str = "text") -> ReadPlan:
    return parse_plan(text.encode(), modality, Path(), where="plan.yaml")


def test_a_plan_says_which_runs_with_which_weights() -> None:
    plan = read(GOOD)
    assert [recipe.name for recipe in plan.grid] == ["fast-s0", "mine-s0", "fast-s7", "mine-s7"]
    assert [(recipe.optim.lr, recipe.train.seed) for recipe in plan.grid][:3] == [(0.01, 0), (1e-3, 0), (0.01, 7)]
    assert plan.run_weights == pytest.approx((0.375, 0.125, 0.375, 0.125))
    assert plan.plan.folds == FoldsSpec(n_folds=3) and plan.plan.fold_numbers == (2,)
    assert read("recipes: [{preset: news-tiny}]").run_weights == ()


def test_a_plan_says_in_which_views_each_recipe_predicts() -> None:
    plan = read("recipes: [{preset: digits-small, set: {predict.views: [mirror, plain]}}, {preset: digits-small}]", "image")
    assert [recipe.predict.views for recipe in plan.grid] == [("plain", "mirror"), ("plain",)]
    assert read(plan_text(plan.plan), "image").grid == plan.grid


def test_every_problem_is_told_at_once_with_field_and_value() -> None:
    with pytest.raises(RecipeError) as caught:
        read(WRONG)
    for part in (
        "name = 'a\\u200bb'",
        "speed: unknown setting, known here: name, recipes, seeds",
        "recipes.0.preset: no preset named 'news-tinny'; known: ",
        "recipes.1.set.optim.lr = -1: Input should be greater than 0",
        "recipes.1.set.wheel.size: unknown setting",
        "recipes.1.set.input.max_tokens = 'few'",
        "recipes.2.recipe.train.epochs = 0",
        "recipes.3.modality = 'image': the contest's rows are texts",
        "recipes.4.model.backbone: no backbone named 'resnet10'",
        "recipes.5: give one of preset and recipe",
    ):
        assert part in caught.value.why, part
    assert caught.value.where == "plan.yaml" and caught.value.fix


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recipes: []", "recipes"),
        ("- 1", "holds no settings"),
        ("recipes: 3", "recipes = 3"),
        ("recipes: [{preset: news-tiny, weight: 1}, {preset: news-minilm}]", "give every recipe a weight"),
        ("recipes: [{preset: news-tiny, weight: 0}]", "one of them above 0"),
        ("recipes: [{preset: news-tiny}, {preset: news-tiny, set: {name: x}}]", "same training twice"),
        ("recipes: [{preset: news-tiny}]\nseeds: [1, 2147483648]", "seeds are whole numbers"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(text)
    assert words in str(caught.value)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_plan_or_a_typed_error(raw: bytes) -> None:
    try:
        parse_plan(raw, "text", Path(), where="plan.yaml")
    except PitwallError as error:
        assert error.fix


def test_a_plan_that_is_written_is_read_as_the_same_plan(tmp_path: Path) -> None:
    recipe = load_preset("news-tiny")
    plan = Plan(
        recipes=(PlanRecipe(recipe=recipe, weight=0.5), PlanRecipe(preset="news-minilm", set={"train.epochs": 1}, weight=0.5)),
        seeds=(1, 2),
        folds=FoldsSpec(n_folds=3),
        fold_numbers=(0,),
    )
    path = tmp_path / "plan.yaml"
    path.write_text(plan_text(plan), encoding="utf-8")
    again = load_plan(path, "text", Path())
    assert again.plan == plan and again.recipes[0] == recipe
    assert "size_px" not in path.read_text(encoding="utf-8")
    assert read(plan_text(read(GOOD).plan)) == read(GOOD)


def test_a_plan_is_queued_with_its_folds_and_keeps_its_weights(
    workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    plan = read(GOOD)
    folds = make_folds_of(workspace, contest, plan)
    assert folds is not None and folds == save_folds(workspace, contest, FoldsSpec(n_folds=3))
    runs = launch_plan(workspace, contest, folds, plan)
    assert (runs[0].name, runs[0].folds_id, runs[0].fold_numbers) == ("fast-s0", folds.id, (2,))
    again = launch_plan(workspace, contest, folds, plan, fold_numbers=[0, 1])
    assert again[0].fold_numbers == (0, 1)
    kept = list_plan_weights(workspace, contest)
    assert [(one.name, one.folds_id) for one in kept] == [("first-night-2", folds.id), ("first-night", folds.id)]
    assert kept[1].weights == pytest.approx(dict(zip([run.id for run in runs], plan.run_weights, strict=True)))
    next(workspace.contest_dir(contest.folder).glob("plans/*.json")).write_text("[]")
    with pytest.raises(InputError, match="cannot be read"):
        list_plan_weights(workspace, contest)


def test_a_plan_that_is_refused_queues_and_keeps_nothing(
    workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    plan = read(GOOD)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    with pytest.raises(RecipeError, match="no such fold"):
        launch_plan(workspace, contest, folds, plan)
    assert list_runs(workspace.store, contest.id) == () and list_plan_weights(workspace, contest) == ()


def test_an_inline_recipe_may_still_be_of_the_old_layout() -> None:
    old = read("recipes: [{recipe: {modality: text, model: {backbone: tiny_transformer, pretrained: false}, text: {max_tokens: 16}}}]")
    assert isinstance(old.recipes[0], Recipe) and old.recipes[0].input.max_tokens == 16


BASE = Recipe(name="base")


def varied(*sets: str, recipe: Recipe = BASE) -> Recipe:
    return apply_sets(recipe, sets)


def names(recipes: tuple[Recipe, ...]) -> list[str]:
    return [recipe.name for recipe in recipes]


def test_names_say_what_differs_and_nothing_else() -> None:
    other = varied("name=other", "optim.lr=0.5")
    assert names(make_grid([BASE, other])) == ["base", "other"]
    assert names(make_grid([BASE, other], seeds=(3,))) == ["base", "other"]
    assert names(make_grid([BASE, other], seeds=(0, 1, 0))) == ["base-s0", "other-s0", "base-s1", "other-s1"]
    assert names(make_grid([varied("optim.lr=0.01"), varied("optim.lr=1e-4")])) == ["base-lr0.01", "base-lr0.0001"]
    assert names(make_grid([varied("train.batch_size=8"), BASE], seeds=(0, 1)))[:2] == ["base-batch_size8-s0", "base-batch_size32-s0"]
    tags = [varied("model.backbone=vit_small.a"), varied("model.backbone=vit_small.b")]
    assert names(make_grid(tags)) == ["base-vit_small.a", "base-vit_small.b"]
    assert names(make_grid([tags[0], varied("model.backbone=timm/resnet10t.c3")])) == ["base-vit_small", "base-resnet10t"]


def test_a_grid_trains_what_it_says() -> None:
    grid = make_grid([varied("optim.lr=0.01"), BASE], seeds=(7, 8))
    assert [(recipe.optim.lr, recipe.train.seed) for recipe in grid] == [(0.01, 7), (BASE.optim.lr, 7), (0.01, 8), (BASE.optim.lr, 8)]
    assert make_grid([varied("train.seed=5")])[0].train.seed == 5
    assert len({recipe.fingerprint for recipe in grid}) == 4


def test_long_names_stay_names() -> None:
    long = varied(f"name={'x' * NAME_LENGTH}")
    grid = make_grid([long], seeds=(0, 1))
    assert [len(recipe.name) for recipe in grid] == [NAME_LENGTH] * 2 and grid[0].name.endswith("x-s0")
    assert Recipe.model_validate(grid[1].to_dict()) == grid[1]


def test_what_makes_no_grid_is_refused() -> None:
    with pytest.raises(RecipeError, match="same training twice"):
        make_grid([BASE, varied("name=copy")])
    with pytest.raises(RecipeError, match="0 runs"):
        make_grid([])
    with pytest.raises(RecipeError, match="cannot be queued"):
        make_grid([BASE], seeds=range(MAX_RUNS + 1))
    with pytest.raises(RecipeError, match="1 setting cannot be used"):
        make_grid([BASE], seeds=(-1,))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("", ()),
        ("  ", ()),
        ("7", (7,)),
        ("0,1,2", (0, 1, 2)),
        ("0-3", (0, 1, 2, 3)),
        ("3 - 4, 9 1,", (3, 4, 9, 1)),
        ("1,1-2", (1, 2)),
        ("2~3", (2, 3)),
        ("1，2、3", (1, 2, 3)),
    ],
)
def test_seeds_are_listed_or_ranged(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "5-2", "0-999999999", "2147483648", "1-2-3", "٣x", "9" * 5000])
def test_what_is_no_seed_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_seeds(f"0,{text}", where="--seeds")
    assert refused.value.where == "--seeds" and "0-4" in refused.value.fix


def test_weights_in_the_workspace_are_found_and_come_first(workspace: Workspace) -> None:
    (workspace.weights_dir / "resnet10t.c3_in1k.safetensors").write_bytes(b"")
    listed = list_backbones(workspace, "image")
    places = {one.backbone.name: one.place for one in listed}
    assert places["resnet10t.c3_in1k"] == "workspace"
    first_absent = next(number for number, one in enumerate(listed) if one.place is None)
    assert all(one.place is None for one in listed[first_absent:])
    assert all(one.backbone.modality == "image" for one in listed)


def test_filters_narrow_and_keep_the_order(workspace: Workspace) -> None:
    listed = list_backbones(workspace, "image")
    small = filter_backbones(listed, family="convnext", max_params_m=30, input_px=224)
    assert small and {(one.backbone.family, one.backbone.input_px) for one in small} == {("convnext", 224)}
    found = filter_backbones(listed, "convnext 384", max_params_m=60)
    assert found
    assert all("convnext" in one.backbone.name and one.backbone.params_m <= 60 for one in found)
    numbers = [listed.index(one) for one in found]
    assert numbers == sorted(numbers)
    assert filter_backbones(listed, "no such network") == ()
    good = filter_backbones(listed, min_top1=86, max_gmacs=60, licence=OPEN, pretraining="ImageNet-22k")
    assert {"convnext_base.fb_in22k_ft_in1k_384"} <= {one.backbone.name for one in good}
    for backbone in (one.backbone for one in good):
        assert backbone.published is not None and backbone.published.top1 >= 86 and 0 < backbone.gmacs <= 60
        assert backbone.licence in OPEN_LICENCES and "ImageNet-22k" in backbone.pretraining
    own = filter_backbones(listed, "dinov3", licence="dinov3-license")
    assert own and {one.backbone.licence for one in own} == {"dinov3-license"}


def test_the_plan_of_used_cars_reads_with_the_weights_of_its_contest(tmp_path: Path) -> None:
    assert "used-cars" in list_plans("image") and "used-cars" not in list_plans("text")
    read = load_plan(Path("used-cars"), "image", Path())
    assert read.plan.name == "used cars"
    by_name = {recipe.name.removeprefix("cars-"): (recipe, weight) for recipe, weight in zip(read.recipes, read.run_weights, strict=True)}
    expected = {
        "efficientnetv2_l": (480, 12, 0.01, 0.2),
        "convnext_large": (384, 16, 0.008, 0.2),
        "swin_large": (384, None, None, 0.15),
        "efficientnet_b7": (600, 8, 0.012, 0.15),
        "convnext_base": (224, None, None, 0.1),
        "resnet152d": (224, 24, None, 0.1),
        "vit_base": (224, None, None, 0.1),
    }
    assert by_name.keys() == expected.keys()
    for name, (px, batch, lr, weight) in expected.items():
        recipe, own = by_name[name]
        assert recipe.input.size_px == px and own == pytest.approx(weight)
        assert batch in (None, recipe.train.batch_size) and lr in (None, recipe.optim.lr)
    with pytest.raises(PitwallError, match="cannot read"):
        load_plan(tmp_path / "used-cars", "image", Path())


def test_only_here_keeps_what_can_start_without_a_network(workspace: Workspace) -> None:
    found = filter_backbones(list_backbones(workspace, "text"), only_here=True)
    assert "tiny_transformer" in [one.backbone.name for one in found]
    assert all(one.place is not None or not one.backbone.has_pretrained for one in found)


def test_the_plan_of_korean_sentiment_has_its_notebooks_numbers_and_weights_by_score() -> None:
    read = load_plan(Path("korean-sentiment"), "text", Path())
    scores = {"klue-roberta": 0.8114, "klue-bert": 0.8056, "kykim-bert": 0.8179, "kcbert": 0.7961, "koelectra": 0.8077}
    found = {recipe.name.removeprefix("sentiment-"): weight for recipe, weight in zip(read.recipes, read.run_weights, strict=True)}
    assert found == pytest.approx({name: score / sum(scores.values()) for name, score in scores.items()})
    for recipe in read.recipes:
        assert (recipe.loss.kind, recipe.loss.gamma, recipe.loss.smoothing) == ("focal", 4.19, 0.0344)
        assert (recipe.optim.schedule, recipe.train.accumulate, recipe.average.keep, recipe.train.epochs) == ("constant", 4, "swa", 5)
