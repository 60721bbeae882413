"""A form says what its model says: ranges, kinds, sections; and what it returns builds the model it came from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import Field
from streamlit.testing.v1 import AppTest

from app.ui.forms import Bounds, bounds, leaves_of, merge
from core.base.errors import PitwallError
from core.base.settings import Settings, parse_settings, wanted_by
from core.specs.recipe import Recipe
from tests.app.hands import fold, unfold


class Inner(Settings):
    share: float = Field(default=0.5, gt=0, lt=1, description="A share.")


class Outer(Settings):
    count: int = Field(default=3, ge=1, le=9, description="A count.", json_schema_extra={"basic": True})
    secret: str = Field(default="x", description="Not shown.", json_schema_extra={"hidden": True})
    inner: Inner = Inner()
    other: Inner | None = None


def test_bounds_are_those_of_the_field() -> None:
    fields = {leaf.path: leaf.info for leaf in leaves_of(Outer())}
    assert bounds(fields["count"]) == Bounds(1, 9)
    assert bounds(fields["inner.share"]) == Bounds(0, 1, open_low=True, open_high=True)
    assert bounds(fields["secret"]) == Bounds()


def test_a_section_that_is_none_and_a_field_for_the_other_modality_are_left_out() -> None:
    assert [leaf.path for leaf in leaves_of(Outer())] == ["count", "secret", "inner.share"]
    assert "input.size_px" in [leaf.path for leaf in leaves_of(Recipe(modality="image"))]
    assert "input.size_px" not in [leaf.path for leaf in leaves_of(Recipe(modality="text"))]


@given(st.integers(1, 9), st.floats(0.01, 0.99))
def test_what_is_merged_builds_the_model(count: int, share: float) -> None:
    values = merge(Outer().to_dict(), {"count": count, "inner.share": share})
    assert parse_settings(Outer, values, where="form") == Outer(count=count, inner=Inner(share=share))


def _page(modality: str) -> None:
    import streamlit as st

    from app.ui.forms import settings_form
    from core.specs.recipe import Recipe

    st.session_state["values"] = settings_form(Recipe(modality=modality), "form", texts="recipe")  # pyright: ignore[reportArgumentType]


def unfold_all(at: AppTest) -> AppTest:
    for key in [key for key in at.session_state if "-section-" in key]:
        at.session_state[key] = True
    return at.run()


@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_form_of_a_recipe_returns_the_recipe(modality: str) -> None:
    at = AppTest.from_function(_page, args=(modality,), default_timeout=30).run()
    assert not at.exception
    values: dict[str, Any] = at.session_state["values"]
    assert parse_settings(Recipe, values, where="form") == Recipe(modality="image" if modality == "image" else "text")
    n_basic = len(at.number_input)
    at = unfold_all(at)
    assert parse_settings(Recipe, at.session_state["values"], where="form") == Recipe(modality="image" if modality == "image" else "text")
    assert len(at.number_input) > 2 * n_basic, "sections are drawn when they are open"
    labels = [box.label for box in at.number_input]
    assert labels.index("Epochs") < labels.index("Weight decay"), "basic fields come first"
    leaves = leaves_of(Recipe(modality="image" if modality == "image" else "text"))
    values_of = {leaf.path: leaf.value for leaf in leaves}
    is_used = {
        leaf.path: all(values_of[path] in values for path, values in [wanted_by(leaf.info) or ("name", ("run",))]) for leaf in leaves
    }
    shown = {leaf.path for leaf in leaves if not leaf.has("hidden") and is_used[leaf.path]}
    n_widgets = sum(map(len, (at.number_input, at.text_input, at.text_area, at.selectbox, at.toggle, at.multiselect)))
    assert n_widgets == len(shown), "every setting is on the form that is used whatever the others are"


def test_a_number_typed_in_the_form_arrives() -> None:
    at = AppTest.from_function(_page, args=("image",), default_timeout=30).run()
    at = at.number_input(key="form.optim.lr").set_value(3e-5).run()
    assert at.session_state["values"]["optim"]["lr"] == pytest.approx(3e-5)


def test_a_setting_of_a_choice_is_shown_with_that_choice_and_numbers_for_classes_are_typed() -> None:
    at = unfold_all(AppTest.from_function(_page, args=("image",), default_timeout=30).run())
    assert "Focal gamma" not in [box.label for box in at.number_input]
    at.selectbox(key="form.loss.kind").select("focal")
    at = at.selectbox(key="form.loss.class_weights").select("given").run()
    at.number_input(key="form.loss.gamma").set_value(4.19)
    at = at.text_input(key="form.loss.given_weights").input("1, 2.5 0.5").run()
    loss = parse_settings(Recipe, at.session_state["values"], where="form").loss
    assert (loss.kind, loss.gamma, loss.given_weights) == ("focal", 4.19, (1.0, 2.5, 0.5))
    at = at.text_input(key="form.loss.given_weights").input("1, two").run()
    with pytest.raises(PitwallError, match="cannot be used"):
        parse_settings(Recipe, at.session_state["values"], where="form")
    at = at.selectbox(key="form.loss.class_weights").select("none").run()
    at = at.selectbox(key="form.loss.kind").select("cross_entropy").run()
    assert parse_settings(Recipe, at.session_state["values"], where="form") == Recipe()


def test_a_closed_section_keeps_what_was_set_in_it_and_takes_what_is_set_elsewhere() -> None:
    at = AppTest.from_function(_page, args=("image",), default_timeout=30).run()
    at = unfold(unfold(at, "-section-augment"), "-section-predict")
    at.number_input(key="form.augment.mixup").set_value(0.4)
    at = at.multiselect(key="form.predict.views").set_value(["plain", "mirror"]).run()
    at = fold(fold(at, "-section-augment"), "-section-predict")
    for _ in range(2):
        recipe = parse_settings(Recipe, at.session_state["values"], where="form")
        assert (recipe.augment.mixup, recipe.predict.views) == (0.4, ("plain", "mirror"))
        at = at.run()
    at.session_state["form.augment.mixup"] = 0.2
    at = unfold(at.run(), "-section-augment")
    assert at.number_input(key="form.augment.mixup").value == 0.2
    assert parse_settings(Recipe, at.session_state["values"], where="form").augment.mixup == 0.2
