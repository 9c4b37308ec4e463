"""MoveNet MultiPose Lightning: where people are in a picture, and roughly how they stand."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from limner.networks.blaze.layers import BlockSpec, Conv, as_input, bottleneck_stages, cells_near, upsample
from limner.networks.shipped import load_weights
from limner.records import Rows

STRIDE = 4  # input pixels a cell of the output maps
GRANULE = 32  # the sides of the input are multiples of it
MOST_PEAKS = 64  # people in one picture at most: the surest peaks
CLEAREST = 8  # points that speak for a person

# COCO's, the person's own left and right.
MOVENET_POINTS = (
    "nose",
    *("left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)

# MobileNetV2 with 1.5 times the channels; a stage ends where the resolution is handed to the decoder.
STAGES = (
    (BlockSpec(3, 2, 144, 40), BlockSpec(3, 1, 240, 40)),
    (BlockSpec(3, 2, 240, 48), *[BlockSpec(3, 1, 288, 48)] * 2),
    (BlockSpec(3, 2, 288, 96), *[BlockSpec(3, 1, 576, 96)] * 3),
    (BlockSpec(3, 1, 576, 144), *[BlockSpec(3, 1, 864, 144)] * 2)
    + (BlockSpec(3, 2, 864, 240), *[BlockSpec(3, 1, 1440, 240)] * 2, BlockSpec(3, 1, 1440, 480)),
)


@dataclass(frozen=True)
class Peaks(Rows):
    """Perhaps people in one picture, best first. Coordinates in pixels of the input (0 = its left / top edge).

    scores   root of the probability of a person's centre times the mean of the clearest points' heat
    boxes    x0 y0 x1 y1, may reach beyond the picture
    points   rough points of the body in the order of MOVENET_POINTS, hidden ones and those outside guessed
    """

    scores: Float[Tensor, "N"]
    boxes: Float[Tensor, "N 4"]
    points: Float[Tensor, "N 17 2"]


@dataclass(frozen=True)
class Maps:
    """What the network says of each cell "h w" = input / 4. Offsets are y, x, counted in cells.

    center    probability that a person's box has its centre here
    size      height and width of that box
    offset    from the cell's index to the centre
    heat      probability of each point
    points    from the cell's index to each of the 17 points of the person centred here, y and x in turn
    """

    center: Float[Tensor, "B 1 h w"]
    size: Float[Tensor, "B 2 h w"]
    offset: Float[Tensor, "B 2 h w"]
    heat: Float[Tensor, "B 17 h w"]
    points: Float[Tensor, "B 34 h w"]


class Separable(nn.Module):
    """Depthwise 3x3 without bias, then 1x1 with ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return relu(self.pointwise(self.depthwise(x)))


class Head(nn.Sequential):
    """From the decoder's map to one kind of answer."""

    def __init__(self, outputs: int) -> None:
        super().__init__(Separable(24, 96), nn.Conv2d(96, outputs, 1))


class MoveNet(nn.Module):
    """MoveNet MultiPose Lightning (Google, 2021): MobileNetV2, a feature pyramid, and CenterNet's heads.

    Weights of the public graph, whose six-person limit and grouping of points are left out with the one head that
    served them only (`kpt_offset`). The network was trained on pictures whose longer side is 256 px.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 48, 3, stride=2, relu6=True, tf_same=True)
        self.first_depthwise = Conv(48, 48, 3, depthwise=True, relu6=True)
        self.first_project = Conv(48, 24)
        self.stages = bottleneck_stages(24, STAGES, tf_same=True)
        self.top = Conv(STAGES[-1][-1].outputs, 1280, relu6=True)
        self.reduce = Conv(1280, 64)
        self.lateral = nn.ModuleList([Conv(40, 24), Conv(48, 32), Conv(96, 64)])  # strides 4, 8, 16
        self.merge = nn.ModuleList([Separable(24, 24), Separable(32, 24), Separable(64, 32)])
        self.center, self.size, self.offset, self.heat, self.points = (Head(n) for n in (1, 2, 2, 17, 34))

    @classmethod
    def load(cls, path: Path | None = None) -> "MoveNet":
        """The network with the shipped weights (or those of `path`), in evaluation mode."""
        return load_weights(cls(), "movenet", path)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Maps:
        """RGB pictures in [0, 1] to maps; H and W are multiples of GRANULE."""
        x = self.first_project(self.first_depthwise(self.stem(as_input(pixels * 2 - 1))))
        sides = []
        for stage in self.stages:
            x = stage(x)
            sides.append(x)
        x = self.reduce(self.top(x))
        for side, lateral, merge in zip(sides[2::-1], reversed(self.lateral), reversed(self.merge), strict=True):
            x = merge(upsample(x) + lateral(side))
        return Maps(self.center(x).sigmoid(), self.size(x), self.offset(x), self.heat(x).sigmoid(), self.points(x))


def decode(maps: Maps, row: int, threshold: float, most: int = MOST_PEAKS) -> Peaks:
    """People at the peaks of picture `row`'s centre map (CenterNet, Zhou et al. 2019), `most` at most.

    Everybody whose score reaches `threshold`; neighbouring peaks may be one person.
    """
    center = maps.center[row, 0]
    peaks = torch.where(max_pool2d(maps.center[row], 5, 1, 2)[0] == center, center, 0).flatten()
    chances, cells = peaks.topk(min(most, len(peaks)))
    y, x = cells // center.shape[1], cells % center.shape[1]
    cell = torch.stack([y, x], -1)
    points = maps.points[row][:, y, x].mT.unflatten(1, (17, 2)) + cell[:, None]
    scores = (chances * _heat_at(maps.heat[row], points).topk(CLEAREST, dim=1).values.mean(1)).sqrt()
    middle = cell + maps.offset[row][:, y, x].mT
    half = maps.size[row][:, y, x].mT.clamp_min(0) / 2
    boxes = torch.cat([(middle - half).flip(-1), (middle + half).flip(-1)], -1)
    chosen = (scores >= threshold) & (half > 0).all(-1)
    order = scores[chosen].argsort(descending=True, stable=True)
    return Peaks(scores[chosen][order], STRIDE * boxes[chosen][order], STRIDE * points.flip(-1)[chosen][order])


def _heat_at(heat: Float[Tensor, "17 h w"], points: Float[Tensor, "N 17 2"]) -> Float[Tensor, "N 17"]:
    """Highest heat of each point in the nine cells about where it is expected (y, x)."""
    height, width = heat.shape[1:]
    nearest: Int[Tensor, "N 17 2"] = points.round().long()
    y, x = nearest[..., 0].clamp(0, height - 1), nearest[..., 1].clamp(0, width - 1)
    return cells_near(heat.expand(len(points), -1, -1, -1), x, y, 3).amax((2, 3))
