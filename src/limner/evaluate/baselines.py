"""Predictions that are compared on photos: limner's, its stages', and those of a mean pose that looks at nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import FACE68, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.estimator import Estimator
from limner.evaluate.photo_sets import POINT_NAMES
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import Camera, camera_from_crop
from limner.geometry.rotation import rotation_to_6d
from limner.geometry.warp import Frames
from limner.io.image import Photo
from limner.networks.blaze.pose import POSE_POINTS
from limner.networks.part_net import BodyEstimate, PartNet
from limner.networks.regressor import decode_body
from limner.networks.weights import Networks
from limner.pipeline.parts_alone import faces_in_boxes, hands_in_boxes
from limner.pipeline.people import People
from limner.pipeline.predicted import PredictedPoints
from limner.records import Rows

LIMNER, UNREFINED, BACKBONE, MEAN = "limner", "not refined", "backbone's points", "mean pose"
BOX_ROOM = 1.2
"""Boxes are about a tenth larger on each side than the points in them: so much smaller a mean pose is drawn in."""


@dataclass(frozen=True)
class Prediction(Rows):
    """Points "P K 2" in photo pixels, NaN where the column says nothing; hands also in 3D, camera axes, metres."""

    points_px: Float[Tensor, "P K 2"]
    points3d: Float[Tensor, "P K 3"] | None = None


Predictions = dict[str, Prediction]
"""By the column's name, in the order of the table's columns."""


@dataclass(frozen=True)
class Baselines:
    """What answers for each kind of box; hands are told which are left ones and the camera."""

    person: Callable[[Photo, Tensor], Predictions]
    hand: Callable[[Photo, Tensor, Tensor, Camera], Predictions]
    face: Callable[[Photo, Tensor], Predictions]


def baselines_of(estimator: Estimator) -> Baselines:
    """limner as it is and without refinement, its frozen backbones alone, and the mean pose fitted into the box."""
    nets = estimator.networks
    plain = Estimator(nets, estimator.detector, estimator.body_model, refined=False)
    model = estimator.body_model

    def person(photo: Photo, boxes: Tensor) -> Predictions:
        people = {name: system(photo, boxes) for name, system in ((LIMNER, estimator), (UNREFINED, plain))}
        predictions = {name: points_of_people(model, some) for name, some in people.items()}
        seen = backbone_body(people[LIMNER])
        return predictions | ({} if seen is None else {BACKBONE: seen}) | {MEAN: mean_body(nets.body, model, boxes)}

    def hand(photo: Photo, boxes: Tensor, left: Tensor, camera: Camera) -> Predictions:
        return predict_hands(nets, model, photo, boxes, left, camera)

    return Baselines(person, hand, lambda photo, boxes: predict_faces(nets, model, photo, boxes))


def body_points(
    model: BodyModel, vertices: Float[Tensor, "P V D"], keypoints: Float[Tensor, "P 144 D"]
) -> Float[Tensor, "P 135 D"]:
    """The points of POINT_NAMES on bodies, in space or in the photo."""
    crown = int(model.v_template[:, 1].argmax())
    return torch.cat([keypoints[:, list(indices_of(POINT_NAMES[:-1]))], vertices[:, crown : crown + 1]], 1)


def points_of_people(model: BodyModel, people: People) -> Prediction:
    """The projected bodies of an estimator as the points of POINT_NAMES."""
    return Prediction(body_points(model, people.camera.project(people.vertices), people.keypoints_px))


def backbone_body(people: People) -> Prediction | None:
    """BlazePose's own points, as they were observed; None for another backbone."""
    px = None if people.observations is None else people.observations.body.points_px
    if px is None or px.shape[1] < len(POSE_POINTS):
        return None
    at = {name: px[:, i] for i, name in enumerate(POSE_POINTS)}
    eyes, mouth = (at["left_eye"] + at["right_eye"]) / 2, (at["mouth_left"] + at["mouth_right"]) / 2
    at["neck"] = (at["left_shoulder"] + at["right_shoulder"]) / 2
    at["head_top"] = eyes + 2 * (eyes - mouth)  # the eyes are halfway up the head, the mouth a quarter of it lower
    for side in ("left", "right"):
        at[f"{side}_big_toe"] = at[f"{side}_foot_index"]
    nothing = torch.full((len(people), 2), torch.nan)
    only = {"left_index", "right_index", "left_pinky", "right_pinky", "left_thumb", "right_thumb"}  # knuckles, not tips
    return Prediction(torch.stack([at[n] if n in at and n not in only else nothing for n in POINT_NAMES], 1))


@torch.no_grad()
def mean_body(net: PartNet[BodyEstimate], model: BodyModel, boxes: Float[Tensor, "P 4"]) -> Prediction:
    """The mean pose of the training data, upright and facing the camera, drawn into each box."""
    params, _ = decode_body(net.layout, net.regressor.mean[None])
    mesh = model(params)
    points = body_points(model, mesh.vertices, model.keypoints144(mesh, params))
    return Prediction(_into_boxes(points[..., :2], boxes))


def _into_boxes(points: Float[Tensor, "1 K 2"], boxes: Float[Tensor, "P 4"]) -> Float[Tensor, "P K 2"]:
    """Points moved and scaled to fill the boxes, less their room, in height or in width."""
    low, high = points.amin(1), points.amax(1)
    size = (boxes[:, 2:] - boxes[:, :2]) / BOX_ROOM
    scale = (size / (high - low).clamp_min(1e-9)).amin(-1)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return (points - ((low + high) / 2)[:, None]) * scale[:, None, None] + middle[:, None]


@torch.no_grad()
def predict_hands(
    nets: Networks,
    model: BodyModel,
    photo: Photo,
    boxes: Float[Tensor, "P 4"],
    left: Bool[Tensor, "P"],
    camera: Camera,
) -> Predictions:
    """The hand network alone: the regressed hand, the backbone's points, and the mean hand, palm to the camera."""
    alone = hands_in_boxes(nets.hand, model, Frames((photo.pixels,)), boxes, left)
    to_camera = camera_from_crop(alone.seen.squares, camera)
    unit = alone.estimate.camera.project(alone.points)
    predictions = {
        LIMNER: Prediction(alone.seen.crops.photo_from_unit(unit), _unmirrored(alone.points, left) @ to_camera.mT)
    }
    if alone.seen.points_px is not None:
        points3d = alone.seen.features.points3d
        predictions[BACKBONE] = Prediction(
            alone.seen.points_px,
            None if points3d is None else _unmirrored(points3d, left) @ to_camera.mT,
        )
    mean = _unmirrored(mean_hand(nets, model).expand(len(boxes), -1, -1), left)
    squares = squares_around(boxes, 1.0)
    upright = Squares(squares.center_px, squares.size_px, torch.zeros(len(boxes)))
    in_boxes = torch.cat([_into_boxes(mean[i : i + 1, :, :2], boxes[i : i + 1]) for i in range(len(boxes))])
    predictions[MEAN] = Prediction(in_boxes, mean @ camera_from_crop(upright, camera).mT)
    return predictions


def _unmirrored(points: Tensor, left: Tensor) -> Tensor:
    sign = torch.where(left, -1.0, 1.0)[:, None]
    return torch.cat([points[..., :1] * sign[..., None], points[..., 1:]], -1)


def mean_hand(nets: Networks, model: BodyModel) -> Float[Tensor, "1 21 3"]:
    """The mean right hand, fingers up, palm to the camera: crop axes, metres from the wrist.

    At rest the right hand's fingers point to -x, its palm down (-y), its thumb forward (z).
    """
    vector = nets.hand.regressor.mean[None].clone()
    upright = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    vector[:, nets.hand.layout.slices["wrist_pose"]] = rotation_to_6d(upright)
    return PredictedPoints("hand", model, nets.hand.layout)(vector)


@torch.no_grad()
def predict_faces(nets: Networks, model: BodyModel, photo: Photo, boxes: Float[Tensor, "P 4"]) -> Predictions:
    """The face network alone: the regressed head, the backbone's landmarks, and the mean face seen from the front."""
    alone = faces_in_boxes(nets.face, model, Frames((photo.pixels,)), boxes)
    predictions = {LIMNER: Prediction(alone.seen.crops.photo_from_unit(alone.estimate.camera.project(alone.points)))}
    if alone.seen.points_px is not None:
        predictions[BACKBONE] = Prediction(alone.seen.points_px)
    params: BodyParams = model.rest()
    points = model.keypoints144(model(params), params)[:, list(indices_of(FACE68)), :2]
    predictions[MEAN] = Prediction(_into_boxes(points, boxes))
    return predictions
