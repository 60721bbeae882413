"""Pretrained encoders so small that they learn in a second: weights drawn at random, in a folder as the hub has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PreTrainedTokenizerFast

from tests.conftest import SUBJECTS, VERBS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (*SPECIAL, *(word for subject in SUBJECTS.values() for word in subject), *VERBS, "again", ",", "day", *map(str, range(60)))
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "vocab_size": len(WORDS),
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "xlm-roberta": {},
    "electra": {"embedding_size": 16},
    "deberta-v2": {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "modernbert": {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 8},
}


def write_encoder(folder: Path, family: str = "bert", *, has_head: bool = True) -> Path:
    """An encoder of a family with a tokenizer over the words of headlines, with or without the head that fills in masked tokens."""
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {name: f"[{name[:-6].upper()}]" for name in ("pad_token", "cls_token", "sep_token", "mask_token")} | {"unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SMALL, **FAMILIES.get(family, {}))
    (AutoModelForMaskedLM if has_head else AutoModel).from_config(config).save_pretrained(folder)
    return folder
