"""What are Blaze networks and MoveNet made of: padded convolutions, inverted bottlenecks, separable blocks."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad, relu6


class Conv(nn.Module):
    """Convolution with bias, optionally depthwise, optionally followed by ReLU6.

    Stride 1 pads evenly. At stride 2 the graphs disagree: most pad k // 2 on every side, those with TensorFlow's
    'SAME' rule (`tf_same`) pad k - 2 in all, the larger half at the right and bottom.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        relu6: bool = False,
        tf_same: bool = False,
    ) -> None:
        super().__init__()
        uneven = tf_same and stride > 1
        before = (kernel - stride) // 2
        self.uneven_pad = (before, kernel - stride - before) * 2 if uneven else None
        self.relu6 = relu6
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, 0 if uneven else kernel // 2, groups=inputs if depthwise else 1
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        if self.uneven_pad is not None:
            x = pad(x, self.uneven_pad)
        x = self.conv(x)
        return relu6(x, inplace=True) if self.relu6 else x  # saves a third of the whole network's time


class Separable(nn.Module):
    """Depthwise 3x3, then 1x1 to `outputs` channels, each with ReLU6."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = Conv(inputs, inputs, 3, depthwise=True, relu6=True)
        self.pointwise = Conv(inputs, outputs, relu6=True)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.pointwise(self.depthwise(x))


class BlazeBlock(nn.Module):
    """Residual separable block: activation(shortcut + pointwise(depthwise(x))).

    At stride 2 the shortcut is a 2x2 maximum; where channels grow, it is filled up with zeros.
    The activation is ReLU6, or one learned slope a channel (PReLU) with `prelu`.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, relu6_between: bool = False, prelu: bool = False
    ) -> None:
        super().__init__()
        self.stride, self.extra = stride, outputs - inputs
        self.depthwise = Conv(inputs, inputs, 3, stride=stride, depthwise=True, relu6=relu6_between, tf_same=True)
        self.pointwise = Conv(inputs, outputs)
        self.activation: nn.Module = nn.PReLU(outputs) if prelu else nn.ReLU6()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        shortcut = max_pool2d(x, 2) if self.stride == 2 else x
        if self.extra:
            shortcut = pad(shortcut, (0, 0, 0, 0, 0, self.extra))
        return self.activation(shortcut + self.pointwise(self.depthwise(x)))


class BlockSpec(NamedTuple):
    """One inverted bottleneck: depthwise kernel and stride, expanded and output channels."""

    kernel: int
    stride: int
    expanded: int
    outputs: int


class InvertedBottleneck(nn.Module):
    """1x1 to many channels, depthwise, 1x1 back (linear); residual where shapes allow (MobileNetV2)."""

    def __init__(self, inputs: int, spec: BlockSpec, *, tf_same: bool) -> None:
        super().__init__()
        self.residual = spec.stride == 1 and inputs == spec.outputs
        self.expand = Conv(inputs, spec.expanded, relu6=True)
        self.depthwise = Conv(
            spec.expanded,
            spec.expanded,
            spec.kernel,
            stride=spec.stride,
            depthwise=True,
            relu6=True,
            tf_same=tf_same,
        )
        self.project = Conv(spec.expanded, spec.outputs)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def bottleneck_stages(inputs: int, stages: tuple[tuple[BlockSpec, ...], ...], *, tf_same: bool) -> nn.ModuleList:
    """One sequence of inverted bottlenecks a stage, each fed by the one before."""
    made = nn.ModuleList()
    for specs in stages:
        blocks = []
        for spec in specs:
            blocks.append(InvertedBottleneck(inputs, spec, tf_same=tf_same))
            inputs = spec.outputs
        made.append(nn.Sequential(*blocks))
    return made


class Trunk(nn.Module):
    """Encoder of the pose and hand networks: EfficientNet-B0 without its attention, ReLU6 throughout.

    Returns the outputs at strides 2, 4, 8, 16 (linear, before the next stage) and the top at stride 32 (ReLU6).
    """

    def __init__(self, stages: tuple[tuple[BlockSpec, ...], ...], *, tf_same: bool) -> None:
        super().__init__()
        self.stem = Conv(3, 24, 3, stride=2, relu6=True, tf_same=tf_same)
        self.first_depthwise = Conv(24, 24, 3, depthwise=True, relu6=True)
        self.first_project = Conv(24, 16)
        self.stages = bottleneck_stages(16, stages, tf_same=tf_same)
        channels = stages[-1][-1].outputs
        top = 6 * channels
        self.top_expand = Conv(channels, top, relu6=True)
        self.top_depthwise = Conv(top, top, 3, depthwise=True, relu6=True)

    def outputs(self, x: Float[Tensor, "B 3 H W"], stages: int) -> list[Tensor]:
        """Outputs at stride 2 and of the first `stages` stages."""
        outputs = [self.first_project(self.first_depthwise(self.stem(x)))]
        for stage in self.stages[:stages]:
            outputs.append(stage(outputs[-1]))
        return outputs

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> tuple[list[Tensor], Tensor]:
        outputs = self.outputs(x, len(self.stages))
        return outputs[:-1], self.top_depthwise(self.top_expand(outputs[-1]))


def upsample(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
    """Twice the size, bilinear, pixel centres at half coordinates."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def as_input(pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Channels-last memory: 1x1 convolutions dominate and become plain matrix products."""
    return pixels.to(memory_format=torch.channels_last)


def cells_near(
    maps: Float[Tensor, "B K h w"], column: Int[Tensor, "B K"], row: Int[Tensor, "B K"], window: int
) -> Float[Tensor, "B K window window"]:
    """The cells of each map about one of its cells; beyond the map's edge the cell at the edge again."""
    height, width = maps.shape[-2:]
    reach = torch.arange(window, device=maps.device) - window // 2
    columns = (column[..., None] + reach).clamp(0, width - 1)
    rows = (row[..., None] + reach).clamp(0, height - 1)
    index = rows[..., :, None] * width + columns[..., None, :]
    return maps.flatten(2).gather(2, index.flatten(2)).unflatten(2, (window, window))
