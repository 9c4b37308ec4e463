"""Where are faces in a square picture (BlazeFace detector, full range)?"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.geometry.box import keep_distinct
from limner.networks.blaze.layers import Conv, as_input, depth_to_space, upsample
from limner.networks.blaze.weights import load_weights

CROP_SIZE = 192
STRIDE = 4
FACE_POINTS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
"""The person's own left and right."""


@dataclass(frozen=True)
class FaceDetections:
    """Faces found in one square picture. Coordinates are fractions of the square (0 = left / top edge).

    scores   probability
    boxes    x0 y0 x1 y1, from the brows to the chin
    points   in the order of FACE_POINTS
    """

    scores: Float[Tensor, "N"]
    boxes: Float[Tensor, "N 4"]
    points: Float[Tensor, "N 6 2"]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "FaceDetections":
        return FaceDetections(self.scores[index], self.boxes[index], self.points[index])


class DoubleBlock(nn.Module):
    """Two separable convolutions through a bottleneck; residual unless it halves the grid."""

    def __init__(self, inputs: int, middle: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.residual = stride == 1
        self.first_depthwise = Conv(inputs, inputs, 3, stride=stride, depthwise=True)
        self.squeeze = Conv(inputs, middle)
        self.second_depthwise = Conv(middle, middle, 3, depthwise=True)
        self.expand = Conv(middle, outputs)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        y = self.squeeze(self.first_depthwise(x)).relu_()
        y = self.expand(self.second_depthwise(y))
        return (x + y if self.residual else y).relu_()


def stage(inputs: int, middle: int, outputs: int, repeats: int) -> nn.Sequential:
    """Half the grid, then `repeats` residual blocks."""
    blocks = [DoubleBlock(outputs, middle, outputs) for _ in range(repeats)]
    return nn.Sequential(DoubleBlock(inputs, middle, outputs, stride=2), *blocks)


class FaceOutput(nn.Module):
    """Numbers of the one anchor of each cell."""

    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__()
        self.point = Conv(channels, 4 * numbers)
        self.depthwise = Conv(4 * numbers, 4 * numbers, 3, stride=2, depthwise=True)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        return depth_to_space(self.depthwise(self.point(x))).flatten(2).mT


class BlazeFaceDetector(nn.Module):
    """MediaPipe's face detector for faces up to about five metres away, weights of the public TFLite graph."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, stride=2)
        self.first = nn.Sequential(DoubleBlock(32, 8, 32), DoubleBlock(32, 8, 32))
        self.stages = nn.ModuleList(
            [stage(32, 16, 64, 2), stage(64, 32, 128, 2), stage(128, 48, 192, 2), stage(192, 96, 384, 3)]
        )
        self.laterals = nn.ModuleList([Conv(64, 48), Conv(128, 64), Conv(192, 96)])
        self.narrow = nn.ModuleList([Conv(64, 48), Conv(96, 64), Conv(384, 96)])
        self.merged = nn.ModuleList(
            [nn.Sequential(*[DoubleBlock(c, c // 2, c) for _ in range(n)]) for c, n in ((48, 1), (64, 2), (96, 2))]
        )
        self.score, self.box = FaceOutput(48, 1), FaceOutput(48, 16)

    @classmethod
    def load(cls, path: Path | None = None) -> "BlazeFaceDetector":
        """The network with the shipped weights (or those of `path`), in evaluation mode."""
        return load_weights(cls(), "blaze_face_detector", path)

    def forward(
        self, pixels: Float[Tensor, "B 3 192 192"]
    ) -> tuple[Float[Tensor, "B 2304"], Float[Tensor, "B 2304 16"]]:
        """RGB squares in [0, 1] to score logits and boxes in pixels of the input (see `decode_faces`)."""
        x = self.first(self.stem(as_input(pixels * 2 - 1)).relu_())
        sides = []
        for part in self.stages:
            x = part(x)
            sides.append(x)
        for i in (2, 1, 0):
            # The graph narrows, rectifies, then doubles.
            x = upsample(self.narrow[i](x).relu_()) + self.laterals[i](sides[i]).relu_()
            x = self.merged[i](x)
        return self.score(x)[..., 0], self.box(x)

    def detect(
        self, pixels: Float[Tensor, "B 3 192 192"], threshold: float = 0.5, max_iou: float = 0.3
    ) -> list[FaceDetections]:
        """Faces in each RGB square, best first; of faces that overlap more than `max_iou` the best is kept."""
        scores, boxes = self(pixels)
        found = [decode_faces(s, b, threshold) for s, b in zip(scores, boxes, strict=True)]
        return [f[keep_distinct(f.boxes, f.scores, max_iou)] for f in found]


def decode_faces(scores: Float[Tensor, "2304"], boxes: Float[Tensor, "2304 16"], threshold: float) -> FaceDetections:
    """All cells whose probability reaches `threshold`, overlapping ones included.

    A box is centre, width and height, then six points, in pixels of the input, relative to the cell's centre.
    """
    probability = scores.clamp(-100, 100).sigmoid()
    chosen = probability >= threshold
    cells = CROP_SIZE // STRIDE
    index = chosen.nonzero()[:, 0]
    anchors = (torch.stack([index % cells, index // cells], -1) + 0.5) / cells
    pairs = boxes[chosen].unflatten(1, (8, 2)) / CROP_SIZE
    center, half = pairs[:, 0] + anchors, pairs[:, 1] / 2
    return FaceDetections(
        probability[chosen], torch.cat([center - half, center + half], -1), pairs[:, 2:] + anchors[:, None]
    )
