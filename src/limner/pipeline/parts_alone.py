"""Hands and faces alone: observed in given boxes, predicted without a body to start from."""

import math
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import FACE68, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import HAND_JOINTS, JOINT
from limner.geometry.align import similarity
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import Camera, WeakCamera
from limner.geometry.rotation import rotation_to_6d
from limner.geometry.warp import Frames
from limner.networks.backbone import Features
from limner.networks.blaze.face import IBUG68_FROM_MESH
from limner.networks.part_net import Estimate, FaceEstimate, HandEstimate, Observations, PartNet
from limner.pipeline.observe import LEAST_PRESENCE, MIN_PRESENCE, centred, turned_until_seen
from limner.pipeline.parts import face_squares, hand_squares
from limner.pipeline.predicted import PredictedPoints
from limner.pipeline.refine_face import free_face, refine_face
from limner.records import Rows

FIRST_MARGIN = 1.4
"""Side of the first, upright look in longer box sides; the boxes have a tenth of room on every side already."""
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
class Alone(Rows, Generic[Estimate]):
    """Hands or faces seen alone, in crops of their own (left hands mirrored).

    points: "P K 3" of the predicted hands (21) or heads (68), crop axes, metres, relative to the wrist or head joint.
    """

    seen: Observations
    estimate: Estimate
    points: Float[Tensor, "P K 3"]


def hands_in_boxes(
    net: PartNet[HandEstimate],
    model: BodyModel,
    frames: Frames,
    boxes: Float[Tensor, "P 4"],
    left: Bool[Tensor, "P"],
) -> Alone[HandEstimate]:
    """The hand in each box of the one frame.

    An upright look about each box (turned by quarters where no hand is seen), then one centred on its points. The
    wrist's start is the rotation that brings the mean hand nearest to the backbone's own 3D points.
    """
    first = net.observe(frames, _only_frame(boxes), squares_around(boxes, FIRST_MARGIN), left)
    seen = centred(net, frames, turned_until_seen(net, frames, first), hand_squares, shift=math.inf)
    predicted = PredictedPoints("hand", model, net.layout)
    estimate = net.predict(seen.features, _hand_start(net, predicted, seen.features))
    return Alone(seen, estimate, predicted(estimate.vectors[-1]))


def faces_in_boxes(
    net: PartNet[FaceEstimate], model: BodyModel, frames: Frames, boxes: Float[Tensor, "P 4"]
) -> Alone[FaceEstimate]:
    """The face in each box of the one frame: an upright look, one centred on the landmarks; started from their 3D."""
    first = net.observe(frames, _only_frame(boxes), squares_around(boxes, FIRST_MARGIN))
    seen = centred(net, frames, first, face_squares, shift=math.inf)
    estimate = net.predict(seen.features, _face_start(net, model, seen.features))
    estimate = _refined(model.keypoints_only(), estimate, seen.features)
    return Alone(seen, estimate, head_points(model, estimate))


def _only_frame(boxes: Float[Tensor, "P 4"]) -> Int[Tensor, "P"]:
    return torch.zeros_like(boxes[:, 0], dtype=torch.int64)


def where_is_part(net: PartNet[Any], frames: Frames) -> Float[Tensor, "1 4"]:
    """A box about the hand or face that a photo shows, if only one is in it and nobody says where: x0 y0 x1 y1, pixels.

    The backbone looks at the whole photo and at ever smaller windows of it, turned by quarters where it sees no part
    upright. What several windows see at the same place counts: a window without the part is taken for one now and then.
    The whole photo where none sees it.
    """
    height, width = frames.pixels[0].shape[-2:]
    whole = torch.tensor([[0.0, 0.0, width, height]], device=frames.size_px.device)
    boxes = torch.cat([whole, *(_windows(width, height, share, whole) for share in WINDOW_SHARES)])
    squares = squares_around(boxes, FIRST_MARGIN)
    focus = hand_squares if net.part == "hand" else face_squares
    for quarter in range(4):
        turned = Squares(squares.center_px, squares.size_px, squares.angle_rad + quarter * torch.pi / 2)
        seen = net.observe(frames, _only_frame(boxes), turned)
        if seen.features.presence is None or seen.points_px is None:
            break
        asked = focus(seen.points_px)
        sure = seen.presence * (seen.presence > MIN_PRESENCE)
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


def _windows(width: int, height: int, share: float, like: Tensor) -> Float[Tensor, "N 4"]:
    """Boxes whose first look is a window of that share of the photo's shorter side, overlapping by half."""
    side = share * min(width, height)
    x, y = (_middles(full, side, like) for full in (width, height))
    middle = torch.cartesian_prod(x, y)
    half = side / 2 / FIRST_MARGIN
    return torch.cat([middle - half, middle + half], 1)


def _middles(full: int, side: float, like: Tensor) -> Float[Tensor, "n"]:
    """Where the middles of windows along one side of the photo are."""
    count = max(1, round((full - side) / (side / 2)) + 1)
    return torch.linspace(side / 2, full - side / 2, count, device=like.device)


def which_are_left(
    net: PartNet[HandEstimate], model: BodyModel, frames: Frames, boxes: Float[Tensor, "P 4"]
) -> Bool[Tensor, "P"]:
    """Which hands look like left ones: the backbone's word on each hand and on its mirror image, the clearer one first.

    Right hands where the backbone gives none.
    """
    says = torch.zeros_like(boxes[:, 0])
    for mirrored in (False, True):
        as_left = torch.full_like(says, mirrored, dtype=torch.bool)
        seen = hands_in_boxes(net, model, frames, boxes, as_left).seen.features
        if seen.handedness is not None and seen.presence is not None:
            right = 1 - seen.handedness if mirrored else seen.handedness
            says += (right - 0.5) * seen.presence
    return says < 0


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
    eye = torch.eye(3, device=wrist.device).expand(len(wrist), 3, 3)
    params = rest.replace(global_orient=eye, body_pose=pose, right_hand_pose=hand_pose, betas=betas)
    mesh = model(params)
    return mesh.vertices - mesh.joints[:, index, None], part_faces(model, "right_hand")


def part_faces(model: BodyModel, part: PartName) -> Int[Tensor, "F 3"]:
    """The body's triangles that belong to one hand, from the wrist on, or to the head."""
    joints, share = PART_JOINTS[part]
    chosen = model.weights[:, [JOINT[name] for name in joints]].sum(-1) > share
    return model.faces[chosen[model.faces].all(-1)]


def _hand_start(net: PartNet[HandEstimate], predicted: PredictedPoints, seen: Features) -> Float[Tensor, "P H"]:
    """The mean hand, turned onto the backbone's 21 points in 3D where it gives them."""
    start = net.regressor.mean.expand(len(seen), -1).clone()
    if seen.points3d is None or seen.points3d.shape[1] != 21:
        return start
    _, turn, _ = similarity(predicted(start), seen.points3d)
    wrist = turn @ net.layout.rotations(start, "wrist_pose")[:, 0]
    start[:, net.layout.slices["wrist_pose"]] = rotation_to_6d(wrist)
    return start


def _face_start(net: PartNet[FaceEstimate], model: BodyModel, seen: Features) -> Float[Tensor, "P H"]:
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
