"""The part network of body, hand and face: a backbone observes a crop, a regressor predicts parameters from it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from limner.body.params import BodyParams
from limner.geometry.box import CropJitter, Squares
from limner.geometry.camera import WeakCamera
from limner.geometry.warp import Crops, Frames
from limner.networks.backbone import Backbone, Features
from limner.networks.regressor import IterativeRegressor, ParamLayout, decode_body
from limner.records import Rows

Part = Literal["body", "hand", "face"]
PARTS: tuple[Part, ...] = ("body", "hand", "face")
JITTER: dict[Part, CropJitter] = {
    "body": CropJitter(0.03, 0.10, 0.12),
    "hand": CropJitter(0.05, 0.12, 0.20),
    "face": CropJitter(0.03, 0.08, 0.08),
}
"""Standard deviations by which training crops stray: one that is off by no more is as good as a better aligned one."""


@dataclass(frozen=True)
class Observations(Rows):
    """What a backbone saw in crops of frames: all that later steps, fits, curation and training need of the pixels.

    frame     "B" which of the frames each crop was cut from
    size_px   "B 2" width and height of that frame
    crops     where the crops lie; their pixels may be gone (`without_pixels`)
    features  the backbone's answer
    """

    frame: Int[Tensor, "B"]
    size_px: Float[Tensor, "B 2"]
    crops: Crops
    features: Features

    @property
    def squares(self) -> Squares:
        """Where the crops lie in their frames."""
        return self.crops.squares

    @property
    def mirrored(self) -> Bool[Tensor, "B"]:
        """Which crops are mirrored: left hands, seen as right ones."""
        return self.crops.mirrored

    @property
    def presence(self) -> Float[Tensor, "B"]:
        """Probability that the part is in the crop; 1 where the backbone gives none."""
        given = self.features.presence
        return torch.ones_like(self.squares.size_px) if given is None else given

    @property
    def points_px(self) -> Float[Tensor, "B K 2"] | None:
        """The backbone's points in frame pixels; None where it gives none."""
        given = self.features.keypoints
        return None if given is None else self.crops.photo_from_unit(given[..., :2])

    def without_pixels(self) -> "Observations":
        """What is kept: points and pooled features, neither pixels nor maps."""
        crops = replace(self.crops, pixels=self.crops.pixels[..., :0, :0])
        return replace(self, crops=crops, features=replace(self.features, maps=(), heatmaps=None))


@dataclass(frozen=True)
class BodyEstimate(Rows):
    """A coarse body in crop axes (x right, y down, z away; no translation) and its weak camera.

    vectors: the regressor's parameter vectors after every stage.
    """

    params: BodyParams
    camera: WeakCamera
    vectors: tuple[Float[Tensor, "B P"], ...]


@dataclass(frozen=True)
class HandEstimate(Rows):
    """Right hands in crop axes: absolute wrist rotation, finger rotations, shape, the crop's camera."""

    wrist: Float[Tensor, "B 3 3"]
    hand_pose: Float[Tensor, "B 15 3 3"]
    betas: Float[Tensor, "B S"]
    camera: WeakCamera
    vectors: tuple[Float[Tensor, "B P"], ...]


@dataclass(frozen=True)
class FaceEstimate(Rows):
    """Faces in crop axes: absolute head rotation, jaw, shape, expression, the crop's camera."""

    head: Float[Tensor, "B 3 3"]
    jaw_pose: Float[Tensor, "B 3 3"]
    betas: Float[Tensor, "B S"]
    expression: Float[Tensor, "B E"]
    camera: WeakCamera
    vectors: tuple[Float[Tensor, "B P"], ...]


Estimate = TypeVar("Estimate", BodyEstimate, HandEstimate, FaceEstimate)
Vectors = tuple[Float[Tensor, "B P"], ...]


def _body(layout: ParamLayout, vectors: Vectors) -> BodyEstimate:
    return BodyEstimate(*decode_body(layout, vectors[-1]), vectors)


def _hand(layout: ParamLayout, vectors: Vectors) -> HandEstimate:
    last = vectors[-1]
    return HandEstimate(
        wrist=layout.rotations(last, "wrist_pose")[:, 0],
        hand_pose=layout.rotations(last, "hand_pose"),
        betas=layout.part(last, "betas"),
        camera=layout.camera(last),
        vectors=vectors,
    )


def _face(layout: ParamLayout, vectors: Vectors) -> FaceEstimate:
    last = vectors[-1]
    return FaceEstimate(
        head=layout.rotations(last, "neck_pose")[:, 0],
        jaw_pose=layout.rotations(last, "jaw_pose")[:, 0],
        betas=layout.part(last, "betas"),
        expression=layout.part(last, "expression"),
        camera=layout.camera(last),
        vectors=vectors,
    )


_DECODERS: dict[Part, Callable[[ParamLayout, Vectors], BodyEstimate | HandEstimate | FaceEstimate]] = {
    "body": _body,
    "hand": _hand,
    "face": _face,
}


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


class PartNet(nn.Module, Generic[Estimate]):
    """Backbone + iterative regressor over the numbers of one part (ExPose, sections 3.2 and 3.3).

    The body's regression starts from its mean, a hand's and a face's from the body's estimate. `attachment`: of a body
    network, where its backbone's keypoints sit on the body.
    """

    def __init__(
        self, part: Part, backbone: Backbone, regressor: IterativeRegressor, layout: ParamLayout, num_keypoints: int = 0
    ):
        """`num_keypoints`: how many of the backbone's keypoints have a place on the body (0: it gives none)."""
        super().__init__()
        self.part, self.backbone, self.regressor, self.layout = part, backbone, regressor, layout
        self.standardise = Standardise(regressor.num_features)
        self.attachment = Attachment(num_keypoints) if part == "body" else None

    @property
    def crop_size(self) -> int:
        return self.backbone.crop_size

    def observe(
        self, frames: Frames, frame: Int[Tensor, "B"], squares: Squares, mirror: Bool[Tensor, "B"] | None = None
    ) -> Observations:
        """What the backbone sees in these squares of these frames; mirrored ones are flipped left to right."""
        crops = frames.crop(frame, squares, self.crop_size, mirror)
        return Observations(frame, frames.size_px[frame], crops, self.backbone(crops.pixels))

    def predict(self, features: Features, start: Float[Tensor, "B P"] | None = None) -> Estimate:
        """The part's parameters from what was observed; `start` is the body's estimate in the layout's order."""
        vectors = self.regressor(self.standardise(features.pooled), start)
        return cast(Estimate, _DECODERS[self.part](self.layout, vectors))

    def forward(self, pixels: Float[Tensor, "B 3 S S"], start: Float[Tensor, "B P"] | None = None) -> Estimate:
        """RGB crops in [0, 1]: the person or face upright, a right hand with its fingers up."""
        return self.predict(self.backbone(pixels), start)
