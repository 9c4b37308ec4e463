"""HRNet-W48 with ExPose's tail: the backbone of the official body network.

Wang et al., "Deep High-Resolution Representation Learning", TPAMI 2020; parameter names are those of the public
classification code. Stage 4 is part of official checkpoints but never runs, so it is not built here.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.networks.backbone import Features, Normalise
from limner.networks.layers import FastConv, conv, conv_norm, norm
from limner.networks.resnet import BasicBlock, Bottleneck, layer

WIDTHS = (48, 96, 192, 384)
"""Channels of the branches at 1/4, 1/8, 1/16 and 1/32 of the crop."""


def _step_down(channels_in: int, channels: int, relu: bool = True, bias: bool = False) -> list[nn.Module]:
    """3x3 convolution with stride 2, batch norm, ReLU."""
    step: list[nn.Module] = [conv(channels_in, channels, 3, 2, bias), norm(channels)]
    return [*step, nn.ReLU(inplace=True)] if relu else step


class Exchange(nn.Module):
    """Branches at several resolutions, each of four blocks, then every branch gets the sum of all.

    Coarser maps come up by 1x1 convolution and nearest-neighbour enlargement, finer ones down by strided convolutions.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        count = range(len(widths))
        self.branches = nn.ModuleList(layer(BasicBlock, width, width, 4) for width in widths)
        self.fuse_layers = nn.ModuleList(nn.ModuleList(_route(widths, i, j) for j in count) for i in count)

    def forward(self, maps: list[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B _ _ _"]]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [_sum_at(i, maps, routes) for i, routes in enumerate(cast(Iterable[nn.ModuleList], self.fuse_layers))]


def _sum_at(i: int, maps: list[Tensor], routes: Iterable[nn.Module]) -> Tensor:
    """ReLU of what all branches bring to branch i."""
    total, last = maps[i], len(maps) - 1
    for j, (x, route) in enumerate(zip(maps, routes, strict=True)):
        if j > i:
            total = _enlarged(x, cast(nn.Sequential, route), total, 2 ** (j - i), relu=j == last)
        elif j < i:  # the sum rides along with the last convolution, and so does the ReLU of the coarsest branch
            *steps, (last_conv, last_norm) = cast(Iterable[Any], route)
            for step in steps:
                x = step(x)
            total = conv_norm(x, last_conv, last_norm, total, relu=i == last and j == i - 1)
    return total


def _enlarged(x: Tensor, route: nn.Sequential, total: Tensor, zoom: int, relu: bool) -> Tensor:
    """What a coarser branch brings, enlarged, and the sum so far."""
    first = route[0]
    if isinstance(first, FastConv) and first.enlarges:
        return first(x, total, relu, zoom)
    total = total + interpolate(route(x), scale_factor=float(zoom), mode="nearest")
    return torch.relu(total) if relu else total


def _route(widths: Sequence[int], to: int, start: int) -> nn.Module:
    """From branch `start` to branch `to` (without the enlargement, which has no parameters)."""
    if start > to:
        return nn.Sequential(conv(widths[start], widths[to], 1), norm(widths[to]))
    if start == to:
        return nn.Identity()
    here, goal = widths[start], widths[to]
    steps = [nn.Sequential(*_step_down(here, here)) for _ in range(to - start - 1)]
    return nn.Sequential(*steps, nn.Sequential(*_step_down(here, goal, relu=False)))


class HRNet(nn.Module):
    """HRNet-W48 up to stage 3, then ExPose's tail at 1/32: a `Backbone` with 2048 features.

    The tail brings branches 1 and 2 down to the resolution of the new branch 3, concatenates the three and runs five
    bottlenecks; branch 0 takes part through the exchanges only.
    """

    def __init__(self, crop_size: int = 256):
        super().__init__()
        w0, w1, w2, w3 = WIDTHS
        self.crop_size, self.num_features = crop_size, 2048
        self.normalise = Normalise()
        self.conv1 = conv(3, 64, 3, 2)
        self.bn1 = norm(64)
        self.conv2 = conv(64, 64, 3, 2)
        self.bn2 = norm(64)
        self.layer1 = layer(Bottleneck, 64, 64, 4)
        keep = nn.Sequential(conv(256, w0, 3), norm(w0), nn.ReLU(inplace=True))
        self.transition1 = nn.ModuleList([keep, _new_branch(256, w1)])
        self.stage2 = nn.Sequential(Exchange((w0, w1)))
        self.transition2 = nn.ModuleList([nn.Identity(), nn.Identity(), _new_branch(w1, w2)])
        self.stage3 = nn.Sequential(*(Exchange((w0, w1, w2)) for _ in range(4)))
        self.transition3 = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Identity(), _new_branch(w2, w3)])
        self.subsample_3 = nn.Sequential(*_step_down(w1, w2, bias=True), *_step_down(w2, w3, bias=True))
        self.subsample_2 = nn.Sequential(*_step_down(w2, w3, bias=True))
        # the tail's shortcuts are bare convolutions, also where the size stays
        self.conv_layers = nn.Sequential(
            *(
                Bottleneck(channels, 512, projection=conv(channels, 2048, 1, normed=False))
                for channels in (3 * w3, 2048, 2048, 2048, 2048)
            )
        )

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Features:
        """RGB crops in [0, 1]; maps: the tail's at 1/32, then the branches at 1/16, 1/8 and 1/4 of the crop."""
        x = conv_norm(self.normalise(pixels), self.conv1, self.bn1)
        x = self.layer1(conv_norm(x, self.conv2, self.bn2))
        two = self.stage2([route(x) for route in self.transition1])
        fine, middle, coarse = self.stage3([*two, self.transition2[2](two[1])])
        newest = self.transition3[3](coarse)
        tail = self.conv_layers(torch.cat([self.subsample_3(middle), self.subsample_2(coarse), newest], 1))
        return Features(tail.mean((2, 3)), (tail, coarse, middle, fine))


def _new_branch(channels_in: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.Sequential(*_step_down(channels_in, channels)))
