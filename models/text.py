"""Text backbones: transformers' AutoModel, and a two-layer transformer of torch's own, behind the one forward().

A tokenizer is built first, since the network from nothing needs to know its vocabulary.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.head import FOUR, LayerMix, Pooling, make_token_pool, mean_over_masks, pool_tokens
from models.spec import BackboneClassifier, CannotBuild, Features, ModelSpec
from models.weights import Weights, WeightsUnreadable, find_weights, reading

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive the fork of a loader worker

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched, and code that lies beside weights is neither run nor asked about: the question would read a worker's standard input."""
TINY_WIDTH, TINY_LAYERS = 128, 2
TINY_VOCABULARY = 8000
TINY_MAX_TOKENS = 512
NUMBER = re.compile(r"\.(\d+)\.")
EMBEDDING = re.compile(r"embed|^tokens|^positions|^wte|^wpe")
TOKENIZER_FILE, PIECES_FILE = "tokenizer.json", "spiece.model"
COARSE_HEAD = "coarse."
"""What the names of the parameters of a head for training only begin with."""
PROBE = "a"
"""A text that shows which special tokens a tokenizer puts around one."""
PAD, UNKNOWN, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"


class TextTokenizer(Protocol):
    """What both kinds of tokenizer offer."""

    pad_id: int
    vocab_size: int

    @property
    def identity(self) -> str:
        """Equal for tokenizers that give equal ids; "" for a vocabulary that one fold has learned."""
        ...

    @property
    def ends(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after those of a text."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, whole, without the special tokens around it, not padded."""
        ...

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Each token as it reads in a text; a part of a character, which reads as nothing, as the vocabulary has it."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `build_tokenizer` needs to encode in the same way again."""
        ...


class PretrainedTokenizer:
    """The tokenizer that belongs to a backbone of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.pad_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.vocab_size: int = len(tokenizer)
        self.mask_id: int | None = tokenizer.mask_token_id
        self.special_ids: tuple[int, ...] = tuple(tokenizer.all_special_ids)

    @property
    def identity(self) -> str:
        if self._tokenizer.is_fast:
            said = _unlimited(self._tokenizer.backend_tokenizer).to_str()
        else:
            said = json.dumps([type(self._tokenizer).__name__, sorted(self._tokenizer.get_vocab().items())])
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def ends(self) -> tuple[list[int], list[int]]:
        (of_text,) = self.encode([PROBE])
        whole: list[int] = self._tokenizer(PROBE, verbose=False)["input_ids"]
        start = next(at for at in range(len(whole)) if whole[at : at + len(of_text)] == of_text)
        return whole[:start], whole[start + len(of_text) :]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        if not self._tokenizer.is_fast:
            return self._tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        # Half the time of transformers' own call, which makes offsets and masks of them too
        found = _unlimited(self._tokenizer.backend_tokenizer).encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        read = [self._tokenizer.decode([token]) for token in ids]
        names: list[str] = self._tokenizer.convert_ids_to_tokens(list(ids))
        return tuple(name if not text.strip() or "\ufffd" in text else text for text, name in zip(read, names, strict=True))

    def save(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(folder)


class TrainedTokenizer:
    """A vocabulary learned from the training texts of one fold; equal texts in equal order give equal tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.pad_id: int = tokenizer.token_to_id(PAD)
        self.vocab_size: int = tokenizer.get_vocab_size()

    @property
    def identity(self) -> str:
        return ""

    @property
    def ends(self) -> tuple[list[int], list[int]]:
        return [self._tokenizer.token_to_id(CLS)], [self._tokenizer.token_to_id(SEP)]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._tokenizer.id_to_token(token) for token in ids)

    def save(self, folder: Path) -> None:
        self._tokenizer.save(str(folder / TOKENIZER_FILE))


def _unlimited(tokenizer: Any) -> Any:
    """A tokenizer of `tokenizers` that neither cuts nor pads, as its file may say."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def build_tokenizer(spec: ModelSpec, texts: Sequence[str]) -> TextTokenizer:
    """Load the backbone's tokenizer; for a network without one, learn a vocabulary from `texts` (training texts only).

    Raises WeightsNotFound, WeightsUnreadable, and CannotBuild when texts would be longer than the backbone can read.
    """
    if spec.max_tokens > (spec.backbone.max_tokens or math.inf):
        raise CannotBuild(
            "{backbone} reads at most {n} tokens, {asked} are asked for",
            "set input.max_tokens={n} or less",
            backbone=spec.backbone.name,
            n=spec.backbone.max_tokens,
            asked=spec.max_tokens,
        )
    if spec.backbone.library == "builtin":
        if spec.saved is None:
            return TrainedTokenizer(train_tokenizer(texts, spec.special_tokens))
        from tokenizers import Tokenizer

        with reading(spec.backbone, source_of(spec)):
            return TrainedTokenizer(Tokenizer.from_file(str(spec.saved / TOKENIZER_FILE)))
    from transformers import AutoConfig, AutoTokenizer

    quiet_transformers()
    weights = source_of(spec)
    with reading(spec.backbone, weights):
        is_kobert = (weights.path / PIECES_FILE).is_file() and AutoConfig.from_pretrained(weights.path, **LOCAL).model_type == "bert"
        tokenizer = _bert_of_pieces(weights.path) if is_kobert else AutoTokenizer.from_pretrained(weights.path, **LOCAL)
    if spec.special_tokens and tokenizer.add_tokens(list(spec.special_tokens), special_tokens=True) and not spec.learns_words:
        raise CannotBuild(
            "the tokens {tokens} are new to {backbone}, whose word embeddings stay as they are",
            "set model.lora=none or input.markers=punctuation, or write input.template without square brackets",
            tokens=", ".join(spec.special_tokens),
            backbone=spec.backbone.name,
        )
    return PretrainedTokenizer(tokenizer)


def _bert_of_pieces(folder: Path) -> Any:
    """The tokenizer of a BERT whose vocabulary is a model of sentencepiece, as KoBERT's: its own normalisation, and [CLS] and [SEP] around a text.

    transformers 5 takes it for XLNet's, needs sentencepiece to read it, decomposes Hangul syllables, which are no pieces then, and puts both tokens
    behind the text. KoBERT's own class also cuts a comma off a number, which this does not.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import SpmConverter, import_protobuf

    sentencepiece: Any = import_protobuf()
    proto = sentencepiece.ModelProto()
    proto.ParseFromString((folder / PIECES_FILE).read_bytes())
    tokenizer = SpmConverter.build_tokenizer_from_spm_proto(proto, [(piece.piece, piece.score) for piece in proto.pieces])
    ends = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = TemplateProcessing(single=f"{CLS} $A {SEP}", special_tokens=ends)
    named = {"pad_token": PAD, "unk_token": UNKNOWN, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def train_tokenizer(texts: Sequence[str], special: Sequence[str] = ()) -> Any:
    """Learn a lower-cased byte-pair vocabulary of about TINY_VOCABULARY tokens; every character of the texts is one of them, and every word of
    `special`.

    Byte pairs without a continuation prefix, because that is the trainer of `tokenizers` that gives the same vocabulary in
    every process: its WordPiece numbers the pieces in the order of a randomly seeded hash map (seen: three runs, three
    vocabularies), and a limit on the alphabet breaks ties in the same way.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.BertNormalizer(strip_accents=False, lowercase=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    whole = [*dict.fromkeys((PAD, UNKNOWN, CLS, SEP, *special))]
    trainer = trainers.BpeTrainer(vocab_size=TINY_VOCABULARY, min_frequency=2, special_tokens=whole, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{CLS} $A {SEP}", special_tokens=ends)
    return tokenizer


class TextClassifier(BackboneClassifier):
    """An encoder, pooled over its tokens, dropout, and a linear classifier."""

    def __init__(self, encoder: nn.Module, width: int, spec: ModelSpec) -> None:
        super().__init__()
        self.encoder = encoder
        self.kind: Pooling = spec.pooling or "mean"
        self.is_half = spec.base_dtype != "float32"
        self.layers = _layer_mix(encoder, spec)
        width *= FOUR if spec.layers == "last4_concat" else 1
        self.pooling = make_token_pool(self.kind, width)
        self.n_masks = spec.dropout_masks
        self.dropout = nn.Dropout(spec.dropout)
        self.classifier = nn.Linear(width, spec.n_outputs)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)
        self.coarse: nn.Linear | None = None

    def add_coarse_head(self, n_outputs: int) -> None:
        """A second linear head beside the classifier, for training only (`forward_both`); its parameters are those of COARSE_HEAD."""
        self.coarse = nn.Linear(self.classifier.in_features, n_outputs)
        nn.init.normal_(self.coarse.weight, std=0.02)
        nn.init.zeros_(self.coarse.bias)

    def forward_both(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (n, n_outputs), and those (n, n_coarse) of the coarse head."""
        assert self.coarse is not None  # asked of a network that has one
        pooled = self.pool(self.features(batch))
        return self.head(pooled), mean_over_masks(self.coarse, self.dropout, pooled, self.n_masks)

    def word_embeddings(self) -> nn.Embedding:
        return self.encoder.get_input_embeddings()  # pyright: ignore[reportCallIssue]

    def features(self, batch: dict[str, Tensor]) -> Features:
        """`input_ids` and `attention_mask` (n, length) int64 -> tokens (n, length, width).

        Where rows are mixed, `mixed_ids` (n, length) are those of the other row, and word embeddings are added up by `own_share` and
        `mixed_share` (n, length)."""
        mask, ids = batch["attention_mask"], batch["input_ids"]
        if "mixed_ids" not in batch:
            return Features(self._tokens(mask, input_ids=ids), mask)
        embed = self.word_embeddings()
        embedded = batch["own_share"][..., None] * embed(ids) + batch["mixed_share"][..., None] * embed(batch["mixed_ids"])
        return Features(self._tokens(mask, inputs_embeds=embedded.to(embed.weight.dtype)), mask)

    def _tokens(self, mask: Tensor, **inputs: Tensor) -> Tensor:
        """Tokens (n, length, width) out of the layers that the classifier reads."""
        if self.layers is None:
            tokens = self.encoder(attention_mask=mask, **inputs).last_hidden_state
        else:
            tokens = self.layers(self.encoder(attention_mask=mask, output_hidden_states=True, **inputs).hidden_states[1:])
        return tokens.float() if self.is_half else tokens

    def pool(self, features: Features) -> Tensor:
        return pool_tokens(self.kind, self.pooling, features.values, features.mask)

    def head(self, pooled: Tensor) -> Tensor:
        return mean_over_masks(self.classifier, self.dropout, pooled, self.n_masks)

    def depths(self) -> dict[str, int]:
        """0 for embeddings, then the encoder's blocks by their number; what belongs to no block is as deep as the last one."""
        numbers = {name: NUMBER.search(name) for name, _ in self.encoder.named_parameters()}
        last = max((int(number[1]) + 1 for number in numbers.values() if number), default=1)
        found = {
            f"encoder.{name}": int(number[1]) + 1 if number else 0 if EMBEDDING.search(name) else last for name, number in numbers.items()
        }
        return found | {name: last + 1 for name, _ in self.named_parameters() if name not in found}

    def checkpoint_gradients(self) -> None:
        if not getattr(self.encoder, "supports_gradient_checkpointing", False):
            raise CannotBuild("this network cannot compute its blocks again", "set model.grad_checkpointing=false")
        self.encoder.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]

    def save_description(self, folder: Path) -> None:
        """Write the configuration of an encoder of transformers, which is enough to build it again."""
        config = deepcopy(getattr(self.encoder, "config", None))
        if config is not None:
            if hasattr(config, "quantization_config"):  # how weights are held while adapters learn beside them; none is kept so
                del config.quantization_config
            config.save_pretrained(folder)


def _layer_mix(encoder: nn.Module, spec: ModelSpec) -> LayerMix | None:
    """What mixes the layers of an encoder; None where the last one alone is read. Raises CannotBuild where it shows none, or fewer than four."""
    if spec.layers == "last":
        return None
    n_layers: int = getattr(getattr(encoder, "config", None), "num_hidden_layers", 0)
    if n_layers < (FOUR if spec.layers.startswith("last4") else 1):
        what = "{backbone} has not the layers that are to be read"
        raise CannotBuild(what, "set model.layers=last", backbone=spec.backbone.name)
    return LayerMix(spec.layers, n_layers)


class TinyTransformer(nn.Module):
    """Two pre-norm layers of width 128 over learned positions; starts from nothing and trains in seconds. It answers as transformers do."""

    def __init__(self, vocab_size: int, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, TINY_WIDTH, padding_idx=0)
        self.positions = nn.Parameter(torch.zeros(TINY_MAX_TOKENS, TINY_WIDTH))
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(TINY_WIDTH, 4, 4 * TINY_WIDTH, dropout, activation="gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, TINY_LAYERS, norm=nn.LayerNorm(TINY_WIDTH), enable_nested_tensor=False)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.tokens

    def forward(self, attention_mask: Tensor, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None) -> SimpleNamespace:
        words = self.tokens(input_ids) if inputs_embeds is None else inputs_embeds
        embedded = words + self.positions[: words.shape[1]]
        return SimpleNamespace(last_hidden_state=self.layers(self.dropout(embedded), src_key_padding_mask=attention_mask == 0))


def build_text_model(spec: ModelSpec) -> TextClassifier:
    """Build the encoder (pretrained, or the same from nothing) with a fresh classifier of `n_outputs`."""
    if spec.backbone.library == "builtin":
        if spec.vocab_size < 1:
            raise CannotBuild("{backbone} needs the size of its vocabulary", "build the tokenizer first", backbone=spec.backbone.name)
        return TextClassifier(TinyTransformer(spec.vocab_size, spec.dropout), TINY_WIDTH, spec)
    from transformers import AutoConfig, AutoModel

    quiet_transformers()
    weights = source_of(spec)
    with reading(spec.backbone, weights):
        config = AutoConfig.from_pretrained(weights.path, **LOCAL)
        dtype = torch.float32 if spec.base_dtype == "float32" else torch.bfloat16
        if spec.pretrained:
            how = {"config": config, "dtype": dtype, "quantization_config": _quantised(spec), **LOCAL}
            encoder, loading = AutoModel.from_pretrained(weights.path, output_loading_info=True, **how)
            missing = sorted(key for key in loading["missing_keys"] if not key.startswith("pooler."))
            if missing:
                raise WeightsUnreadable(spec.backbone, weights, "tensors are missing", ", ".join(missing[:3]))
        else:
            encoder = AutoModel.from_config(config, dtype=dtype)
    if config.is_encoder_decoder:
        what = "{backbone} is an encoder with a decoder, which are no one sequence of tokens"
        raise CannotBuild(what, "choose an encoder or a decoder", backbone=spec.backbone.name)
    if any(getattr(module, "is_causal", False) for module in encoder.modules()):
        encoder.config.use_cache = False  # keys and values that would be kept for a next token
    if spec.special_tokens and spec.vocab_size > encoder.get_input_embeddings().num_embeddings:
        encoder.resize_token_embeddings(spec.vocab_size, mean_resizing=False)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # it was trained for next-sentence prediction; `pooling` reads the tokens instead
    model = TextClassifier(encoder, config.hidden_size, spec)
    if spec.pretrained:
        model.weights_place, model.weights_source = weights.place, weights.source
    return model


def _quantised(spec: ModelSpec) -> Any:
    """How bitsandbytes is to hold the weights of linear layers; None where it is not asked for."""
    if spec.base_dtype not in ("int8", "nf4"):
        return None
    from transformers import BitsAndBytesConfig

    if spec.base_dtype == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def source_of(spec: ModelSpec) -> Weights:
    """Where tokenizer and configuration are read: the folder of a trained network, or the place of pretrained weights."""
    if spec.weights is not None:
        return spec.weights
    if spec.saved is not None:
        return Weights("network", spec.saved, spec.saved.name)
    return find_weights(spec.backbone, spec.weights_dir)


def quiet_transformers() -> None:
    """Progress bars and advice belong to notebooks; a worker's log keeps what matters."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
