"""Observing people: which crops of the frames the part networks look at, and when they look again."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from limner.geometry.box import Squares, squares_around
from limner.geometry.warp import Frames
from limner.networks.blaze.backbones import BlazePoseBackbone
from limner.networks.detector import PoseObservations
from limner.networks.part_net import JITTER, Observations, PartNet
from limner.pipeline.parts import SIDES, body_squares, face_squares, hand_squares, part_points
from limner.records import choose, join, put

FIRST_BODY_MARGIN = 1.25
CUT_MARGIN, CUT_SHAPE = 0.03, 1.8
"""A box that ends so close to the photo's lower edge and is not as tall as a standing person is cut off by it."""
MIN_PRESENCE = 0.5
LEAST_PRESENCE = 0.3
"""Of a part whose points may place the next crop."""
TURNED_PRESENCE = 0.9
"""A person lying or upside down must be seen this clearly: turned crops see people in furniture."""
POSE_HIPS, POSE_TOP = 33, 34
"""BlazePose's auxiliary points: mid-hips, and a point on the circle about them that holds the whole person."""


def observe_bodies(net: PartNet[Any], frames: Frames, pose: PoseObservations, network: nn.Module) -> Observations:
    """Every person in its square. `network` has looked there: the body network goes on from it, if it is its own."""
    if not isinstance(net.backbone, BlazePoseBackbone) or net.backbone.network is not network:
        return net.observe(frames, pose.frame, pose.crops.squares)
    features = net.backbone(pose.crops.pixels, pose.seen)
    return Observations(pose.frame, frames.size_px[pose.frame], pose.crops, features)


def observe_hands(
    net: PartNet[Any], frames: Frames, frame: Int[Tensor, "P"], keypoints_px: Float[Tensor, "P 144 2"]
) -> Observations:
    """Both hands of everybody where the body has them, 2 P rows, right ones first; the left crops are mirrored."""
    squares = join([hand_squares(part_points(keypoints_px, f"{side}_hand")) for side in SIDES])
    mirror = torch.arange(2 * len(frame), device=frame.device) >= len(frame)
    return centred(net, frames, net.observe(frames, frame.repeat(2), squares, mirror), hand_squares, limit=2.5)


def observe_faces(
    net: PartNet[Any], frames: Frames, frame: Int[Tensor, "P"], keypoints_px: Float[Tensor, "P 144 2"]
) -> Observations:
    """Everybody's face where the body has it."""
    squares = face_squares(part_points(keypoints_px, "face"))
    return centred(net, frames, net.observe(frames, frame, squares), face_squares, limit=2.0)


def squares_of_boxes(
    net: PartNet[Any], frames: Frames, frame: Int[Tensor, "P"], boxes: Float[Tensor, "P 4"]
) -> Squares:
    """Where to look for people of whom only boxes are known: a first look about the box finds hips, size and tilt.

    Somebody cut off by the lower edge of the photo goes on below it: the first look is larger then. People who are not
    upright in the photo may go unseen in the first look; those are tried at three more angles.
    """
    first = squares_around(boxes, FIRST_BODY_MARGIN)
    side = boxes[:, 2:] - boxes[:, :2]
    lower_edge = frames.size_px[frame][:, 1]
    cut = (boxes[:, 3] > lower_edge - CUT_MARGIN * side[:, 1]) & (side[:, 1] < CUT_SHAPE * side[:, 0])
    bottom = torch.stack([first.center_px[:, 0], boxes[:, 3]], -1)
    larger = Squares(
        torch.where(cut[:, None], bottom, first.center_px),
        torch.where(cut, 2 * FIRST_BODY_MARGIN * side.amax(-1), first.size_px),
        first.angle_rad,
    )
    seen = net.observe(frames, frame, larger)
    points_px = seen.points_px
    if points_px is None or seen.features.presence is None or points_px.shape[1] <= POSE_TOP:
        return larger  # this backbone has no points that place crops
    return _recentred(turned_until_seen(net, frames, seen, TURNED_PRESENCE), _body_squares_of_pose, 2.0, 0.6)


def _body_squares_of_pose(points_px: Float[Tensor, "P K 2"]) -> Squares:
    return body_squares(points_px[:, POSE_HIPS], points_px[:, POSE_TOP])


def turned_until_seen(net: PartNet[Any], frames: Frames, seen: Observations, least: float = 0.0) -> Observations:
    """Crops that do not show their part, turned by the quarters that show it best, with a presence above `least`."""
    upright = seen.squares
    for quarter in (1, 2, 3):
        lost = (seen.presence < MIN_PRESENCE).nonzero()[:, 0]
        if not len(lost):
            break
        turned = replace(upright[lost], angle_rad=upright.angle_rad[lost] + quarter * torch.pi / 2)
        again = net.observe(frames, seen.frame[lost], turned, seen.mirrored[lost])
        better = again.presence > seen.presence[lost].clamp_min(least)
        if bool(better.any()):
            seen = put(seen, lost[better], again[better])
    return seen


def centred(
    net: PartNet[Any],
    frames: Frames,
    seen: Observations,
    focus: Callable[[Tensor], Squares],
    limit: float = math.inf,
    shift: float = 0.6,
) -> Observations:
    """The same parts in crops about their own points, looked at again where they lie elsewhere than expected.

    limit, shift: how much larger or smaller, and how many sides away, the new square may be.
    """
    if seen.points_px is None or seen.features.presence is None:
        return seen
    squares = _recentred(seen, focus, limit, shift)
    moved = (~JITTER[net.part].holds(squares, seen.squares)).nonzero()[:, 0]
    if not len(moved):
        return seen
    return put(seen, moved, net.observe(frames, seen.frame[moved], squares[moved], seen.mirrored[moved]))


def _recentred(seen: Observations, focus: Callable[[Tensor], Squares], limit: float, shift: float) -> Squares:
    """Squares about the points seen; the old ones where nothing was seen or the jump is implausible."""
    points_px, old = seen.points_px, seen.squares
    assert points_px is not None
    new = focus(points_px)
    ratio = new.size_px / old.size_px
    away = (new.center_px - old.center_px).norm(dim=-1) / old.size_px
    good = (seen.presence > LEAST_PRESENCE) & (ratio < limit) & (ratio > 1 / limit / 1.5) & (away < shift)
    return choose(good, new, old)
