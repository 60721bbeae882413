"""Ready classifiers: networks with their own head and labels, whose labels stand for the classes of a contest. Nothing is trained."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.spec import CannotBuild, Pixels

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class ReadyClassifier(nn.Module, ABC):
    """A network with its own labels; logits (n, n_classes) are of classes, each of which some of the labels stand for.

    Where a row has one class, the probability of a class is the sum over its labels, of the labels that stand for any class; where it may
    have several, that of its likeliest label.
    """

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]], *, is_multilabel: bool) -> None:
        super().__init__()
        self.network = network
        self.groups = [list(group) for group in groups]
        self.is_multilabel = is_multilabel

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        logits = self.own_logits(batch).float()
        if self.is_multilabel:
            return torch.stack([logits[:, group].amax(dim=1) for group in self.groups], dim=1)
        return torch.stack([logits[:, group].logsumexp(dim=1) for group in self.groups], dim=1)

    @abstractmethod
    def own_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (n, n_labels) of the network's own labels."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write configuration and weights, and what else `load_ready` reads."""


class ReadyTextClassifier(ReadyClassifier):
    """A sequence classifier of transformers, with its tokenizer."""

    tokenizer: Any

    def own_logits(self, batch: dict[str, Tensor]) -> Tensor:
        return self.network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        self.network.save_pretrained(folder)  # type: ignore[operator]


class ReadyImageClassifier(ReadyClassifier):
    """A timm network with the head it was trained with, in the form of the hub: `config.json` and `model.safetensors`."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]], *, is_multilabel: bool, pixels: Pixels, config: Any) -> None:
        super().__init__(network, groups, is_multilabel=is_multilabel)
        self.config = config
        self.register_buffer("mean", torch.tensor(pixels.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(pixels.std).view(1, 3, 1, 1) * 255, persistent=False)

    def own_logits(self, batch: dict[str, Tensor]) -> Tensor:
        return self.network((batch["image"].float() - self.mean) / self.std)

    def save(self, folder: Path) -> None:
        (folder / CONFIG_FILE).write_text(json.dumps(self.config, ensure_ascii=False, indent=1), encoding="utf-8")
        save_file({name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}, folder / WEIGHTS_FILE)


def ready_labels(folder: Path) -> tuple[str, ...]:
    """The labels of a ready classifier in the order of its outputs. Raises CannotBuild where the folder names none."""
    config = _config(folder)
    found = config.get("id2label") or config.get("label_names")
    if isinstance(found, dict):
        return tuple(str(found[key]) for key in sorted(found, key=int))
    if not found:
        raise CannotBuild("{name} names no labels", "give a folder whose config.json has id2label or label_names", name=folder.name)
    return tuple(str(label) for label in found)


def reads_several(folder: Path) -> bool:
    """Whether a row may have several of its labels: what `problem_type` of transformers says, which timm has not."""
    return _config(folder).get("problem_type") == "multi_label_classification"


def ready_modality(folder: Path) -> str:
    """What it reads: "image" for a network of timm, "text" for one of transformers."""
    return "image" if "architecture" in _config(folder) else "text"


def ready_pixels(folder: Path) -> tuple[Pixels, int]:
    """How images reach a timm network, and their side in pixels."""
    config: dict[str, Any] = _config(folder)["pretrained_cfg"]
    return Pixels(config["interpolation"], tuple(config["mean"]), tuple(config["std"])), int(config["input_size"][-1])


def load_ready(folder: Path, groups: Sequence[Sequence[int]], *, is_multilabel: bool) -> ReadyClassifier:
    """The classifier in a folder, on the CPU in float32. Raises CannotBuild for a folder that cannot be read as one."""
    try:
        if ready_modality(folder) == "image":
            import timm

            config = _config(folder)
            network = timm.create_model(config["architecture"], num_classes=config["num_classes"], **config.get("model_args") or {})
            network.load_state_dict(load_file(folder / WEIGHTS_FILE))
            return ReadyImageClassifier(network, groups, is_multilabel=is_multilabel, pixels=ready_pixels(folder)[0], config=config)
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        network = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **LOCAL)
        model = ReadyTextClassifier(network, groups, is_multilabel=is_multilabel)
        model.tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
        return model
    except (MemoryError, CannotBuild):
        raise
    except Exception as problem:  # unpicklers, tokenizers and JSON readers have no error in common
        said = " ".join(str(problem).split())[:300]
        raise CannotBuild(
            "{name} cannot be read as a classifier: {problem}", "give a whole folder of it", name=folder.name, problem=said
        ) from problem


def _config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CannotBuild(
            "{name} is no classifier: {problem}",
            "give a folder of transformers or timm, with config.json and its weights",
            name=folder.name,
            problem=str(problem),
        ) from None
