"""BlazeFace mesh: the 468 points of the face surface in a face crop."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.blaze.layers import BlazeBlock, Conv, as_input
from limner.networks.shipped import load_weights
from limner.records import Rows

CROP_SIZE = 192

# The mesh point nearest to each of the 68 points of the iBUG scheme. "left" is the image's, as in iBUG: the jaw runs
# from the person's right ear to the left one. The iBUG jaw is the visible outline and moves over the skin when the head
# turns, mesh points do not: expect the jaw to differ in profile views.
IBUG68_FROM_MESH = (
    *(127, 234, 93, 58, 172, 136, 149, 176, 152, 400, 378, 365, 397, 288, 323, 454, 356),  # jaw
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows, right then left
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose: bridge, then base
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes, right then left
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)


@dataclass(frozen=True)
class FaceFeatures(Rows):
    """What the face network says of a batch of face crops.

    landmarks   MediaPipe's 468 mesh points: x, y as fraction of the crop (0 = its left / top edge), z in the same
                unit, smaller = nearer to the camera
    presence    probability that there is a face in the crop, aligned as the network expects
    """

    landmarks: Float[Tensor, "B 468 3"]
    presence: Float[Tensor, "B"]


class Branch(nn.Module):
    """Narrows 128 channels to 32 on the 3x3 grid and reads out: `first` is the block before (stride 2 or 1)."""

    def __init__(self, first_stride: int, outputs: int) -> None:
        super().__init__()
        self.first = BlazeBlock(128, 128, stride=first_stride, prelu=True)
        self.reduce, self.reduce_activation = Conv(128, 32), nn.PReLU(32)
        self.last = BlazeBlock(32, 32, prelu=True)
        self.output = nn.Conv2d(32, outputs, 3)

    def forward(self, x: Float[Tensor, "B 128 H W"]) -> Float[Tensor, "B D"]:
        return self.output(self.last(self.reduce_activation(self.reduce(self.first(x))))).flatten(1)


class BlazeFace(nn.Module):
    """MediaPipe Face Mesh without attention (Kartynnik et al., 2019), weights of the public TFLite graph.

    The crop is a 192 px square about the face box, side 1.5 times its longer side, turned so that the line between
    the eyes is level.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_activation = Conv(3, 16, 3, stride=2, tf_same=True), nn.PReLU(16)
        widths = (16, 16, 16, 32, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128)
        self.blocks = nn.Sequential(
            # every third block halves the grid: 96 -> 48 -> 24 -> 12 -> 6
            *[BlazeBlock(a, b, stride=2 if i % 3 == 2 else 1, prelu=True) for i, (a, b) in enumerate(pairwise(widths))]
        )
        # 6 -> 3: the mesh goes through two more blocks, presence branches off directly
        self.mesh_blocks = nn.Sequential(BlazeBlock(128, 128, stride=2, prelu=True), BlazeBlock(128, 128, prelu=True))
        self.mesh = Branch(1, 468 * 3)
        self.presence = Branch(2, 1)

    @classmethod
    def load(cls, path: Path | None = None) -> "BlazeFace":
        """The network with the shipped weights (or those of `path`), in evaluation mode."""
        return load_weights(cls(), "blaze_face", path)

    def forward(self, pixels: Float[Tensor, "B 3 192 192"]) -> FaceFeatures:
        """RGB crops in [0, 1] to FaceFeatures."""
        x = self.blocks(self.stem_activation(self.stem(as_input(pixels))))
        return FaceFeatures(
            landmarks=self.mesh(self.mesh_blocks(x)).unflatten(1, (468, 3)) / CROP_SIZE,
            presence=self.presence(x)[:, 0].sigmoid(),
        )
