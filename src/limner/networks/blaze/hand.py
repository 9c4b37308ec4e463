"""BlazeHand: 21 points of the hand in a hand crop, in the image and in 3D, and which hand it is."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.blaze.layers import BlockSpec, Trunk, as_input
from limner.networks.shipped import load_weights
from limner.records import Rows

CROP_SIZE = 224

HAND_POINTS = (
    "wrist",
    *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *("index_mcp", "index_pip", "index_dip", "index_tip"),
    *("middle_mcp", "middle_pip", "middle_dip", "middle_tip"),
    *("ring_mcp", "ring_pip", "ring_dip", "ring_tip"),
    *("pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip"),
)


HAND_STAGES = (
    (BlockSpec(3, 2, 64, 24), BlockSpec(3, 1, 144, 24)),
    (BlockSpec(5, 2, 144, 40), BlockSpec(5, 1, 240, 40)),
    (BlockSpec(3, 2, 240, 80), *[BlockSpec(3, 1, 480, 80)] * 2)
    + (BlockSpec(5, 1, 480, 112), *[BlockSpec(5, 1, 672, 112)] * 2),
    (BlockSpec(5, 2, 672, 192), *[BlockSpec(5, 1, 1152, 192)] * 3),
)


@dataclass(frozen=True)
class HandFeatures(Rows):
    """What BlazeHand says of a batch of hand crops. Points are in the order of HAND_POINTS.

    landmarks   x, y as fraction of the crop (0 = its left / top edge), z in the same unit relative to the wrist,
                smaller = nearer to the camera
    world       metres, origin near the hand's centre, axes of the crop: x right, y down, z away from the camera
    presence    probability that there is a hand in the crop, aligned as the network expects
    handedness  probability that it is a right hand, for crops of ordinary (not mirrored) photos
                (MediaPipe's own labels assume mirrored ones)
    """

    landmarks: Float[Tensor, "B 21 3"]
    world: Float[Tensor, "B 21 3"]
    presence: Float[Tensor, "B"]
    handedness: Float[Tensor, "B"]


class BlazeHand(nn.Module):
    """Hand network of MediaPipe Hands "full" (Zhang et al., 2020), weights of the public TFLite graph.

    The crop is a 224 px square about the hand, turned so that the line from wrist to middle knuckle points up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(HAND_STAGES, tf_same=True)
        self.handedness_output = nn.Linear(1152, 1)
        self.presence_output = nn.Linear(1152, 1)
        self.landmark_output = nn.Linear(1152, 63)
        self.world_output = nn.Linear(1152, 63)

    @classmethod
    def load(cls, path: Path | None = None) -> "BlazeHand":
        """The network with the shipped weights (or those of `path`), in evaluation mode."""
        return load_weights(cls(), "blaze_hand", path)

    def forward(self, pixels: Float[Tensor, "B 3 224 224"]) -> HandFeatures:
        """RGB crops in [0, 1] to HandFeatures."""
        _, top = self.trunk(as_input(pixels))
        pooled = top.mean((2, 3))
        return HandFeatures(
            landmarks=self.landmark_output(pooled).unflatten(1, (21, 3)) / CROP_SIZE,
            world=self.world_output(pooled).unflatten(1, (21, 3)),
            presence=torch.sigmoid(self.presence_output(pooled)[:, 0]),
            handedness=torch.sigmoid(self.handedness_output(pooled)[:, 0]),
        )
