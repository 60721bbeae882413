"""Recipes as data: the YAML files of models/presets, each a whole recipe under its own name."""

from __future__ import annotations

from pathlib import Path

from core.base.errors import NotFoundError
from core.base.settings import load_settings
from core.specs.recipe import Recipe

PRESETS_DIR = Path(__file__).parents[2] / "models" / "presets"


def list_presets(modality: str | None = None) -> tuple[str, ...]:
    """The names of all presets, or of those for "image" or "text", sorted."""
    names = sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))
    return tuple(name for name in names if modality is None or load_preset(name).modality == modality)


def load_preset(name: str) -> Recipe:
    """Read one preset. NotFoundError lists the names there are."""
    known = {path.stem: path for path in PRESETS_DIR.glob("*.yaml")}
    if name not in known:
        raise NotFoundError.among("preset", name, known)
    return load_settings(Recipe, known[name])
