"""The body network: a person crop in, a coarse whole body and its camera out."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from limner.body.params import BodyParams
from limner.geometry.camera import WeakCamera
from limner.networks.backbone import Backbone, Features
from limner.networks.regressor import IterativeRegressor, ParamLayout, decode_body


class Standardise(nn.Module):
    """(x - mean) / std with stored statistics of the training features; starts as the identity."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def forward(self, x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        return (x - self.mean) / self.std


class Attachment(nn.Module):
    """Where the backbone's keypoints sit on the body: each rides on one joint (calibrated on synthetic people).

    joint "K" index among the body joints; offset "K 3" in that joint's axes, metres; sigma "K" the usual error of the
    backbone's keypoint as a share of the crop's side. `used` "K" is 0 for points that fit no place on the body.
    """

    joint: Tensor
    offset: Tensor
    sigma: Tensor
    used: Tensor

    def __init__(self, count: int):
        super().__init__()
        self.register_buffer("joint", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("offset", torch.zeros(count, 3))
        self.register_buffer("sigma", torch.full((count,), 0.02))
        self.register_buffer("used", torch.zeros(count))

    def take(self, joint: Int[Tensor, "K"], offset: Float[Tensor, "K 3"], sigma: Float[Tensor, "K"]) -> None:
        """Use these places for all points."""
        self.joint.copy_(joint)
        self.offset.copy_(offset)
        self.sigma.copy_(sigma.clamp(0.008, 0.06))
        self.used.fill_(1.0)


@dataclass(frozen=True)
class BodyEstimate:
    """A coarse body in crop axes (x right, y down, z away; no translation), its weak camera, and what was seen.

    vectors: the regressor's parameter vectors after every stage.
    """

    params: BodyParams
    camera: WeakCamera
    vectors: tuple[Float[Tensor, "B P"], ...]
    features: Features

    def __len__(self) -> int:
        return len(self.params)


class BodyNet(nn.Module):
    """Backbone + iterative regressor over the body's 341 numbers (ExPose, section 3.2)."""

    def __init__(self, backbone: Backbone, regressor: IterativeRegressor, layout: ParamLayout, num_keypoints: int = 0):
        """`num_keypoints`: how many of the backbone's keypoints have a place on the body (0: it gives none)."""
        super().__init__()
        self.backbone, self.regressor, self.layout = backbone, regressor, layout
        self.standardise = Standardise(regressor.num_features)
        self.attachment = Attachment(num_keypoints)

    @property
    def crop_size(self) -> int:
        return self.backbone.crop_size

    def forward(self, pixels: Float[Tensor, "B 3 S S"]) -> BodyEstimate:
        """RGB person crops in [0, 1], the person upright."""
        return self.regress(self.backbone(pixels))

    def regress(self, features: Features) -> BodyEstimate:
        """The regression alone, on features computed before."""
        vectors = self.regressor(self.standardise(features.pooled))
        params, camera = decode_body(self.layout, vectors[-1])
        return BodyEstimate(params, camera, vectors, features)
