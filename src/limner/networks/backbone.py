"""Backbones, the networks that look at a crop. The socket for all backbones, and limner's own small one."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.records import Rows

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Features(Rows):
    """What a backbone saw in B crops.

    pooled      one vector a crop: the input of the regressor
    maps        feature maps "B c h w", coarse to fine (maps[0] has the fewest pixels); may be empty
    keypoints   x, y in [-1, 1] of the crop (its edges at +-1, values beyond are outside) and confidence in [0, 1]
    points3d    3D points of the backbone's own making (its docstring says which, and in what frame and unit)
    presence    probability in [0, 1] that the part is in the crop at all
    image       what the crop shows beyond points, for networks that are corrected by it ("B 0": nothing)
    heatmaps    logits of the keypoints, where they were read off maps (for the training loss)
    handedness  probability in [0, 1] that a hand looks like a right one
    """

    pooled: Float[Tensor, "B C"]
    maps: tuple[Float[Tensor, "B _ _ _"], ...] = ()
    keypoints: Float[Tensor, "B K 3"] | None = None
    points3d: Float[Tensor, "B N 3"] | None = None
    presence: Float[Tensor, "B"] | None = None
    image: Float[Tensor, "B G"] | None = None
    heatmaps: Float[Tensor, "B K _ _"] | None = None
    handedness: Float[Tensor, "B"] | None = None


@runtime_checkable
class Backbone(Protocol):
    """Crops in, features out. Mean and standard deviation of the pixels are the backbone's own business."""

    crop_size: int
    num_features: int

    def __call__(self, pixels: Float[Tensor, "B 3 H W"]) -> Features:
        """pixels: RGB in [0, 1], H = W = crop_size."""
        ...


class Normalise(nn.Module):
    """(pixel - mean) / std for each channel; ImageNet's numbers unless told otherwise. Holds no tensors."""

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        return (pixels - pixels.new_tensor(self.mean)[:, None, None]) / pixels.new_tensor(self.std)[:, None, None]


class DenseBlock(nn.Module):
    """Two dense 3x3 convolutions and a shortcut (He et al., CVPR 2016).

    Dense on purpose: on CPUs depthwise convolutions are bound by memory and run at a fraction of the peak.
    """

    def __init__(self, channels_in: int, channels: int, stride: int = 1):
        super().__init__()
        last = nn.BatchNorm2d(channels)
        nn.init.zeros_(last.weight)  # starts as the identity: deep stacks train from the first step
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            last,
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d i j"]:
        return torch.relu(self.shortcut(x) + self.body(x))


class CompactBackbone(nn.Module):
    """limner's own small residual network for CPUs, with 2D keypoints as by-product.

    Four stages at 1/4, 1/8, 1/16 and 1/32 of the crop; a top-down path brings them back to 1/4, where each keypoint
    has a heat-map. Its position is the heat-map's expectation (integral regression, Sun et al., ECCV 2018), which does
    not change when a constant is added to the logits, so the height of the peak is free to say how sure the network
    is: confidence = sigmoid(highest logit). The keypoints (x, y, confidence) are part of `pooled`.
    """

    def __init__(
        self,
        num_keypoints: int,
        crop_size: int = 256,
        widths: tuple[int, int, int, int] = (48, 96, 160, 288),
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        neck: int = 64,
    ):
        super().__init__()
        self.crop_size = crop_size
        self.num_keypoints = num_keypoints
        self.num_features = widths[-1] + 3 * num_keypoints
        self.normalise = Normalise()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0] // 2, 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0] // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(widths[0] // 2, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        inputs = (widths[0], *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                DenseBlock(inputs[i], widths[i], 1 if i == 0 else 2),
                *(DenseBlock(widths[i], widths[i]) for _ in range(blocks[i] - 1)),
            )
            for i in range(4)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in reversed(widths))
        self.smooth = nn.Sequential(
            nn.Conv2d(neck, neck, 3, 1, 1, bias=False), nn.BatchNorm2d(neck), nn.ReLU(inplace=True)
        )
        self.heatmap = nn.Conv2d(neck, num_keypoints, 1)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Features:
        """RGB crops in [0, 1] of crop_size (any multiple of 32 works); maps at 1/32, 1/16, 1/8, 1/4."""
        x = self.stem(self.normalise(pixels))
        down: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            down.append(x)
        down.reverse()
        up = self.laterals[0](down[0])
        maps = [up]
        for lateral, finer in zip(list(self.laterals)[1:], down[1:], strict=True):
            up = interpolate(up, scale_factor=2.0, mode="nearest") + lateral(finer)
            maps.append(up)
        maps[-1] = self.smooth(maps[-1])
        heatmaps = self.heatmap(maps[-1])
        keypoints = keypoints_from_heatmaps(heatmaps)
        pooled = torch.cat([down[0].mean((2, 3)), keypoints.flatten(1)], -1)
        return Features(pooled, tuple(maps), keypoints, heatmaps=heatmaps)


def keypoints_from_heatmaps(logits: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K 3"]:
    """Expected position in [-1, 1] (map edges at +-1) under the softmax of each map, and sigmoid of its peak."""
    height, width = logits.shape[-2:]
    weight = logits.flatten(2).softmax(-1).unflatten(-1, (height, width))
    x = _centres(width, logits)
    y = _centres(height, logits)
    confidence = logits.flatten(2).amax(-1).sigmoid()
    return torch.stack([weight.sum(2) @ x, weight.sum(3) @ y, confidence], -1)


def _centres(count: int, like: Tensor) -> Float[Tensor, "n"]:
    """[-1, 1] coordinates of the pixel centres of a row."""
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) * (2 / count) - 1
