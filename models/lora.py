"""LoRA (Hu et al. 2021, arXiv 2106.09685): a text encoder stays as it is, and small matrices beside its linear layers learn, by the library peft.

While it trains, the state of such a network is its adapters and its head alone: checkpoints and kept epochs are small, and know nothing of the base.
In the end the adapters are merged, so that what is kept is a network like any other, which needs no peft.
"""

import hashlib
import re
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from models.spec import CannotBuild, Classifier
from models.text import TextClassifier

ATTENTION = re.compile(r"attn|attention")
"""What the path of a linear layer of attention has in it, in every family."""
BYTES_PER_HELD = {torch.uint8: 4, torch.int8: 2}
"""Bytes of bfloat16 weights for each byte that bitsandbytes holds them in: uint8 has two weights of four bits."""


def add_lora(model: TextClassifier, *, rank: int, alpha: float, dropout: float, layers: Literal["all", "attention"]) -> None:
    """Freeze the encoder and put matrices of `rank` beside its linear layers, all of them or those of attention, times alpha / rank; the second
    one is zero at first, so that the network gives what it gave. Raises CannotBuild where there are no such layers."""
    from peft import LoraConfig, inject_adapter_in_model

    targets = [
        name
        for name, module in model.encoder.named_modules()
        if isinstance(module, nn.Linear) and (layers == "all" or ATTENTION.search(name))
    ]
    if not targets:
        raise CannotBuild("this network has no linear layers that LoRA could stand beside", "set model.lora=none")
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)  # pyright: ignore[reportArgumentType]  # alpha may be a fraction
    inject_adapter_in_model(config, model.encoder)
    for name, parameter in model.encoder.named_parameters():
        if ".lora_" in name:  # peft makes them in the type of the base
            parameter.data = parameter.data.float()
    model.register_state_dict_post_hook(_leave_base_out)
    model.register_load_state_dict_post_hook(_expect_no_base)


def has_lora(model: nn.Module) -> bool:
    """Whether a network has adapters that are not merged."""
    return any(".lora_" in name for name, _ in model.named_parameters())


@torch.no_grad()
def merge_lora(model: nn.Module) -> None:
    """Add the adapters to the weights that they stand beside, computed in float32, and take them out; a base that bitsandbytes holds becomes
    bfloat16. From now on the state of the network is all of it."""
    from peft.tuners.lora import LoraLayer
    from peft.utils.integrations import dequantize_module_weight

    assert isinstance(model, TextClassifier)  # no other has adapters
    encoder: Any = model.encoder
    modules: list[tuple[str, Any]] = list(encoder.named_modules())
    for name, module in modules:
        is_adapted = isinstance(module, LoraLayer)
        base: Any = module.get_base_layer() if is_adapted else module
        is_held = isinstance(base, nn.Linear) and base.weight.dtype in BYTES_PER_HELD
        if name.endswith(".base_layer") or not (is_adapted or is_held):
            continue
        weight = dequantize_module_weight(base).float()
        if is_adapted:
            weight = weight + cast("Any", module).get_delta_weight("default").float()
        if is_held:
            bias = None if base.bias is None else nn.Parameter(base.bias.to(torch.bfloat16))
            base = nn.Linear(base.in_features, base.out_features, bias=False, device=weight.device, dtype=torch.bfloat16)
            base.register_parameter("bias", bias)
        base.weight.copy_(weight)
        encoder.set_submodule(name, base)


def base_digest(model: nn.Module) -> str:
    """The sha256 of the encoder's weights beside its adapters, which are in no checkpoint: names, types and bytes."""
    found = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if _is_of_base(name):
            found.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
            found.update(parameter.detach().cpu().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def kept_bytes(model: Classifier) -> int:
    """The bytes of the weights that are kept of a network in the end: of one with adapters those of the network they are merged into."""
    tensors: dict[str, Tensor] = {**model.state_dict(), **dict(model.named_parameters())}
    return sum(BYTES_PER_HELD.get(tensor.dtype, 1) * tensor.nbytes for name, tensor in tensors.items() if ".lora_" not in name)


def _is_of_base(name: str) -> bool:
    """Whether a tensor belongs to the encoder as it was, by its name in the network or in what holds the network."""
    return "encoder." in name and ".lora_" not in name


def _leave_base_out(model: nn.Module, state: dict[str, Any], _prefix: str, _metadata: object) -> None:
    if has_lora(model):
        for name in list(filter(_is_of_base, state)):
            del state[name]


def _expect_no_base(model: nn.Module, keys: Any) -> None:
    if has_lora(model):
        keys.missing_keys[:] = [name for name in keys.missing_keys if not _is_of_base(name)]
