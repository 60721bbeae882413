"""The catalogue as a person picks from it: which backbones there are, and whether their weights are here. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.workspace import Workspace
from models.catalog import Backbone as Backbone
from models.catalog import load_catalog
from models.weights import Place, where_are_weights


@dataclass(frozen=True)
class Listed:
    """A backbone with the local place that has its weights; None when they would be fetched, or when it has none."""

    backbone: Backbone
    place: Place | None


def list_backbones(workspace: Workspace, modality: str) -> tuple[Listed, ...]:
    """All backbones for "image" or "text", those whose weights are here first, otherwise in the order of the catalogue."""
    listed = (Listed(one, where_are_weights(one, workspace.weights_dir)) for one in load_catalog() if one.modality == modality)
    return tuple(sorted(listed, key=lambda one: one.place is None))


def filter_backbones(
    listed: Iterable[Listed],
    text: str = "",
    *,
    family: str | None = None,
    max_params_m: float | None = None,
    input_px: int | None = None,
    only_here: bool = False,
) -> tuple[Listed, ...]:
    """Those that fit every filter, in the given order: each word of `text` is in the name, family or note; `only_here` keeps networks that
    can start without a network."""
    return tuple(
        one
        for one in listed
        if all(word in f"{one.backbone.name} {one.backbone.family} {one.backbone.note}".lower() for word in text.lower().split())
        and family in (None, one.backbone.family)
        and (max_params_m is None or one.backbone.params_m <= max_params_m)
        and input_px in (None, one.backbone.input_px)
        and (not only_here or one.place is not None or not one.backbone.has_pretrained)
    )
