"""What do the hand and face networks say of a hand or a face alone, given only its box? (No body to start from.)"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from limner.body.keypoints import FACE68, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.geometry.align import similarity
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import Camera, WeakCamera
from limner.geometry.rotation import rotation_to_6d
from limner.geometry.warp import Crops, crop
from limner.networks.backbone import Features
from limner.networks.blaze.face import IBUG68_FROM_MESH
from limner.networks.face_net import FaceEstimate, FaceNet
from limner.networks.hand_net import HandEstimate, HandNet
from limner.pipeline.parts import face_squares, hand_squares
from limner.pipeline.refine_face import free_face, refine_face
from limner.records import choose
from limner.train.predicted import PredictedPoints

FIRST_MARGIN = 1.4
"""Side of the first, upright look in longer box sides; the boxes have a tenth of room on every side already."""
LEAST_PRESENCE, SURE_PRESENCE = 0.3, 0.5
MESH_POINTS = 468
LONG_LENS = 100.0
"""Focal length in half crop sides under which perspective does not show."""


@dataclass(frozen=True)
class HandAlone:
    """Hands seen alone: crops (left hands mirrored), estimate, backbone's view; points of the regressed hands
    ("P 21 3") in crop axes, metres, relative to the wrist."""

    crops: Crops
    estimate: HandEstimate
    seen: Features
    points: Float[Tensor, "P 21 3"]


@dataclass(frozen=True)
class FaceAlone:
    """Faces seen alone; points of the regressed heads ("P 68 3") in crop axes, metres, relative to the head joint."""

    crops: Crops
    estimate: FaceEstimate
    seen: Features
    points: Float[Tensor, "P 68 3"]


def look_at_hand_boxes(
    net: HandNet,
    model: BodyModel,
    photo: UInt8[Tensor, "3 H W"],
    boxes: Float[Tensor, "P 4"],
    left: Bool[Tensor, "P"],
) -> HandAlone:
    """An upright look about each box (turned by quarters where no hand is seen), then one centred on the hand's points.

    As `limner.pipeline.attention.look_at_hands`, but with a box instead of a body: the wrist's start is the rotation
    that brings the mean hand nearest to the backbone's own 3D points.
    """
    first = squares_around(boxes, FIRST_MARGIN)
    crops, seen = _best_quarter(net, photo, first, left)
    if seen.keypoints is not None and seen.presence is not None:
        focused = hand_squares(crops.photo_from_unit(seen.keypoints[..., :2]))
        squares = choose(seen.presence > LEAST_PRESENCE, focused, crops.squares)
        crops = crop(photo, squares, net.crop_size, left)
        seen = net.backbone(crops.pixels)
    predicted = PredictedPoints("hand", model, net.layout)
    estimate = net.regress(seen, _hand_start(net, predicted, seen))
    return HandAlone(crops, estimate, seen, predicted(estimate.vectors[-1]))


def look_at_face_boxes(
    net: FaceNet, model: BodyModel, photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "P 4"]
) -> FaceAlone:
    """An upright look about each box, then one centred on the landmarks; the head starts from the backbone's 3D."""
    upright = torch.zeros(len(boxes), dtype=torch.bool)
    crops = crop(photo, squares_around(boxes, FIRST_MARGIN), net.crop_size, upright)
    seen = net.backbone(crops.pixels)
    if seen.keypoints is not None and seen.presence is not None:
        focused = face_squares(crops.photo_from_unit(seen.keypoints[..., :2]))
        squares = choose(seen.presence > LEAST_PRESENCE, focused, crops.squares)
        crops = crop(photo, squares, net.crop_size, upright)
        seen = net.backbone(crops.pixels)
    estimate = net.regress(seen, _face_start(net, model, seen))
    estimate = _refined(model.keypoints_only(), estimate, seen)
    return FaceAlone(crops, estimate, seen, head_points(model, estimate))


def _refined(model: BodyModel, estimate: FaceEstimate, seen: Features) -> FaceEstimate:
    """The head moved onto its landmarks as in the flow, before a long lens that stands in for the weak camera."""
    if seen.keypoints is None or seen.presence is None or seen.keypoints.shape[1] != len(FACE68):
        return estimate
    weak, lens = estimate.camera, torch.full_like(estimate.camera.scale, LONG_LENS)
    params = head_params(model, estimate)
    joint = model.joints(params)[:, JOINT["head"]]
    params = params.replace(transl=torch.cat([weak.translation, (lens / weak.scale)[:, None]], -1) - joint)
    camera = Camera(lens, torch.zeros_like(weak.translation))
    side = torch.full_like(lens, 2.0)
    moved, shift = refine_face(
        model, params, camera, seen.keypoints[..., :2], side, seen.presence > LEAST_PRESENCE, free_face()
    )
    depth = lens / weak.scale + shift[:, 2]
    return replace(
        estimate,
        head=estimate.head @ moved.joint_pose("head"),
        jaw_pose=moved.jaw_pose,
        expression=moved.expression,
        betas=moved.betas,
        camera=WeakCamera(lens / depth, weak.translation + shift[:, :2]),
    )


def head_points(model: BodyModel, estimate: FaceEstimate) -> Float[Tensor, "P 68 3"]:
    """The 68 landmarks of regressed heads, the sliding contour included, crop axes, metres from the head joint.

    The whole body turns with the head, so that the contour's row, which follows the neck, fits the head's yaw.
    """
    params = head_params(model, estimate)
    mesh = model(params)
    landmarks = model.keypoints144(mesh, params)[:, list(indices_of(FACE68))]
    return landmarks - mesh.joints[:, JOINT["head"], None]


def head_params(model: BodyModel, estimate: FaceEstimate) -> BodyParams:
    """Bodies in the T-pose that turn as a whole with their heads."""
    return model.rest(len(estimate)).replace(
        global_orient=estimate.head,
        jaw_pose=estimate.jaw_pose,
        betas=estimate.betas[:, : model.num_betas],
        expression=estimate.expression[:, : model.num_expression],
    )


def _best_quarter(net: HandNet, photo: Tensor, first: Squares, left: Tensor) -> tuple[Crops, Features]:
    """The upright look; hands that it does not show are looked for at three more angles."""
    best = crop(photo, first, net.crop_size, left)
    seen = net.backbone(best.pixels)
    if seen.presence is None:
        return best, seen
    presence, angle = seen.presence, first.angle_rad
    for quarter in (1, 2, 3):
        if bool((presence >= SURE_PRESENCE).all()):
            break
        turned = Squares(first.center_px, first.size_px, first.angle_rad + quarter * torch.pi / 2)
        again = net.backbone(crop(photo, turned, net.crop_size, left).pixels).presence
        assert again is not None
        better = (presence < SURE_PRESENCE) & (again > presence)
        presence, angle = torch.where(better, again, presence), torch.where(better, turned.angle_rad, angle)
    if torch.equal(angle, first.angle_rad):
        return best, seen
    best = crop(photo, Squares(first.center_px, first.size_px, angle), net.crop_size, left)
    return best, net.backbone(best.pixels)


def _hand_start(net: HandNet, predicted: PredictedPoints, seen: Features) -> Float[Tensor, "P H"]:
    """The mean hand, turned onto the backbone's 21 points in 3D where it gives them."""
    start = net.regressor.mean.expand(len(seen), -1).clone()
    if seen.points3d is None or seen.points3d.shape[1] != 21:
        return start
    _, turn, _ = similarity(predicted(start), seen.points3d)
    wrist = turn @ net.layout.rotations(start, "wrist_pose")[:, 0]
    start[:, net.layout.slices["wrist_pose"]] = rotation_to_6d(wrist)
    return start


def _face_start(net: FaceNet, model: BodyModel, seen: Features) -> Float[Tensor, "P H"]:
    """The mean face, turned onto the landmarks of the backbone's face mesh where it gives one."""
    start = net.regressor.mean.expand(len(seen), -1).clone()
    if seen.points3d is None or seen.points3d.shape[1] != MESH_POINTS:
        return start
    inner = list(IBUG68_FROM_MESH[17:])
    mean = PredictedPoints("face", model, net.layout)(start)
    _, turn, _ = similarity(mean, seen.points3d[:, inner])
    head = turn @ net.layout.rotations(start, "neck_pose")[:, 0]
    start[:, net.layout.slices["neck_pose"]] = rotation_to_6d(head)
    return start
