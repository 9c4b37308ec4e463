"""The face network: a face crop in, head rotation, jaw and expression out."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from limner.geometry.camera import WeakCamera
from limner.networks.backbone import Backbone, Features
from limner.networks.body_net import Standardise
from limner.networks.regressor import IterativeRegressor, ParamLayout


@dataclass(frozen=True)
class FaceEstimate:
    """Faces in crop axes: absolute head rotation, jaw, shape, expression, the crop's camera, what was seen."""

    head: Float[Tensor, "B 3 3"]
    jaw_pose: Float[Tensor, "B 3 3"]
    betas: Float[Tensor, "B S"]
    expression: Float[Tensor, "B E"]
    camera: WeakCamera
    vectors: tuple[Float[Tensor, "B P"], ...]
    features: Features

    def __len__(self) -> int:
        return len(self.head)


class FaceNet(nn.Module):
    """Backbone + iterative regressor over the head's numbers, started from the body's estimate (ExPose, 3.3)."""

    def __init__(self, backbone: Backbone, regressor: IterativeRegressor, layout: ParamLayout):
        super().__init__()
        self.backbone, self.regressor, self.layout = backbone, regressor, layout
        self.standardise = Standardise(regressor.num_features)

    @property
    def crop_size(self) -> int:
        return self.backbone.crop_size

    def forward(self, pixels: Float[Tensor, "B 3 S S"], start: Float[Tensor, "B P"]) -> FaceEstimate:
        """RGB face crops in [0, 1], eyes level; `start` is the body's estimate in the layout's order."""
        return self.regress(self.backbone(pixels), start)

    def regress(self, features: Features, start: Float[Tensor, "B P"]) -> FaceEstimate:
        """The regression alone, on features computed before."""
        vectors = self.regressor(self.standardise(features.pooled), start)
        return FaceEstimate(
            head=self.layout.rotations(vectors[-1], "neck_pose")[:, 0],
            jaw_pose=self.layout.rotations(vectors[-1], "jaw_pose")[:, 0],
            betas=self.layout.part(vectors[-1], "betas"),
            expression=self.layout.part(vectors[-1], "expression"),
            camera=self.layout.camera(vectors[-1]),
            vectors=vectors,
            features=features,
        )
