"""Gradients of depthwise convolutions in fp32 where a processor trains in bf16."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

_CONVOLUTION_BACKWARD = "aten::convolution_backward"


def fp32_gradients(model: nn.Module) -> dict[str, str]:
    """From now on depthwise convolutions have their gradients computed in fp32 on the processor, also under bf16 autocast; what they predict stays
    as it is. A name and a value for the identity of a checkpoint where `model` has any, else nothing.

    oneDNN 3.12 has no bf16 kernel for the gradients of a 5 x 5 depthwise kernel, or of one with a stride: what it takes instead needs four to
    forty times as long as fp32, nine tenths of the convolutions of a step of EfficientNet-Lite0.
    """
    if not any(isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.weight.shape[1] == 1 for layer in model.modules()):
        return {}
    _register()
    return {"depthwise_gradients": "fp32"}


@cache
def _register() -> torch.library.Library:
    """The kernel, once for a process; it is there as long as the library is."""
    kernel = torch.library.get_kernel(_CONVOLUTION_BACKWARD, "CPU")

    def backward(keys: torch.DispatchKeySet, gradient: Tensor, pixels: Tensor, weight: Tensor, *how: Any) -> Any:
        is_depthwise = weight.ndim == 4 and weight.shape[1] == 1 and how[-2] > 1  # how many groups
        if not is_depthwise or weight.dtype != torch.bfloat16:
            return kernel.call_boxed(keys, gradient, pixels, weight, *how)
        found = kernel.call_boxed(keys, gradient.float(), pixels.float(), weight.float(), *how)
        return tuple(one if one is None else one.bfloat16() for one in found)

    library = torch.library.Library("aten", "IMPL")
    library.impl("convolution_backward", backward, "CPU", with_keyset=True)
    return library
