"""The vocabulary that is learned for a small text network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.tokens import Cut
from core.specs.data_settings import InputSettings
from models.catalog import find_backbone
from models.spec import ModelSpec
from models.text import PretrainedTokenizer, TrainedTokenizer, build_tokenizer, train_tokenizer

ROOT = Path(__file__).parents[2]
TEXTS = [
    f"{who} {does} {what} {number}"
    for number, who in enumerate(("Ministers", "선수들", "Banks"))
    for does in ("praise", "이긴다", "delay")
    for what in ("vote", "경기", "rates")
]
PROGRAM = f"""
import hashlib
from models.text import train_tokenizer
print(hashlib.sha256(train_tokenizer({TEXTS!r}).to_str().encode()).hexdigest())
"""


@pytest.mark.slow
def test_equal_texts_give_the_same_vocabulary_in_every_process() -> None:
    seen = {subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(3)}
    assert len(seen) == 1


def test_every_character_of_the_texts_is_known_and_case_is_not_told_apart() -> None:
    tokenizer = TrainedTokenizer(train_tokenizer(TEXTS))
    unknown = tokenizer.encode(["\u2603"])[0]
    known = tokenizer.encode(["선수들 경기 rates", "MINISTERS"])
    assert not set(unknown) & {token for tokens in known for token in tokens}
    assert tokenizer.encode(["ministers"]) == known[1:]


@pytest.mark.parametrize("template", ["[CLS] $A [SEP]", "$A [SEP]", "[CLS] $A", "$A"])
@pytest.mark.parametrize("is_limited", [True, False])
def test_what_is_read_is_what_transformers_reads(template: str, is_limited: bool) -> None:
    """Special tokens on either side, and a file that says to cut and to pad by itself, as sentence-transformers' do."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    made = train_tokenizer(TEXTS)
    made.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]") if token in template]
    )
    if is_limited:
        made.enable_truncation(4)
        made.enable_padding(length=12)
    theirs = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]")
    ours = PretrainedTokenizer(theirs)
    cut = Cut.made(InputSettings(max_tokens=8), *ours.ends)
    texts = ["", "vote", *(" ".join(TEXTS[:n]) for n in (1, 2, 6))]
    read = [cut.window(np.array(ids, dtype=np.int32)).tolist() for ids in ours.encode(texts)]
    assert read == theirs(texts, truncation=True, max_length=8)["input_ids"]
    assert ours.identity == PretrainedTokenizer(theirs).identity


def write_kobert(folder: Path) -> None:
    """The configuration of a BERT with a vocabulary of sentencepiece, laid out as KoBERT's: [UNK] [PAD] [CLS] [SEP] [MASK], then pieces."""
    from transformers import BertConfig
    from transformers.convert_slow_tokenizer import import_protobuf

    model = import_protobuf().ModelProto()
    kinds = {"[UNK]": 2, **dict.fromkeys(("[PAD]", "[CLS]", "[SEP]", "[MASK]"), 3)}
    for place, piece in enumerate((*kinds, "▁", "▁한국어", "▁모델", "을", "▁공유", "합니다", ".", *"한국어모델공유합니다")):
        model.pieces.add(piece=piece, score=-float(place), type=kinds.get(piece, 1))
    model.trainer_spec.unk_id, model.trainer_spec.unk_piece = 0, "[UNK]"
    model.normalizer_spec.add_dummy_prefix = model.normalizer_spec.escape_whitespaces = True
    model.normalizer_spec.remove_extra_whitespaces = True
    BertConfig(vocab_size=len(model.pieces), hidden_size=16, num_attention_heads=2, num_hidden_layers=1).save_pretrained(folder)
    (folder / "spiece.model").write_bytes(model.SerializeToString())
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "XLNetTokenizer"}')
    (folder / "model.safetensors").touch()


def test_kobert_reads_hangul_by_its_own_pieces_between_cls_and_sep(tmp_path: Path) -> None:
    """transformers takes its tokenizer for XLNet's, which decomposes syllables: each of them would be unknown."""
    write_kobert(tmp_path / "skt/kobert-base-v1")
    spec = ModelSpec(find_backbone("skt/kobert-base-v1"), 2, tmp_path, max_tokens=16)
    tokenizer = build_tokenizer(spec, [])
    assert isinstance(tokenizer, PretrainedTokenizer)
    (read,) = tokenizer.encode(["한국어  모델을 공유합니다."])
    assert read == [6, 7, 8, 9, 10, 11] and tokenizer.ends == ([2], [3]) and tokenizer.pad_id == 1
    kept = tmp_path / "kept"
    kept.mkdir()
    tokenizer.save(kept)
    shutil.copyfile(tmp_path / "skt/kobert-base-v1/config.json", kept / "config.json")
    again = build_tokenizer(replace(spec, saved=kept), [])
    assert isinstance(again, PretrainedTokenizer) and again.identity == tokenizer.identity and again.ends == tokenizer.ends
