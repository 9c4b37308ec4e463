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
    if part == "body":
        return _body(params, keypoints, in_crop, camera, squares, visible)
    if part == "face":
        return _face(params, keypoints, in_crop, camera, squares, visible)
    right = _hand(params, "right", keypoints, in_crop, camera, squares, visible)
    left = _mirrored(_hand(params, "left", keypoints, in_crop, camera, squares, visible))
    return choose(mirrored, left, right)


def _points(
    names: tuple[str, ...], root: Tensor, keypoints: Tensor, in_crop: Tensor, camera: Camera, squares: Squares
) -> tuple[Tensor, Tensor]:
    chosen = keypoints[:, list(indices_of(names))]
    return (chosen - root[:, None]) @ in_crop.mT, squares.unit_from_photo(camera.project(chosen))


def _body(
    params: BodyParams, keypoints: Tensor, in_crop: Tensor, camera: Camera, squares: Squares, visible: Tensor
) -> Target:
    points3d, points2d = _points(BODY_POINTS, keypoints[:, 0], keypoints, in_crop, camera, squares)
    return Target(
        rotations={
            "global_orient": (in_crop @ params.global_orient)[:, None],
            "body_pose": params.body_pose,
            "left_hand_pose": params.left_hand_pose,
            "right_hand_pose": params.right_hand_pose,
            "jaw_pose": params.jaw_pose[:, None],
        },
        numbers={"betas": params.betas, "expression": params.expression},
        points3d=points3d,
        points2d=points2d,
        visible=visible[:, list(indices_of(BODY_POINTS))],
    )


def _hand(
    params: BodyParams,
    side: str,
    keypoints: Tensor,
    in_crop: Tensor,
    camera: Camera,
    squares: Squares,
    visible: Tensor,
) -> Target:
    names = hand21(side)
    root = keypoints[:, indices_of(names)[0]]
    points3d, points2d = _points(names, root, keypoints, in_crop, camera, squares)
    wrist = in_crop @ absolute_rotation(params.full_pose(), chain_to_root(f"{side}_wrist"))
    return Target(
        rotations={"wrist_pose": wrist[:, None], "hand_pose": getattr(params, f"{side}_hand_pose")},
        numbers={"betas": params.betas},
        points3d=points3d,
        points2d=points2d,
        visible=visible[:, list(indices_of(names))],
    )


def _face(
    params: BodyParams, keypoints: Tensor, in_crop: Tensor, camera: Camera, squares: Squares, visible: Tensor
) -> Target:
    root = keypoints[:, list(indices_of(("head",)))][:, 0]
    points3d, points2d = _points(FACE_POINTS, root, keypoints, in_crop, camera, squares)
    head = in_crop @ absolute_rotation(params.full_pose(), chain_to_root("head"))
    return Target(
        rotations={"neck_pose": head[:, None], "jaw_pose": params.jaw_pose[:, None]},
        numbers={"betas": params.betas, "expression": params.expression},
        points3d=points3d,
        points2d=points2d,
        visible=visible[:, list(indices_of(FACE_POINTS))],
    )


def _mirrored(target: Target) -> Target:
    flip3 = target.points3d.new_tensor([-1.0, 1.0, 1.0])
    return Target(
        rotations={k: mirror_rotation(v) for k, v in target.rotations.items()},
        numbers=target.numbers,
        points3d=target.points3d * flip3,
        points2d=target.points2d * flip3[:2],
        visible=target.visible,
    )
