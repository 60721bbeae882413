"""The catalogue as a person picks from it: which backbones there are, and whether their weights are here. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.workspace import Workspace
from models.catalog import Backbone, families, load_catalog, search
from models.weights import Place, where_are_weights


@dataclass(frozen=True)
class Listed:
    """A backbone with the local place that has its weights; None when they would be fetched, or when it has none."""

    backbone: Backbone
    place: Place | None


def list_backbones(workspace: Workspace, modality: str) -> tuple[Listed, ...]:
    """All backbones for "image" or "text", those whose weights are here first, otherwise in the order of the catalogue."""
    listed = [
        Listed(backbone, where_are_weights(backbone, workspace.weights_dir)) for backbone in search(load_catalog(), modality=modality)
    ]
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
    """Those that fit every filter, in the given order; `only_here` keeps networks that can start without a network."""
    listed = tuple(listed)
    kept = {
        backbone.name
        for backbone in search((one.backbone for one in listed), text, family=family, max_params_m=max_params_m, input_px=input_px)
    }
    return tuple(
        one for one in listed if one.backbone.name in kept and (not only_here or one.place is not None or not one.backbone.has_pretrained)
    )


__all__ = ["Backbone", "Listed", "families", "filter_backbones", "list_backbones"]
