"""A text encoder with the head that fills in masked tokens, for pretraining that goes on (BERT, Devlin et al. 2019, arXiv 1810.04805)."""

from typing import Any

import torch
from torch import Tensor, nn

from models.spec import CannotBuild, ModelSpec
from models.text import LOCAL, quiet_transformers, source_of
from models.weights import WeightsUnreadable, reading


class MaskedLM(nn.Module):
    """An encoder and the head over it; `fresh` are the tensors of the head that the pretrained weights did not hold.

    The head reads the chosen tokens alone: over all of them a vocabulary of 30,000 would take longer than a small encoder.
    """

    def __init__(self, model: Any, source: str, fresh: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder: Any = model.base_model
        setattr(model, model.base_model_prefix, _AsGiven())
        self.head = model
        self.source, self.fresh = source, fresh

    def forward(self, input_ids: Tensor, attention_mask: Tensor, chosen: Tensor) -> Tensor:
        """All three (n, length), the last one bool, with m true places: logits (m, vocabulary) of these, row after row."""
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(inputs_embeds=tokens[chosen][None]).logits[0]


class _AsGiven(nn.Module):
    """In the place of the encoder inside the head's network: its output is what it is given."""

    def forward(self, *_positional: Any, inputs_embeds: Tensor, **_named: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=inputs_embeds)  # type: ignore[arg-type]


def build_masked_lm(spec: ModelSpec) -> MaskedLM:
    """Load a pretrained encoder with its head, which starts fresh where the weights hold none, as those of ELECTRA and sentence encoders.

    Raises WeightsNotFound, WeightsUnreadable, and CannotBuild for a network without such a head.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModelForMaskedLM

    quiet_transformers()
    weights = source_of(spec)
    with reading(spec.backbone, weights):
        config = AutoConfig.from_pretrained(weights.path, **LOCAL)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder:
        raise CannotBuild("{backbone} does not fill in masked tokens", "choose an encoder such as BERT", backbone=spec.backbone.name)
    with reading(spec.backbone, weights):
        model, loading = AutoModelForMaskedLM.from_pretrained(
            weights.path, config=config, dtype=torch.float32, output_loading_info=True, **LOCAL
        )
        inside = f"{model.base_model_prefix}."
        missing = sorted(name for name in loading["missing_keys"] if not name.startswith(f"{inside}pooler."))
        if lost := [name for name in missing if name.startswith(inside)]:
            raise WeightsUnreadable(spec.backbone, weights, "tensors are missing", ", ".join(lost[:3]))
    if spec.special_tokens and spec.vocab_size > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(spec.vocab_size, mean_resizing=False)
    return MaskedLM(model, f"{weights.place}: {weights.source}", tuple(missing))
