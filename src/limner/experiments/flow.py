"""Variants of the flow: without attention, from other pixels, or merged in another way.

The steps are `limner.estimator.Estimator`'s own; each experiment leaves one out or puts something else in its place.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from limner.body.params import BodyParams
from limner.estimator import Estimator
from limner.geometry.box import Squares
from limner.geometry.camera import photo_camera
from limner.geometry.rotation import mirror_rotation
from limner.geometry.warp import Frames, crop
from limner.pipeline.merge import merge
from limner.pipeline.parts import select
from limner.pipeline.predict import Coarse, Parts

SMALL_PX = 256
"""Side of the image that the body network looks at."""


def coarse(net: Estimator, frames: Frames, boxes: Float[Tensor, "P 4"]) -> Coarse:
    """The first half of the flow in given boxes of the one frame, without a known focal length."""
    found = net.detect(frames, [boxes])
    width, height = (int(side) for side in frames.size_px[0].tolist())
    return net.flow.coarse(net.observe_bodies(frames, found), photo_camera(width, height, None, len(boxes)))


def fingers_only(body: BodyParams, parts: Parts) -> BodyParams:
    """Copy-paste without orientations: fingers, jaw and expression are the parts', wrists and head stay the body's."""
    whole = merge(body, parts)
    return whole.replace(body_pose=body.body_pose)


def pasted(body: BodyParams, parts: Parts) -> BodyParams:
    """Copy-paste of everything: absolute wrist and head rotations written as if they were relative to the parent."""
    params = fingers_only(body, parts)
    for side, hand in parts.hands.items():
        wrist = mirror_rotation(hand.rotation) if side == "left" else hand.rotation
        joint = f"{side}_wrist"
        params = params.with_joint_pose(joint, select(hand.trusted, wrist, params.joint_pose(joint)))
    return params.with_joint_pose("head", select(parts.face.trusted, parts.face.rotation, params.joint_pose("head")))


def through_body_crop(photo: UInt8[Tensor, "3 H W"], square: Squares) -> UInt8[Tensor, "3 H W"]:
    """The photo as the small body image knows it: cut out at SMALL_PX, and enlarged to where it was; black outside."""
    small = crop(photo, square, SMALL_PX).pixels
    height, width = photo.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    grid = square.unit_from_photo(torch.stack([x, y], -1).flatten(0, 1)[None]).view(1, height, width, 2)
    large = grid_sample(small, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    return (large * 255).round().to(torch.uint8)


def reduced(photo: UInt8[Tensor, "3 H W"], factor: int) -> UInt8[Tensor, "3 h w"]:
    """The photo `factor` times smaller; every pixel is the mean of those it stands for."""
    return avg_pool2d(photo.float(), factor).round().to(torch.uint8)
