"""Folding and fusing: a trained convolutional network runs faster and stays the same function."""

import copy
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.expose.pointwise import PointwiseConv, suits
from limner.expose.winograd import Room, WinogradConv, kernel, tile_for
from limner.networks.layers import FastConv
from limner.networks.regressor import IterativeRegressor

M = TypeVar("M", bound=nn.Module)


class FusedConv(FastConv):
    """oneDNN's convolution, of any kind.

    At the first call, and whenever maps of another size come, the weights are put into the order that oneDNN likes best
    for that size, instead of being reordered at every call. Batch sizes do not matter.
    """

    def __init__(self, weight: Float[Tensor, "D C k k"], bias: Float[Tensor, "D"], conv: nn.Conv2d):
        super().__init__(weight, bias)
        self.window = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.ordered_for: tuple[int, ...] | None = None

    def _order_weights(self, shape: tuple[int, ...]) -> None:
        plain = self.weight.to_dense() if self.weight.is_mkldnn else self.weight
        reorder = torch._C._nn.mkldnn_reorder_conv2d_weight
        self.weight = reorder(plain.to_mkldnn(), *self.window, [1, *shape])  # type: ignore[call-arg]
        self.ordered_for = shape

    def forward(
        self, x: Float[Tensor, "B c h w"], shortcut: Float[Tensor, "B d i j"] | None = None, relu: bool = False
    ) -> Float[Tensor, "B d i j"]:
        if self.ordered_for != x.shape[1:]:
            self._order_weights(tuple(x.shape[1:]))
        after = "relu" if relu or self.relu else None
        operator = torch.ops.mkldnn._convolution_pointwise
        if shortcut is None:
            return operator(x, self.weight, self.bias, *self.window, after or "none", [], "")
        return operator.binary(x, shortcut, self.weight, self.bias, *self.window, "add", None, after, [], None)


def folded(network: M) -> M:
    """A copy with every batch norm (running statistics) folded into the convolution before it.

    Pairs are `convN` and `bnN` of one module, and neighbours in a Sequential; the norm's place keeps an Identity. What
    is not folded is shared with the original, not copied.
    """
    return _folded(network).eval()


def _folded(network: M) -> M:
    twin = copy.copy(network)
    twin._modules = {name: _folded(child) for name, child in network.named_children()}
    for first, second in _pairs(network):
        conv, norm = twin._modules[first], twin._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            twin._modules[first], twin._modules[second] = _merged(conv, norm), nn.Identity()
    return twin


def _merged(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """norm(conv(x)) as one convolution: scale = weight / sqrt(var + eps)."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    with torch.no_grad():
        weight: Tensor = conv.weight
        bias: Tensor = norm.bias
        if not weight.is_meta:  # without numbers only the shapes count
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = weight * scale[:, None, None, None]
            bias = bias - norm.running_mean * scale
            if conv.bias is not None:
                bias = bias + conv.bias * scale
    twin = copy.copy(conv)
    twin._parameters = {
        "weight": nn.Parameter(weight, requires_grad=False),
        "bias": nn.Parameter(bias, requires_grad=False),
    }
    return twin


def folded_regressor(regressor: IterativeRegressor) -> "IterativeRegressor | AffineRegressor":
    """The same function of the features as one affine map a stage, started from the mean, for inference.

    Worked out in float64. A regressor with activations is not affine and stays as it is.
    """
    if regressor.activation != "none":
        return regressor
    after = torch.eye(regressor.from_features.out_features, dtype=torch.float64)
    bias = regressor.from_features.bias.detach().double()
    for layer in (*regressor.hidden, regressor.output):
        weight = layer.weight.detach().double()
        after, bias = weight @ after, weight @ bias + layer.bias.detach().double()
    by_features = after @ regressor.from_features.weight.detach().double()
    step = torch.eye(len(regressor.mean), dtype=torch.float64) + after @ regressor.from_state.weight.detach().double()
    weight, constant = torch.zeros_like(by_features), regressor.mean.double()
    weights, biases = [], []
    for _ in range(regressor.stages):
        weight, constant = step @ weight + by_features, step @ constant + bias
        weights.append(weight)
        biases.append(constant)
    return AffineRegressor(torch.stack(weights).to(regressor.mean), torch.stack(biases).to(regressor.mean))


class AffineRegressor(nn.Module):
    """A folded linear regressor: vector of stage s = weight[s] features + bias[s]."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Float[Tensor, "S P F"], bias: Float[Tensor, "S P"]):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, features: Float[Tensor, "B F"]) -> tuple[Float[Tensor, "B P"], ...]:
        """The vectors after every stage, the last one is the result."""
        stages = nn.functional.linear(features, self.weight.flatten(0, 1), self.bias.flatten())
        return stages.unflatten(-1, self.bias.shape).unbind(1)


def can_fuse() -> bool:
    """Whether this build of torch has oneDNN's fused convolutions (x86 and ARM wheels do)."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def fused(network: M) -> M:
    """A folded network with fast convolutions (and the ReLU after them in a Sequential); a copy.

    3x3 convolutions go Winograd's way (`WinogradConv`) where this machine has code for it, others are `FusedConv`.
    Where torch was built without oneDNN the folded network itself comes back. CPU, float32; maps are channels-last.
    """
    if not can_fuse():
        return network
    return _fused(network, Room() if kernel(4) is not None else None)


def _fused(module: M, room: Room | None) -> M:
    twin = copy.copy(module)
    twin._modules = {}
    previous: nn.Module | None = None  # in a Sequential: the last child that does something
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            new = _fast(child, room)
        elif isinstance(child, nn.ReLU) and isinstance(previous, FastConv):
            previous.relu, new = True, nn.Identity()
        else:
            new = _fused(child, room)
        twin._modules[name] = new
        if isinstance(module, nn.Sequential) and not isinstance(new, nn.Identity):
            previous = new
    return twin


def _fast(conv: nn.Conv2d, room: Room | None) -> nn.Module:
    tile = tile_for(conv)
    weight = conv.weight.detach()
    bias = weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    if room is not None and tile is not None:
        return WinogradConv(weight, bias, tile, room)
    if room is not None and suits(conv):
        return PointwiseConv(weight, bias)
    return FusedConv(weight, bias, conv)


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of children that may be a convolution and what normalises it."""
    names = [name for name, _ in module.named_children()]
    if isinstance(module, nn.Sequential):
        return list(zip(names, names[1:], strict=False))
    pairs = [(name, name.replace("conv", "bn")) for name in names if name.startswith("conv")]
    return [pair for pair in pairs if pair[1] in names]
