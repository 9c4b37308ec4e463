"""The hand network: a right-hand crop (left ones come mirrored) in, wrist and fingers out."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from limner.geometry.camera import WeakCamera
from limner.networks.backbone import Backbone, Features
from limner.networks.body_net import Standardise
from limner.networks.regressor import IterativeRegressor, ParamLayout


@dataclass(frozen=True)
class HandEstimate:
    """Right hands in crop axes: absolute wrist rotation, finger rotations, shape, the crop's camera, what was seen."""

    wrist: Float[Tensor, "B 3 3"]
    hand_pose: Float[Tensor, "B 15 3 3"]
    betas: Float[Tensor, "B S"]
    camera: WeakCamera
    vectors: tuple[Float[Tensor, "B P"], ...]
    features: Features

    def __len__(self) -> int:
        return len(self.wrist)


class HandNet(nn.Module):
    """Backbone + iterative regressor over the hand's 109 numbers, started from the body's estimate (ExPose, 3.3)."""

    def __init__(self, backbone: Backbone, regressor: IterativeRegressor, layout: ParamLayout):
        super().__init__()
        self.backbone, self.regressor, self.layout = backbone, regressor, layout
        self.standardise = Standardise(regressor.num_features)

    @property
    def crop_size(self) -> int:
        return self.backbone.crop_size

    def forward(self, pixels: Float[Tensor, "B 3 S S"], start: Float[Tensor, "B P"]) -> HandEstimate:
        """RGB right-hand crops in [0, 1], fingers up; `start` is the body's estimate in the layout's order."""
        return self.regress(self.backbone(pixels), start)

    def regress(self, features: Features, start: Float[Tensor, "B P"]) -> HandEstimate:
        """The regression alone, on features computed before."""
        vectors = self.regressor(self.standardise(features.pooled), start)
        return HandEstimate(
            wrist=self.layout.rotations(vectors[-1], "wrist_pose")[:, 0],
            hand_pose=self.layout.rotations(vectors[-1], "hand_pose"),
            betas=self.layout.part(vectors[-1], "betas"),
            camera=self.layout.camera(vectors[-1]),
            vectors=vectors,
            features=features,
        )
