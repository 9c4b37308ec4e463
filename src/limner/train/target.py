"""Targets of the part networks: people in the axes and coordinates of the crop that shows them."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.params import BodyParams
from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.geometry.box import Squares
from limner.geometry.camera import Camera, camera_from_crop
from limner.geometry.rotation import mirror_rotation
from limner.networks.weights import Part
from limner.pipeline.predicted import BODY_POINTS
from limner.records import Rows, choose

FACE_POINTS = FACE68[17:]
"""Inner face landmarks: the contour is a place in the image, not on the skin."""


@dataclass(frozen=True)
class Target(Rows):
    """What a part network should predict of N crops: in crop axes (x right, y down, z away), mirrored where these are.

    rotations   by block of the part's parameter layout, "N n 3 3"
    numbers     betas and expression by block name
    points3d    "N J 3" metres, relative to the part's root
    points2d    "N J 2" in [-1, 1] of the crop
    visible     "N J"
    """

    rotations: dict[str, Float[Tensor, "N _ 3 3"]]
    numbers: dict[str, Float[Tensor, "N _"]]
    points3d: Float[Tensor, "N J 3"]
    points2d: Float[Tensor, "N J 2"]
    visible: Bool[Tensor, "N J"]


@dataclass(frozen=True)
class Examples(Rows):
    """N crops of one part: what a frozen backbone reports of them, seen or simulated, and the target."""

    pooled: Float[Tensor, "N F"]
    target: Target


def part_target(
    part: Part,
    keypoints: Float[Tensor, "N 144 3"],
    params: BodyParams,
    camera: Camera,
    squares: Squares,
    mirrored: Bool[Tensor, "N"],
    visible: Bool[Tensor, "N 144"],
) -> Target:
    """Targets of crops of one part. For hands, mirrored crops show the left hand, the others the right one.

    `keypoints`: of these people in camera axes, `transl` included.
    """
    in_crop = camera_from_crop(squares, camera).mT
    both = {"betas": params.betas, "expression": params.expression}

    def target(names: tuple[str, ...], root: str, rotations: dict[str, Tensor], numbers: dict[str, Tensor]) -> Target:
        rows = list(indices_of(names))
        points, origin = keypoints[:, rows], keypoints[:, list(indices_of((root,)))]
        points2d = squares.unit_from_photo(camera.project(points))
        return Target(rotations, numbers, (points - origin) @ in_crop.mT, points2d, visible[:, rows])

    def turned(joint: str) -> Tensor:
        return (in_crop @ absolute_rotation(params.full_pose(), chain_to_root(joint)))[:, None]

    def hand(side: str) -> Target:
        rotations = {"wrist_pose": turned(f"{side}_wrist"), "hand_pose": getattr(params, f"{side}_hand_pose")}
        return target(hand21(side), f"{side}_wrist", rotations, {"betas": params.betas})

    if part == "hand":
        return choose(mirrored, _mirrored(hand("left")), hand("right"))
    jaw = params.jaw_pose[:, None]
    if part == "face":
        return target(FACE_POINTS, "head", {"neck_pose": turned("head"), "jaw_pose": jaw}, both)
    fingers = {"left_hand_pose": params.left_hand_pose, "right_hand_pose": params.right_hand_pose}
    body = {"global_orient": turned("pelvis"), "body_pose": params.body_pose, **fingers, "jaw_pose": jaw}
    return target(BODY_POINTS, "pelvis", body, both)


def _mirrored(target: Target) -> Target:
    flip3 = target.points3d.new_tensor([-1.0, 1.0, 1.0])
    return Target(
        rotations={k: mirror_rotation(v) for k, v in target.rotations.items()},
        numbers=target.numbers,
        points3d=target.points3d * flip3,
        points2d=target.points2d * flip3[:2],
        visible=target.visible,
    )
