"""Which layers is a residual network built of? Torch's, or bare ones that wait for the numbers of a folded file.

Building torch's layers, drawing initial values and folding batch norms takes longer than reading a file. Within
`bare_layers` networks are built of what remains after folding: convolutions without numbers, no norms.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_BARE: ContextVar[bool] = ContextVar("bare", default=False)


@contextmanager
def bare_layers() -> Iterator[None]:
    """Within, `conv` and `norm` make layers as they are after `limner.networks.fold.folded`, without numbers."""
    token = _BARE.set(True)
    try:
        yield
    finally:
        _BARE.reset(token)


def conv(
    channels_in: int, channels: int, size: int, stride: int = 1, bias: bool = False, normed: bool = True
) -> nn.Conv2d:
    """A convolution whose border keeps the size of the map; `normed`: a `norm` follows."""
    if _BARE.get():
        return BareConv(channels_in, channels, size, stride, bias or normed)
    return nn.Conv2d(channels_in, channels, size, stride, size // 2, bias=bias)


def norm(channels: int) -> nn.Module:
    """Batch norm, or its place after folding."""
    return nn.Identity() if _BARE.get() else nn.BatchNorm2d(channels)


class BareConv(nn.Conv2d):
    """A convolution whose weight and bias are shapes until `fill` puts numbers there."""

    def __init__(self, channels_in: int, channels: int, size: int, stride: int, bias: bool):
        nn.Module.__init__(self)
        self.__dict__.update(
            in_channels=channels_in, out_channels=channels, kernel_size=(size, size), stride=(stride, stride),
            padding=(size // 2, size // 2), dilation=(1, 1), groups=1, padding_mode="zeros",
        )  # fmt: skip
        self._parameters["weight"] = _shape(channels, channels_in, size, size)
        self._parameters["bias"] = _shape(channels) if bias else None


def _shape(*sizes: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(sizes, device="meta"), requires_grad=False)


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Tensors become a network's parameters and buffers, not copied; names that are not given stay as they are."""
    for prefix, module in network.named_modules():
        for name, old in module._parameters.items():
            given = tensors.get(f"{prefix}.{name}")
            if old is not None and given is not None:
                module._parameters[name] = nn.Parameter(given, requires_grad=False)
        for name in module._buffers:
            if f"{prefix}.{name}" in tensors:
                module._buffers[name] = tensors[f"{prefix}.{name}"]
