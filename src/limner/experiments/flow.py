"""What would the flow answer without attention, from other pixels, or merged in another way?

The stages of `limner.estimator.Estimator` in the open, so that each experiment can leave one out.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from limner.body.params import BodyParams
from limner.estimator import Estimator
from limner.geometry.box import Squares
from limner.geometry.camera import Camera, photo_camera
from limner.geometry.rotation import mirror_rotation
from limner.geometry.warp import crop
from limner.pipeline.attention import (
    BodyLook,
    FaceLook,
    HandLook,
    look_at_bodies,
    look_at_faces,
    look_at_hands,
    squares_of_boxes,
)
from limner.pipeline.merge import merge
from limner.pipeline.parts import select
from limner.pipeline.place import body_targets, join_targets, part_targets, place
from limner.pipeline.refine import refine
from limner.pipeline.refine_face import refine_face
from limner.pipeline.unseen import with_unseen_at_ease

SMALL_PX = 256
"""Side of the image that the body network looks at."""


@dataclass(frozen=True)
class Coarse:
    """What is known before anybody looks at hands and faces: the body network's answer, and it refined."""

    look: BodyLook
    camera: Camera
    body: BodyParams
    refined: BodyParams
    size: tuple[int, int]


@dataclass(frozen=True)
class Parts:
    """The part networks' looks."""

    hands: dict[str, HandLook]
    face: FaceLook


@torch.no_grad()
def coarse(net: Estimator, photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "P 4"]) -> Coarse:
    """The first half of the flow."""
    height, width = photo.shape[-2:]
    camera = photo_camera(width, height, None, len(boxes))
    look = look_at_bodies(net.body_net, photo, squares_of_boxes(net.body_net, photo, boxes))
    body = with_unseen_at_ease(net.keypoint_model, place(look, camera), look, width, height)
    targets = body_targets(net.body_net, look, width, height)
    refined = body if targets is None else refine(net.keypoint_model, body, camera, targets)
    return Coarse(look, camera, body, refined, (width, height))


@torch.no_grad()
def look_at_parts(net: Estimator, photo: UInt8[Tensor, "3 H W"], body: BodyParams, camera: Camera) -> Parts:
    """Hands and faces cut out of `photo` where `body` has them."""
    model = net.keypoint_model
    points_px = camera.project(model.keypoints144(model(body), body))
    hands = look_at_hands(net.hand_net, photo, body, points_px, camera)
    return Parts(hands, look_at_faces(net.face_net, photo, body, points_px, camera))


def merged(body: BodyParams, parts: Parts) -> BodyParams:
    """limner's merge: wrists and head become relative to the body's forearms and neck."""
    return merge(body, parts.hands, parts.face)


def fingers_only(body: BodyParams, parts: Parts) -> BodyParams:
    """Copy-paste without orientations: fingers, jaw and expression are the parts', wrists and head stay the body's."""
    whole = merged(body, parts)
    return whole.replace(body_pose=body.body_pose)


def pasted(body: BodyParams, parts: Parts) -> BodyParams:
    """Copy-paste of everything: absolute wrist and head rotations written as if they were relative to the parent."""
    params = fingers_only(body, parts)
    for side, hand in parts.hands.items():
        wrist = mirror_rotation(hand.wrist) if side == "left" else hand.wrist
        joint = f"{side}_wrist"
        params = params.with_joint_pose(joint, select(hand.trusted, wrist, params.joint_pose(joint)))
    return params.with_joint_pose("head", select(parts.face.trusted, parts.face.head, params.joint_pose("head")))


@torch.no_grad()
def finished(net: Estimator, params: BodyParams, first: Coarse, parts: Parts) -> BodyParams:
    """The second half of the flow: onto all points seen, and each face onto its landmarks."""
    model, camera = net.keypoint_model, first.camera
    targets = body_targets(net.body_net, first.look, *first.size)
    if targets is not None:
        seen = part_targets(model, params, parts.hands, parts.face)
        params = merged(refine(model, params, camera, join_targets([targets, *seen])), parts)
    face = parts.face
    if face.points_px is None:
        return params
    return refine_face(model, params, camera, face.points_px, face.crops.squares.size_px, face.trusted)[0]


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
