"""What the networks observed of the people in a photo, as 2D points that a fit can hold on to."""

import io
from dataclasses import replace

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.skinning import pose_joints
from limner.curate.records import Seen
from limner.curate.score import blur
from limner.estimator import Estimator
from limner.fit.records import FitTargets
from limner.geometry.box import squares_around
from limner.geometry.warp import crop
from limner.io.image import Photo
from limner.networks.blaze.pose import POSE_POINTS
from limner.networks.part_net import Observations
from limner.pipeline.people import People
from limner.pipeline.place import body_targets

SAME_PLACE = {f"{side}_foot_index": f"{side}_big_toe" for side in ("left", "right")}
"""BlazePose's names of points that are called otherwise among the 144."""
THUMB_SIDE = 144


@torch.no_grad()
def observe(estimator: Estimator, photo: Photo, given: FitTargets | None = None, focal_px: float | None = None) -> Seen:
    """Everybody in a photo: the regressor's estimate and the points to fit to.

    given: points of a keypoint file, one row a person; then people are where the boxes of the file are, and these are
    the points. Otherwise the detector finds people and the points are the networks' own.
    """
    people = estimator(photo, None if given is None else given.boxes, focal_px)
    if given is None:
        points_px, confidence = seen_points(estimator, people)
    else:
        points_px, confidence = given.keypoints_px, given.confidence
    count = len(people)
    return Seen(
        estimate=people.params,
        targets=FitTargets(points_px, confidence, people.camera, people.boxes),
        by_hand=torch.zeros(count, len(KEYPOINT_NAMES)),
        size_px=torch.tensor([[float(photo.width), float(photo.height)]]).repeat(count, 1),
        blur=torch.tensor([blur(photo.pixels, box) for box in people.boxes]).reshape(count),
        score=people.scores,
        observations=people.observations,
    )


@torch.no_grad()
def seen_points(estimator: Estimator, people: People) -> tuple[Float[Tensor, "P 144 2"], Float[Tensor, "P 144"]]:
    """Photo pixels and confidence of the 144 points as the networks observed them; confidence 0 for points not seen."""
    points_px, confidence = people.keypoints_px.clone(), torch.zeros_like(people.confidence)
    seen = people.observations
    if seen is None:
        return points_px, confidence
    _fill_bodies(estimator, people, seen.body, points_px, confidence)
    for part, trusted, names, first in (
        (seen.face, people.face_trusted, FACE68, 0),
        (seen.left_hand, people.left_hand_trusted, hand21("left")[1:], 1),  # the wrist is the body's
        (seen.right_hand, people.right_hand_trusted, hand21("right")[1:], 1),
    ):
        if part.points_px is not None:
            index = list(indices_of(names))
            points_px[:, index] = part.points_px[:, first : first + len(index)]
            confidence[:, index] = (part.presence * trusted)[:, None]
    return points_px, confidence


def _fill_bodies(
    estimator: Estimator, people: People, seen: Observations, points_px: Tensor, confidence: Tensor
) -> None:
    """Fill in body points. A network's hip is not the body's hip joint: each point is moved by what lies between its
    place on the body (`Attachment`) and the keypoint of its name, as seen from the camera in the estimated pose."""
    targets = body_targets(estimator.networks.body, seen)
    if targets is None:  # a backbone without points: the estimate's own, half as sure as they say
        confidence[:] = people.confidence / 2
        return
    absolute, _ = pose_joints(people.params.full_pose(), estimator.body_model.rest_joints(people.params))
    carried = people.joints[:, targets.joint] + (absolute[:, targets.joint] @ targets.offset[..., None])[..., 0]
    carried_px = people.camera.project(carried)
    for row, name in enumerate(POSE_POINTS[: len(targets.joint)]):
        name = SAME_PLACE.get(name, name)
        if name in KEYPOINT_NAMES:
            index = KEYPOINT_NAMES.index(name)
            shift = people.keypoints_px[:, index] - carried_px[:, row]
            points_px[:, index] = targets.point_px[:, row] + shift
            confidence[:, index] = targets.weight[:, row].clamp(0, 1)


def with_points(seen: Seen, edits: dict[int, tuple[float, float, float]]) -> Seen:
    """One person (a Seen of length 1) with points set by hand: index to x, y (photo pixels) and confidence."""
    targets = seen.targets
    points_px, confidence, by_hand = targets.keypoints_px.clone(), targets.confidence.clone(), seen.by_hand.clone()
    for index, (x, y, sure) in edits.items():
        points_px[0, index] = torch.tensor([x, y])
        confidence[0, index], by_hand[0, index] = sure, 1.0
    return replace(seen, targets=replace(targets, keypoints_px=points_px, confidence=confidence), by_hand=by_hand)


def thumbs(photo: Photo, boxes: Float[Tensor, "P 4"]) -> list[bytes]:
    """A small JPEG of each person."""
    if not len(boxes):
        return []
    pixels = crop(photo.pixels, squares_around(boxes, 1.1), THUMB_SIDE).pixels
    return [_jpeg((one * 255).round().clamp(0, 255).to(torch.uint8)) for one in pixels]


def _jpeg(pixels: Tensor) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(out, format="JPEG", quality=82)
    return out.getvalue()
