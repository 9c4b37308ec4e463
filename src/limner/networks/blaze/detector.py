"""Where are people in a square picture, and how do they stand (BlazePose detector)?"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.geometry.box import keep_distinct
from limner.networks.blaze.layers import (
    B0_STAGES,
    BlazeBlock,
    Conv,
    Separable,
    Trunk,
    as_input,
    depth_to_space,
    upsample,
)
from limner.networks.blaze.weights import load_weights

CROP_SIZE = 224
GRIDS = ((8, 2), (16, 2), (32, 6))  # stride and anchors a cell: MediaPipe's layers 8, 16, 32, 32, 32, two each


@dataclass(frozen=True)
class Detections:
    """People found in one square picture. Coordinates are fractions of the square (0 = left / top edge).

    scores   probability
    faces    x0 y0 x1 y1 of the face
    points   mid-hips; a point on the circle about them that holds the whole body, in the direction of the head;
             mid-shoulders; a point on the circle about those that holds the upper body
    """

    scores: Float[Tensor, "N"]
    faces: Float[Tensor, "N 4"]
    points: Float[Tensor, "N 4 2"]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Detections":
        return Detections(self.scores[index], self.faces[index], self.points[index])


class Output(nn.Module):
    """Scores and boxes of the anchors of one grid."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.score_depthwise = Conv(channels, channels, 3, stride=2, depthwise=True)
        self.score = Conv(channels, anchors)
        self.box_depthwise = Conv(channels, channels, 3, stride=2, depthwise=True)
        self.box = Conv(channels, 12 * anchors)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B A 12"]]:
        x = depth_to_space(x)
        scores = self.score(self.score_depthwise(x)).permute(0, 2, 3, 1)
        boxes = self.box(self.box_depthwise(x)).permute(0, 2, 3, 1)
        return scores.flatten(1), boxes.flatten(1).unflatten(1, (-1, 12))


class Merge(nn.Module):
    """One step down the pyramid: the coarser map doubled, the encoder's output added, two blocks."""

    def __init__(self, coarse: int, side: int, outputs: int) -> None:
        super().__init__()
        self.lateral = Separable(side, outputs, relu6_between=False)
        self.reduce = Conv(coarse, outputs)
        self.blocks = nn.Sequential(BlazeBlock(outputs, outputs), BlazeBlock(outputs, outputs))

    def forward(self, coarse: Float[Tensor, "B C h w"], side: Float[Tensor, "B D H W"]) -> Float[Tensor, "B E H W"]:
        # The graph doubles first; a 1x1 convolution commutes with it and costs a quarter on the coarse grid.
        return self.blocks(self.lateral(side) + upsample(self.reduce(coarse)).clamp(0, 6))


class BlazeDetector(nn.Module):
    """Person detector of MediaPipe Pose, weights of the public TFLite graph: raw anchor outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(B0_STAGES, tf_same=False)
        self.merge16 = Merge(1152, 112, 192)
        self.merge8 = Merge(192, 40, 96)
        self.output8, self.output16, self.output32 = Output(24, 2), Output(48, 2), Output(288, 6)

    @classmethod
    def load(cls, path: Path | None = None) -> "BlazeDetector":
        """The network with the shipped weights (or those of `path`), in evaluation mode."""
        return load_weights(cls(), "blaze_detector", path)

    def forward(
        self, pixels: Float[Tensor, "B 3 224 224"]
    ) -> tuple[Float[Tensor, "B 2254"], Float[Tensor, "B 2254 12"]]:
        """RGB squares in [0, 1] to score logits and boxes in anchor units (see `decode`)."""
        (_, _, side8, side16), top = self.trunk(as_input(pixels * 2 - 1))
        map16 = self.merge16(top, side16)
        map8 = self.merge8(map16, side8)
        scores, boxes = zip(self.output8(map8), self.output16(map16), self.output32(top), strict=True)
        return torch.cat(scores, 1), torch.cat(boxes, 1)

    def detect(
        self, pixels: Float[Tensor, "B 3 224 224"], threshold: float = 0.5, max_iou: float = 0.3
    ) -> list[Detections]:
        """People in each RGB square, best first; of faces that overlap more than `max_iou` the best is kept."""
        scores, boxes = self(pixels)
        found = [decode(s, b, threshold) for s, b in zip(scores, boxes, strict=True)]
        return [f[keep_distinct(f.faces, f.scores, max_iou)] for f in found]


def anchor_centers() -> Float[Tensor, "2254 2"]:
    """Centre of the cell of each anchor (x, y), fractions of the square; all anchors have size 1."""
    layers = []
    for stride, count in GRIDS:
        cells = CROP_SIZE // stride
        axis = (torch.arange(cells) + 0.5) / cells
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        layers.append(torch.stack([x, y], -1).reshape(-1, 2).repeat_interleave(count, 0))
    return torch.cat(layers)


def decode(scores: Float[Tensor, "2254"], boxes: Float[Tensor, "2254 12"], threshold: float) -> Detections:
    """All anchors whose probability reaches `threshold`, overlapping ones included.

    A box is centre, width and height, then four points, in pixels of the input, relative to the anchor's centre.
    """
    probability = scores.clamp(-100, 100).sigmoid()
    chosen = probability >= threshold
    pairs = boxes[chosen].unflatten(1, (6, 2)) / CROP_SIZE
    anchors = anchor_centers().to(boxes)[chosen]
    center, half = pairs[:, 0] + anchors, pairs[:, 1] / 2
    return Detections(
        probability[chosen], torch.cat([center - half, center + half], -1), pairs[:, 2:] + anchors[:, None]
    )
