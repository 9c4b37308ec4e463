"""Where does a fit start? A body before the camera so that it looks about as large, upright and placed as was seen."""

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.fit.points import KeypointLayer
from limner.fit.records import FitTargets
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_about_z, rotation_from_axis_angle

SHOULDERS = indices_of(("left_shoulder", "right_shoulder", "neck"))
HIPS = indices_of(("left_hip", "right_hip", "pelvis"))


def placed(
    layer: KeypointLayer,
    params: BodyParams,
    seen_px: Float[Tensor, "B N 2"],
    weight: Float[Tensor, "B N"],
    camera: Camera,
) -> BodyParams:
    """Bodies moved to where their points are as large as the seen ones and have the same centre.

    SMPLify-X's camera initialisation (similar triangles), with all confident points instead of the trunk's; exact for
    points in one plane of depth.
    """
    points = layer(params.replace(transl=torch.zeros_like(params.transl))).points
    share = (weight / weight.sum(1, keepdim=True).clamp_min(1e-9))[..., None]
    here, there = (points * share).sum(1), (seen_px * share).sum(1)
    metres = ((points[..., :2] - here[:, None, :2]).square() * share).sum((1, 2)).sqrt()
    pixels = ((seen_px - there[:, None]).square() * share).sum((1, 2)).sqrt()
    depth = camera.focal_px * metres / pixels.clamp_min(1e-3)
    # never nearer than arm's length of the nearest point
    nearest = points[..., 2].amin(1) - here[:, 2]
    depth = torch.maximum(depth, 0.2 - nearest)
    xy = (there - camera.center_px) * (depth / camera.focal_px)[:, None]
    return params.replace(transl=torch.cat([xy, depth[:, None]], 1) - here)


def upright_roll(targets: FitTargets) -> Float[Tensor, "B"]:
    """How far trunks are turned clockwise in the photo, radians; 0 where hips or shoulders are not seen."""

    def middle(index: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        weight = targets.confidence[:, list(index)]
        total = weight.sum(1)
        points = (targets.keypoints_px[:, list(index)] * weight[..., None]).sum(1) / total.clamp_min(1e-9)[:, None]
        return points, total > 0

    top, has_top = middle(SHOULDERS)
    bottom, has_bottom = middle(HIPS)
    up = top - bottom
    longer = (targets.boxes[:, 2:] - targets.boxes[:, :2]).amax(1)
    # a trunk seen from above or below has no direction to speak of
    clear = has_top & has_bottom & (up.norm(dim=1) > 0.08 * longer)
    return torch.where(clear, torch.atan2(up[:, 0], -up[:, 1]), torch.zeros_like(longer))


def facing(roll_rad: Float[Tensor, "B"], yaw_rad: float) -> Float[Tensor, "B 3 3"]:
    """Orientations of people turned in the image plane, and about their own vertical (0: facing the camera)."""
    flip = torch.diag(roll_rad.new_tensor([1.0, -1.0, -1.0]))
    turn = rotation_from_axis_angle(roll_rad.new_tensor([0.0, yaw_rad, 0.0]))
    return rotation_about_z(roll_rad) @ flip @ turn


def mean_starts(
    model: BodyModel,
    roll_rad: Float[Tensor, "B"],
    body_pose: Float[Tensor, "21 3 3"],
    hand_pose: Float[Tensor, "15 3 3"],
    yaw_rad: float,
) -> BodyParams:
    """B people of mean shape in one pose, seen from one side; `hand_pose` is a right hand."""
    count = len(roll_rad)
    rest = model.rest(count).to(roll_rad.device, roll_rad.dtype)
    right = hand_pose.to(roll_rad).expand(count, -1, -1, -1)
    people = rest.replace(right_hand_pose=right, left_hand_pose=right)
    left = people.mirrored().left_hand_pose
    return people.replace(
        left_hand_pose=left,
        body_pose=body_pose.to(roll_rad).expand(count, -1, -1, -1),
        global_orient=facing(roll_rad, yaw_rad),
    )
