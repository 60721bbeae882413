"""Small networks of texts of real configurations, as a fold keeps them, with weights drawn at random: nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, PreTrainedTokenizerFast

from core.specs.network import NetworkSpec
from core.training.network import copy_weights, save_network
from core.training.predictor import TorchPredictor, load_network
from models.build import build_model
from models.catalog import Backbone
from models.spec import ModelSpec
from models.text import TextClassifier, build_tokenizer

WORDS = ("goal", "match", "경기", "vote", "shares", "falls", "rises", "text")
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "initializer_range": 0.4,
}
DECODER = {**SMALL, "num_key_value_heads": 1, "head_dim": 8}
CLASSES = ("부정", "b", "c")


def keep_text_network(folder: Path, family: str, *, marker: str = "", **changes: Any) -> TorchPredictor:
    """A network of a family (`bert`, `electra`, `qwen3`) in `folder`, and loaded from there; `marker` is a token that was added to the tokenizer."""
    saved = folder.parent / "from"
    saved.mkdir(parents=True)
    vocabulary = {word: number for number, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])  # pyright: ignore[reportAttributeAccessIssue]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(saved)
    sizes = DECODER if family == "qwen3" else SMALL
    config = AutoConfig.for_model(family, **sizes, vocab_size=len(vocabulary), **({"embedding_size": 8} if family == "electra" else {}))
    config.save_pretrained(saved)
    values = {
        "modality": "text",
        "labels": "one",
        "classes": CLASSES,
        "fold": 0,
        "backbone": family,
        "library": "transformers",
        "pooling": "mean",
        "max_tokens": 12,
    }
    spec = NetworkSpec.model_validate({**values, **changes})
    backbone = Backbone(family, "text", "transformers", family, 0.0, 0, 64, "", "", "", "")
    added = (marker,) if marker else ()
    torch.manual_seed(0)
    asked = ModelSpec(
        backbone,
        len(CLASSES),
        saved,
        pretrained=False,
        pooling=spec.pooling,
        layers=spec.layers,
        coarse=spec.coarse,
        base_dtype=spec.dtype,
        max_tokens=spec.max_tokens,
        special_tokens=added,
        vocab_size=len(vocabulary) + len(added),
        saved=saved,
    )
    own = build_tokenizer(asked, [])
    model = build_model(asked)
    assert isinstance(model, TextClassifier)
    torch.nn.init.normal_(model.classifier.weight)
    torch.nn.init.normal_(model.classifier.bias)
    for parameter in model.pooling.parameters() if model.pooling is not None else ():
        torch.nn.init.normal_(parameter)
    folder.mkdir()
    own.save(folder)
    model.save_description(folder)
    save_network(folder, spec, copy_weights(model))
    network = load_network(folder)
    assert isinstance(network, TorchPredictor)
    return network
