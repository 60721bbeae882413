from __future__ import annotations

import pytest

from core.base.errors import InputError, RecipeError
from core.base.settings import apply_sets
from core.recipes.grid import MAX_RUNS, NAME_LENGTH, make_grid, parse_seeds
from core.specs.recipe import Recipe

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
