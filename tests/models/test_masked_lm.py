"""An encoder with the head that fills in masked tokens: what it gives, and what has none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from models.catalog import Backbone
from models.masked_lm import build_masked_lm
from models.spec import CannotBuild, ModelSpec
from models.weights import WeightsUnreadable
from tests.models.test_text_families import built
from tests.training.masked_bert import FAMILIES, write_encoder


def spec_of(weights_dir: Path) -> ModelSpec:
    return ModelSpec(Backbone("small", "text", "transformers", "", 0.0, 0, 64, "", "", "", ""), 0, weights_dir)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_over_chosen_tokens_gives_what_transformers_gives_over_all(family: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "small", family)
    model = build_masked_lm(spec_of(tmp_path)).eval()
    ids = torch.randint(5, 60, (2, 7), generator=torch.Generator().manual_seed(1))
    mask, chosen = torch.ones_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    chosen[0, 2] = chosen[1, 1] = chosen[1, 5] = True
    with torch.no_grad():
        whole = AutoModelForMaskedLM.from_pretrained(folder).eval()(input_ids=ids, attention_mask=mask).logits
        assert torch.allclose(model(ids, mask, chosen), whole[chosen], atol=1e-5)
        assert model(ids, mask, torch.zeros_like(chosen)).shape[0] == 0
    assert model.fresh == () and model.source == "workspace: small"


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_without_a_head_get_a_fresh_one_and_the_encoder_leaves_as_a_plain_folder(family: str, tmp_path: Path) -> None:
    write_encoder(tmp_path / "small", family, has_head=False)
    model = build_masked_lm(spec_of(tmp_path))
    assert model.fresh and all(parameter.requires_grad for parameter in model.parameters())
    model.encoder.save_pretrained(tmp_path / "left")
    before, after = (AutoModel.from_pretrained(tmp_path / name).state_dict() for name in ("small", "left"))
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("pooler."))


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text"])
def test_a_decoder_is_refused(family: str, tmp_path: Path) -> None:
    encoder = built(family, tmp_path / "built", "last").encoder
    encoder.save_pretrained(tmp_path / "small")  # type: ignore[operator]
    write_tokenizer_of = write_encoder(tmp_path / "other")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "small" / file).write_bytes((write_tokenizer_of / file).read_bytes())
    with pytest.raises(CannotBuild, match="does not fill in masked tokens"):
        build_masked_lm(spec_of(tmp_path))


def test_an_encoder_whose_tensors_are_missing_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "small")
    model = AutoModelForMaskedLM.from_pretrained(folder)
    kept = {name: tensor for name, tensor in model.state_dict().items() if ".layer.1." not in name}
    model.save_pretrained(folder, state_dict=kept)
    with pytest.raises(WeightsUnreadable, match="tensors are missing"):
        build_masked_lm(spec_of(tmp_path))
