"""What do the hand and face networks say of a hand or a face alone, given only its box? (No body to start from.)"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from limner.body.keypoints import FACE68, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import HAND_JOINTS, JOINT
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
from limner.pipeline.predicted import PredictedPoints
from limner.pipeline.refine_face import free_face, refine_face
from limner.records import choose

FIRST_MARGIN = 1.4
"""Side of the first, upright look in longer box sides; the boxes have a tenth of room on every side already."""
LEAST_PRESENCE, SURE_PRESENCE = 0.3, 0.5
WINDOW_SHARES = (1.0, 0.7, 0.5)
"""Windows of a photo in which a part is looked for, as shares of its shorter side."""
SAME_SHIFT, SAME_RATIO = 0.2, 1.4
"""Squares of one and the same part differ by less, in shares of the larger side and in size."""
MESH_POINTS = 468
PartName = Literal["left_hand", "right_hand", "face"]
PART_JOINTS: dict[PartName, tuple[tuple[str, ...], float]] = {
    "left_hand": (("left_wrist", *HAND_JOINTS["left"]), 0.5),
    "right_hand": (("right_wrist", *HAND_JOINTS["right"]), 0.5),
    "face": (("head", "jaw", "left_eye_smplx", "right_eye_smplx"), 0.9),
}
"""Which joints carry the vertices of a part, and how much of them at least."""
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


def where_is_part(net: HandNet | FaceNet, photo: UInt8[Tensor, "3 H W"]) -> Float[Tensor, "1 4"]:
    """A box about the hand or face that a photo shows, if only one is in it and nobody says where: x0 y0 x1 y1, pixels.

    The backbone looks at the whole photo and at ever smaller windows of it, turned by quarters where it sees no part
    upright. What several windows see at the same place counts: a window without the part is taken for one now and then.
    The whole photo where none sees it.
    """
    height, width = photo.shape[-2:]
    whole = torch.tensor([[0.0, 0.0, width, height]])
    boxes = torch.cat([whole, *(_windows(width, height, share) for share in WINDOW_SHARES)])
    squares = squares_around(boxes, FIRST_MARGIN)
    focus = hand_squares if isinstance(net, HandNet) else face_squares
    for quarter in range(4):
        turned = Squares(squares.center_px, squares.size_px, squares.angle_rad + quarter * torch.pi / 2)
        crops = crop(photo, turned, net.crop_size)
        seen = net.backbone(crops.pixels)
        if seen.presence is None or seen.keypoints is None:
            break
        asked = focus(crops.photo_from_unit(seen.keypoints[..., :2]))
        sure = seen.presence * (seen.presence > SURE_PRESENCE)
        if bool(sure.any()):
            best = int(((_same_place(asked).float() @ sure) * (sure > 0)).argmax())
            center, half = asked.center_px[best], asked.size_px[best] / 2 / FIRST_MARGIN
            return torch.cat([center - half, center + half])[None]
    return whole


def _same_place(squares: Squares) -> Bool[Tensor, "N N"]:
    """Which squares are about the same in place and size."""
    distance = (squares.center_px[:, None] - squares.center_px).norm(dim=-1)
    ratio = squares.size_px[:, None] / squares.size_px
    near = distance < SAME_SHIFT * torch.maximum(squares.size_px[:, None], squares.size_px)
    return near & (ratio < SAME_RATIO) & (ratio > 1 / SAME_RATIO)


def _windows(width: int, height: int, share: float) -> Float[Tensor, "N 4"]:
    """Boxes whose first look is a window of that share of the photo's shorter side, overlapping by half."""
    side = share * min(width, height)
    x, y = (_middles(full, side) for full in (width, height))
    middle = torch.cartesian_prod(x, y)
    half = side / 2 / FIRST_MARGIN
    return torch.cat([middle - half, middle + half], 1)


def _middles(full: int, side: float) -> Float[Tensor, "n"]:
    """Where the middles of windows along one side of the photo are."""
    return torch.linspace(side / 2, full - side / 2, max(1, round((full - side) / (side / 2)) + 1))


def which_are_left(
    net: HandNet, model: BodyModel, photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "P 4"]
) -> Bool[Tensor, "P"]:
    """Which hands look like left ones: the backbone's word on each hand and on its mirror image, the clearer one first.

    Right hands where the backbone gives none.
    """
    says = torch.zeros(len(boxes))
    for mirrored in (False, True):
        seen = look_at_hand_boxes(net, model, photo, boxes, torch.full((len(boxes),), mirrored)).seen
        if seen.handedness is not None and seen.presence is not None:
            right = 1 - seen.handedness if mirrored else seen.handedness
            says += (right - 0.5) * seen.presence
    return says < 0


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


def hand_mesh(
    model: BodyModel,
    wrist: Float[Tensor, "P 3 3"],
    hand_pose: Float[Tensor, "P 15 3 3"],
    betas: Float[Tensor, "P S"],
) -> tuple[Float[Tensor, "P V 3"], Tensor]:
    """All vertices of bodies whose right wrist has this absolute rotation, relative to it; and the hand's triangles."""
    rest = model.rest(len(wrist))
    index = JOINT["right_wrist"]
    pose = torch.cat([rest.body_pose[:, : index - 1], wrist[:, None], rest.body_pose[:, index:]], 1)
    eye = torch.eye(3).expand(len(wrist), 3, 3)
    params = rest.replace(global_orient=eye, body_pose=pose, right_hand_pose=hand_pose, betas=betas)
    mesh = model(params)
    return mesh.vertices - mesh.joints[:, index, None], part_faces(model, "right_hand")


def part_faces(model: BodyModel, part: PartName) -> Int[Tensor, "F 3"]:
    """The body's triangles that belong to one hand, from the wrist on, or to the head."""
    joints, share = PART_JOINTS[part]
    chosen = model.weights[:, [JOINT[name] for name in joints]].sum(-1) > share
    return model.faces[chosen[model.faces].all(-1)]


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
