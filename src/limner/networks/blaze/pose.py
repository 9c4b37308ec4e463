"""BlazePose: 39 points of the body in a person crop, in the image and in 3D, and which features say so."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.blaze.layers import BlazeBlock, BlockSpec, Conv, Separable, Trunk, as_input, cells_near, upsample
from limner.networks.shipped import load_weights
from limner.records import Rows

CROP_SIZE = 256

# The person's own left and right.
POSE_POINTS = (
    "nose",
    *("left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
    # Auxiliary points that place crops: mid-hips and a point on the circle about them that holds the whole person,
    # in the direction of the head; the centre of each hand's crop and its wrist.
    *(
        "body_center",
        "body_top",
        "left_hand_center",
        "left_hand_wrist",
        "right_hand_center",
        "right_hand_wrist",
    ),
)

POSE_STAGES = (
    (BlockSpec(3, 2, 64, 24), BlockSpec(3, 1, 144, 24)),
    (BlockSpec(5, 2, 144, 32), BlockSpec(5, 1, 192, 32)),
    (BlockSpec(3, 2, 192, 64), *[BlockSpec(3, 1, 384, 64)] * 2)
    + (BlockSpec(5, 1, 384, 88), *[BlockSpec(5, 1, 528, 88)] * 2),
    (BlockSpec(5, 2, 528, 144), *[BlockSpec(5, 1, 864, 144)] * 3),
)


@dataclass(frozen=True)
class PoseFeatures(Rows):
    """What BlazePose says of a batch of person crops. Points are in the order of POSE_POINTS.

    landmarks   x, y as fraction of the crop (0 = its left / top edge, 1 = right / bottom edge, may lie outside),
                z in the same unit, relative to the hips, smaller = nearer to the camera; then the probability that
                the point is visible (inside and not occluded) and that it is inside the crop
    world       metres, origin mid-hips, axes of the upright crop: x right, y down, z away from the camera
    presence    probability that there is a person in the crop, aligned as the network expects
    heatmaps    probability maps of the points
    side16      the encoder's output at stride 16, before its last stage
    mask        probability that a pixel belongs to the person (on request)
    """

    landmarks: Float[Tensor, "B 39 5"]
    world: Float[Tensor, "B 39 3"]
    presence: Float[Tensor, "B"]
    heatmaps: Float[Tensor, "B 39 64 64"]
    side16: Float[Tensor, "B 88 16 16"]
    mask: Float[Tensor, "B 256 256"] | None = None


class Decoder(nn.Module):
    """Feature pyramid: the top and the encoder's outputs brought to 48 channels and added on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([Separable(24, 48), Separable(32, 48), Separable(88, 48)])  # strides 4, 8, 16
        self.top = Separable(864, 48)

    def forward(self, sides: list[Tensor], top: Tensor) -> list[Tensor]:
        """Maps at strides 4, 8, 16."""
        x = self.top(top)
        maps: list[Tensor] = []
        for lateral, side in zip(reversed(self.lateral), reversed(sides), strict=True):
            x = upsample(x) + lateral(side)
            maps.insert(0, x)
        return maps


class MaskHead(nn.Module):
    """Person mask at full resolution, as a logit, from the stride-4 map and the stride-2 encoder output."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.lateral = Separable(48, 8), Separable(16, 8)
        self.blocks2 = nn.Sequential(*[BlazeBlock(8, 8, relu6_between=True) for _ in range(2)])
        self.blocks1 = nn.Sequential(*[BlazeBlock(8, 8, relu6_between=True) for _ in range(2)])
        self.output = Conv(8, 1, 3)

    def forward(self, map4: Float[Tensor, "B 48 64 64"], side2: Float[Tensor, "B 16 128 128"]) -> Tensor:
        x = self.blocks2(upsample(self.reduce(map4)) + self.lateral(side2))
        return self.output(self.blocks1(upsample(x)))


class PointHead(nn.Module):
    """From the top map to 2x2 cells of 288 features."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = Separable(864, 288)
        strides = (2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)
        self.blocks = nn.Sequential(*[BlazeBlock(288, 288, stride=s, relu6_between=True) for s in strides])

    def forward(self, top: Float[Tensor, "B 864 8 8"]) -> Float[Tensor, "B 288 2 2"]:
        return self.blocks(self.reduce(top))


class BlazePose(nn.Module):
    """BlazePose GHUM "full" (Bazarevsky et al., 2020; Grishchenko et al., 2022), weights of the public TFLite graph.

    The crop is a 256 px square centred on the mid-hips, its side 1.25 times the diameter of the circle about the
    hips that holds the whole person; best when it is turned so that the person stands upright in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(POSE_STAGES, tf_same=False)
        self.decoder = Decoder()
        self.mask_head = MaskHead()
        self.heatmap_output = Conv(48, 39)
        self.point_head = PointHead()
        self.landmark_output = nn.Conv2d(288, 39 * 5, 2)
        self.world_output = nn.Conv2d(288, 39 * 3, 2)
        self.presence_output = nn.Conv2d(288, 1, 2)

    @classmethod
    def load(cls, path: Path | None = None) -> "BlazePose":
        """The network with the shipped weights (or those of `path`), in evaluation mode."""
        return load_weights(cls(), "blaze_pose", path)

    def side16(self, pixels: Float[Tensor, "B 3 256 256"]) -> Float[Tensor, "B 88 16 16"]:
        """Only the encoder's output at stride 16, before its last stage."""
        return self.trunk.outputs(as_input(pixels), stages=3)[-1]

    def forward(self, pixels: Float[Tensor, "B 3 256 256"], mask: bool = False) -> PoseFeatures:
        """RGB crops in [0, 1] to PoseFeatures."""
        (side2, *sides), top = self.trunk(as_input(pixels))
        map4 = self.decoder(sides, top)[0]
        cells = self.point_head(top)
        landmarks = self.landmark_output(cells).flatten(1).unflatten(1, (39, 5))
        return PoseFeatures(
            landmarks=torch.cat([landmarks[..., :3] / CROP_SIZE, landmarks[..., 3:].sigmoid()], -1),
            world=self.world_output(cells).flatten(1).unflatten(1, (39, 3)),
            presence=self.presence_output(cells).flatten().sigmoid(),
            heatmaps=self.heatmap_output(map4).sigmoid(),
            side16=sides[-1],
            mask=self.mask_head(map4, side2)[:, 0].sigmoid() if mask else None,
        )


def _partner(point: str) -> str:
    """The name of the same point on the person's other side."""
    words = point.split("_")
    return "_".join({"left": "right", "right": "left"}.get(word, word) for word in words)


MIRRORED_POINT = [POSE_POINTS.index(_partner(point)) for point in POSE_POINTS]
"""Index of each point's partner on the other side."""


def mean_of_both(seen: PoseFeatures, mirrored: PoseFeatures) -> PoseFeatures:
    """The mean of what was said of crops and of their mirror images; `side16` stays the crops' own."""
    marks, world = mirrored.landmarks[:, MIRRORED_POINT].clone(), mirrored.world[:, MIRRORED_POINT].clone()
    marks[..., 0], world[..., 0] = 1 - marks[..., 0], -world[..., 0]
    # the maps count cells from their corners: cell i of the mirror image lies at size - i
    flipped = mirrored.heatmaps[:, MIRRORED_POINT].flip(-1).roll(1, -1)
    flipped[..., 0] = seen.heatmaps[..., 0]
    return replace(
        seen,
        landmarks=(seen.landmarks + marks) / 2,
        world=(seen.world + world) / 2,
        presence=(seen.presence + mirrored.presence) / 2,
        heatmaps=(seen.heatmaps + flipped) / 2,
    )


def refined_landmarks(
    landmarks: Float[Tensor, "B 39 5"], heatmaps: Float[Tensor, "B 39 64 64"], window: int = 7, least: float = 0.5
) -> Float[Tensor, "B 39 5"]:
    """Landmarks with x, y moved to the heat maps' centre of mass near them, as MediaPipe does.

    Only points whose map reaches the probability `least` within `window` cells are moved. Worth having: hits within a
    tenth of the torso rise by 5 to 8 percentage points (docs/cards/blaze.md).
    """
    size = heatmaps.shape[-1]
    reach = torch.arange(window, device=landmarks.device) - window // 2
    cell = (landmarks[..., :2] * size).floor().long().unbind(-1)
    column, row = (index[..., None] + reach for index in cell)  # "B 39 window"
    weight = cells_near(heatmaps, cell[0], cell[1], window)
    inside_row, inside_column = (row >= 0) & (row < size), (column >= 0) & (column < size)
    weight = weight * inside_row[..., :, None] * inside_column[..., None, :]
    total = weight.sum((2, 3)).clamp_min(1e-9)
    # the maps count cells from their corners: the middle of cell i lies at i / size
    x = (weight.sum(2) * column).sum(2) / total / size
    y = (weight.sum(3) * row).sum(2) / total / size
    on_map = inside_row[..., window // 2] & inside_column[..., window // 2]
    moved = (weight.amax((2, 3)) >= least) & on_map
    xy = torch.where(moved[..., None], torch.stack([x, y], -1), landmarks[..., :2])
    return torch.cat([xy, landmarks[..., 2:]], -1)


def borne_out(
    landmarks: Float[Tensor, "B 39 5"], heatmaps: Float[Tensor, "B 39 64 64"], window: int = 5
) -> Float[Tensor, "B 39"]:
    """Largest heat-map probability of each point near its landmark, 0 for points outside the crop.

    Landmarks are read from a global code and describe a plausible person even where there is none; the heat maps look
    locally and stay dim on what the code makes up, such as hands below the photo's edge.
    """
    size = heatmaps.shape[-1]
    column, row = (landmarks[..., :2] * size).floor().long().unbind(-1)
    on_map = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    return cells_near(heatmaps, column, row, window).amax((2, 3)) * on_map
