"""Body-driven attention: where in the photo are a person's body, hands and face, and how do estimates travel?

Shared by inference and training, so that they cannot drift apart. Every part is looked at twice at most: a first look
at the place the body's estimate names, then one at the place where the part network's own points lie.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize, pad

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.params import BodyParams
from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.geometry.box import Squares, inside, upright_squares
from limner.geometry.rotation import mirror_rotation, rotation_to_6d
from limner.networks.regressor import ParamLayout

SIDES = ("right", "left")
"""Hands are batched right first, then left (ExPose's order); left ones are mirrored into right ones."""

# Palm, thumb and lower fingers: they move less than the tips and decide where a hand crop sits
PALM21 = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
HAND_MARGIN, HAND_SHIFT = 2.0, -0.1
FACE_MARGIN, FACE_SHIFT = 1.75, -0.06
BODY_MARGIN = 1.25


def _turned_square(points_px: Float[Tensor, "B N 2"], up: Float[Tensor, "B 2"], margin: float, shift: float) -> Squares:
    """Square about the points whose upward direction in the photo is `up`; `shift` moves it down by that share."""
    up = normalize(up, dim=-1, eps=1e-6)
    angle = torch.atan2(up[:, 0], -up[:, 1])
    unit = Squares(points_px.mean(1), torch.full_like(angle, 2.0), angle)
    local = unit.unit_from_photo(points_px)
    low, high = local.amin(1), local.amax(1)
    size = (high - low).amax(-1) * margin
    middle = (low + high) / 2 + torch.stack([torch.zeros_like(size), shift * size / margin], -1)
    return Squares(unit.photo_from_unit(middle[:, None])[:, 0], size.clamp_min(2.0), angle)


def body_squares(hips_px: Float[Tensor, "B 2"], top_px: Float[Tensor, "B 2"]) -> Squares:
    """Square about the hips, turned so that `top` (on the circle about the hips that holds the person) points up."""
    return upright_squares(hips_px, top_px, BODY_MARGIN)


def hand_squares(points_px: Float[Tensor, "B 21 2"]) -> Squares:
    """Square about a hand given its 21 points (wrist, then thumb to little finger), fingers up."""
    return _turned_square(points_px[:, PALM21], points_px[:, 9] - points_px[:, 0], HAND_MARGIN, HAND_SHIFT)


def face_squares(points_px: Float[Tensor, "B 68 2"]) -> Squares:
    """Square about a face given its 68 landmarks, eyes level."""
    right_eye, left_eye = points_px[:, 36:42].mean(1), points_px[:, 42:48].mean(1)
    along = left_eye - right_eye
    # the person's left eye is on the photo's right when the face is upright: up is a quarter turn anticlockwise
    profile = along.norm(dim=-1, keepdim=True) < 0.15 * (points_px[:, 8] - points_px[:, 27]).norm(dim=-1, keepdim=True)
    chin_to_brow = points_px[:, 27] - points_px[:, 8]
    up = torch.where(profile, chin_to_brow, torch.stack([along[:, 1], -along[:, 0]], -1))
    up = torch.where((up * chin_to_brow).sum(-1, keepdim=True) < 0, -up, up)  # from behind the eyes swap sides
    return _turned_square(points_px, up, FACE_MARGIN, FACE_SHIFT)


def part_points(keypoints144: Float[Tensor, "B 144 D"], part: str) -> Float[Tensor, "B N D"]:
    """The points that place a part's crop: 21 of `left_hand` / `right_hand`, 68 of `face`."""
    names = FACE68 if part == "face" else hand21(part.removesuffix("_hand"))
    return keypoints144[:, list(indices_of(names))]


def inside_share(squares: Squares, size_px: Float[Tensor, "#B 2"]) -> Float[Tensor, "B"]:
    """How much of each square's middle (half its side) lies inside its photo, 0 to 1, on a 5 x 5 grid."""
    axis = torch.linspace(-0.5, 0.5, 5, device=size_px.device)
    grid = torch.cartesian_prod(axis, axis).expand(len(squares), 25, 2)
    return inside(squares.photo_from_unit(grid), size_px).float().mean(-1)


def forearm_rotation(params: BodyParams, side: str) -> Float[Tensor, "B 3 3"]:
    """Absolute rotation of the joint that carries the wrist."""
    return absolute_rotation(params.full_pose(), chain_to_root(f"{side}_wrist")[:-1])


def hand_start(
    layout: ParamLayout,
    mean: Float[Tensor, "P"],
    params: BodyParams,
    side: str,
    crop_from_params: Float[Tensor, "B 3 3"],
) -> Float[Tensor, "B P"]:
    """Where the hand network starts: the body's absolute wrist (in crop axes) and fingers, mirrored for left hands.

    `crop_from_params` takes the axes of `params` to those of the (not yet mirrored) hand crop. Shape and camera start
    from the mean, as in ExPose.
    """
    chain = chain_to_root(f"{side}_wrist")
    wrist = crop_from_params @ absolute_rotation(params.full_pose(), chain)
    fingers = getattr(params, f"{side}_hand_pose")
    if side == "left":
        wrist, fingers = mirror_rotation(wrist), mirror_rotation(fingers)
    start = mean.expand(len(params), -1).clone()
    start[:, layout.slices["wrist_pose"]] = rotation_to_6d(wrist)
    start[:, layout.slices["hand_pose"]] = rotation_to_6d(fingers).flatten(1)
    return start


def face_start(
    layout: ParamLayout, mean: Float[Tensor, "P"], params: BodyParams, crop_from_params: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B P"]:
    """Where the face network starts: the body's absolute head (in crop axes), jaw and expression."""
    head = crop_from_params @ absolute_rotation(params.full_pose(), chain_to_root("head"))
    start = mean.expand(len(params), -1).clone()
    start[:, layout.slices["neck_pose"]] = rotation_to_6d(head)
    start[:, layout.slices["jaw_pose"]] = rotation_to_6d(params.jaw_pose)
    block = layout.slices["expression"]
    size = block.stop - block.start
    start[:, block] = pad(params.expression, (0, max(0, size - params.expression.shape[-1])))[:, :size]
    return start


def select(condition: Bool[Tensor, "B"], yes: Tensor, no: Tensor) -> Tensor:
    """`yes` where the condition of the row holds, else `no`."""
    return torch.where(condition.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)
