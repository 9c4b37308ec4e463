"""The layers of residual networks: torch's, or bare ones that wait for the numbers of a folded file.

Building torch's layers, drawing initial values and folding batch norms takes longer than reading a file. Within
`bare_layers` networks are built of what remains after folding: convolutions without numbers, no norms.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

_BARE: ContextVar[bool] = ContextVar("bare", default=False)


@contextmanager
def bare_layers() -> Iterator[None]:
    """Within, `conv` and `norm` make layers as they are after folding (`limner.expose.fold`), without numbers."""
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


class FastConv(nn.Module):
    """A convolution, norm folded in, that does what follows it in one pass over memory: sum with a shortcut, ReLU.

    CPU, float32, inference only. Called as (x, shortcut, relu); where it `enlarges`, also with a zoom.
    """

    enlarges = False
    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Float[Tensor, "D C k k"], bias: Float[Tensor, "D"]):
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.relu = False


def conv_norm(
    x: Float[Tensor, "B c h w"],
    conv: nn.Module,
    norm: nn.Module,
    shortcut: Float[Tensor, "B d i j"] | None = None,
    relu: bool = True,
) -> Float[Tensor, "B d i j"]:
    """norm(conv(x)) (+ shortcut) (then ReLU): the step of all residual networks."""
    if isinstance(conv, FastConv):
        return conv(x, shortcut, relu)
    x = norm(conv(x))
    if shortcut is not None:
        x = x + shortcut
    return torch.relu(x) if relu else x


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
