"""Text backbones that the catalogue does not list: whole folders of transformers in the workspace's weights/ and in the local cache of the hub,
described by their own files. Imports no torch."""

import json
import math
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from models.catalog import Backbone, UnknownBackbone, find_backbone, load_catalog
from models.weights import CONFIG_FILE, README_FILE, Miss, hub_folders, in_folder

LAYERS, TOKENS = ("num_hidden_layers", "n_layers", "n_layer"), ("max_position_embeddings", "n_positions")
"""What configurations call their number of blocks, and of positions."""
OFFSET_FAMILIES = ("roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "longformer", "mpnet")
"""Those whose positions begin behind the number of the padding token, so that two of them are never read."""
ENDS = 2
"""The groups of layers beside the blocks: the embeddings and the head."""
NAME = re.compile(r"[\w\-][\w.\-]*(?:/[\w\-][\w.\-]*)?")
"""NAME or ACCOUNT/NAME: none that leads out of weights/."""
LICENCE = re.compile(r"^license:\s*[\"']?([\w.\-]+)", re.MULTILINE)


class NoBackbone(ValueError):
    """A folder is no text backbone; `why` is a template for `values`."""

    def __init__(self, folder: Path, why: str, **values: object) -> None:
        super().__init__(why.format(**values))
        self.folder, self.why, self.values = folder, why, values


def any_backbone(name: str, weights_dir: Path) -> Backbone:
    """The backbone of this name in the catalogue, else in weights/, else in the cache of the hub. Raises UnknownBackbone, and NoBackbone for a folder
    of this name that is none."""
    try:
        return find_backbone(name)
    except UnknownBackbone:
        if NAME.fullmatch(name) and (weights_dir / name / CONFIG_FILE).is_file():
            return describe_folder(weights_dir / name, name)
        folder = dict(hub_folders()).get(name)
        if folder is None:
            raise
        return describe_folder(folder, name, hub_id=name)


def local_backbones(weights_dir: Path) -> tuple[Backbone, ...]:
    """Those in weights/ and in the cache of the hub, by name; what is no text backbone, as of images, is left out."""
    known = {name for backbone in load_catalog() for name in (backbone.name, backbone.hub_id)}
    own = [path.parent for pattern in ("*", "*/*") for path in weights_dir.glob(f"{pattern}/{CONFIG_FILE}")]
    folders = {name: (folder, name) for name, folder in hub_folders()}
    folders |= {folder.relative_to(weights_dir).as_posix(): (folder, "") for folder in own}
    found: list[Backbone] = []
    for name in sorted(folders.keys() - known):
        with suppress(NoBackbone):
            folder, hub_id = folders[name]
            found.append(describe_folder(folder, name, hub_id=hub_id))
    return tuple(found)


def describe_folder(folder: Path, name: str, *, hub_id: str = "") -> Backbone:
    """What the files of a folder say of its network: family, blocks, longest text, parameters, and the licence in the head of its README.md, "" where
    none is named. Raises NoBackbone."""
    path = folder / CONFIG_FILE
    return _described(folder, name, hub_id, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=256)
def _described(folder: Path, name: str, hub_id: str, _changed_ns: int) -> Backbone:
    """`_changed_ns` is when its configuration was changed."""
    backbone = Backbone(name, "text", "transformers", "", 0.0, 0, 0, hub_id, "", "", "")
    if isinstance(miss := in_folder("workspace", name, folder, backbone), Miss):
        raise NoBackbone(folder, miss.lacks, files=miss.files)
    try:
        config = cast("dict[str, Any]", json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        family, n_layers = config["model_type"], next(config[key] for key in LAYERS if key in config)
        is_text = isinstance(config["vocab_size"], int) and isinstance(n_layers, int)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        family, n_layers, is_text, config = "", 0, False, dict[str, Any]()
    if not is_text:
        raise NoBackbone(folder, "its {file} is none of a network of texts", file=CONFIG_FILE)
    if config.get("is_encoder_decoder"):
        raise NoBackbone(folder, "it is an encoder with a decoder, which are no one sequence of tokens")
    n_tokens = next((config[key] for key in TOKENS if config.get(key)), 0)
    readme = folder / README_FILE
    head = readme.read_text(encoding="utf-8", errors="replace")[:4000] if readme.is_file() else ""
    licence = LICENCE.search(head) if head.startswith("---") else None
    return Backbone(
        name=name,
        modality="text",
        library="transformers",
        family=family,
        params_m=round(_count_parameters(folder) / 1e6, 2),
        input_px=0,
        max_tokens=n_tokens - 2 if n_tokens and family in OFFSET_FAMILIES else n_tokens,
        hub_id=hub_id,
        package="",
        licence=licence[1] if licence else "",
        note="",
        n_groups=n_layers + ENDS,
    )


def _count_parameters(folder: Path) -> int:
    """How many numbers the weights hold: by the heads of safetensors files, or of a pickle by its size, at four bytes each."""
    shapes = [
        cast("list[int]", tensor["shape"])
        for path in folder.glob("*.safetensors")
        for name, tensor in _read_head(path).items()
        if name != "__metadata__"
    ]
    return sum(map(math.prod, shapes)) or sum(path.stat().st_size // 4 for path in folder.glob("pytorch_model*.bin"))


def _read_head(path: Path) -> dict[str, Any]:
    """The head of a safetensors file: type, shape and place of each tensor; empty where it cannot be read, which loading it says."""
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            return json.loads(stream.read(min(size, 100_000_000)))
    except (OSError, ValueError):
        return {}
