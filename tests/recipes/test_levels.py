"""Coarse classes that the names of classes propose, and the flat twin of a recipe of two levels."""

from __future__ import annotations

import pytest

from core.base.names import NAME_LENGTH
from core.base.settings import apply_sets
from core.recipes.levels import SETTINGS, make_flat, propose_coarse, set_of
from core.specs.recipe import Recipe, differing_settings


@pytest.mark.parametrize(
    ("classes", "coarse"),
    [
        (("no_relation", "org:founded", "org:top_members/employees", "per:origin"), ("no_relation", "org", "org", "per")),
        (("강한 부정", "강한 긍정", "약한 부정"), ("강한", "강한", "약한")),
        (("sports/ball", "sports/ski", "tech"), ("sports", "sports", "tech")),
        (("0", "1", "2"), ()),
        (("a_1", "a_2"), ()),
    ],
)
def test_a_coarse_class_is_what_classes_begin_with(classes: tuple[str, ...], coarse: tuple[str, ...]) -> None:
    assert propose_coarse(classes) == coarse


def test_a_mapping_can_be_pasted_and_the_flat_twin_differs_by_its_levels_alone() -> None:
    coarse = ("no", "1", 'a "b"', "가, 나")
    name = "n" * NAME_LENGTH
    two = apply_sets(Recipe(name=name), ["model.two_levels=true", "model.separate_levels=true", set_of(coarse)])
    assert two.loss.coarse == coarse
    flat = Recipe.model_validate(make_flat(two).to_dict())
    assert set(differing_settings([flat, two])) == set(SETTINGS) and not flat.model.two_levels and flat.name != two.name
