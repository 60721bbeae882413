"""The catalogue as a person picks from it."""

from __future__ import annotations

from core.recipes.backbones import filter_backbones, list_backbones
from core.workspace import Workspace


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


def test_only_here_keeps_what_can_start_without_a_network(workspace: Workspace) -> None:
    found = filter_backbones(list_backbones(workspace, "text"), only_here=True)
    assert "tiny_transformer" in [one.backbone.name for one in found]
    assert all(one.place is not None or not one.backbone.has_pretrained for one in found)
