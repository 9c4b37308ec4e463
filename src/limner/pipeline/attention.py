"""The looks: cut a part out of the photo where the coarse body says it is, look, centre on it, look again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from limner.body.params import BodyParams
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import Camera, camera_from_crop
from limner.geometry.rotation import mirror_rotation
from limner.geometry.warp import Crops, crop
from limner.networks.backbone import Backbone, Features
from limner.networks.blaze.backbones import BlazePoseBackbone
from limner.networks.body_net import BodyEstimate, BodyNet
from limner.networks.face_net import FaceNet
from limner.networks.hand_net import HandNet
from limner.networks.person_net import Looks
from limner.pipeline.parts import (
    SIDES,
    body_squares,
    face_squares,
    face_start,
    hand_squares,
    hand_start,
    inside_share,
    part_points,
)
from limner.records import choose, join, put

FIRST_BODY_MARGIN = 1.25
CUT_MARGIN, CUT_SHAPE = 0.03, 1.8
"""A box that ends so close to the photo's lower edge and is not as tall as a standing person is cut off by it."""
MIN_PRESENCE = 0.5
MIN_INSIDE = 0.5
TURNED_PRESENCE = 0.9
"""A person lying or upside down must be seen this clearly: turned crops see people in furniture."""
POSE_HIPS, POSE_TOP = 33, 34
"""BlazePose's auxiliary points: mid-hips, and a point on the circle about them that holds the whole person."""


@dataclass(frozen=True)
class BodyLook:
    """Where the body network looked and what it said."""

    crops: Crops
    estimate: BodyEstimate


@dataclass(frozen=True)
class HandLook:
    """One side's hands, all as right hands: left ones (crops too) are mirrored.

    wrist      absolute rotation in the photo's camera axes (mirrored ones for the left): what `merge_hand` takes
    points_px  the hand's 21 points in the photo, where the backbone saw them (None: it gives no points)
    presence   probability of a hand in the crop; trusted: sure enough to overrule the body network
    """

    crops: Crops
    wrist: Float[Tensor, "P 3 3"]
    hand_pose: Float[Tensor, "P 15 3 3"]
    points_px: Float[Tensor, "P 21 2"] | None
    presence: Float[Tensor, "P"]
    trusted: Bool[Tensor, "P"]


@dataclass(frozen=True)
class FaceLook:
    """Faces: head is absolute, in the photo's camera axes; points_px are the 68 iBUG points; else as HandLook."""

    crops: Crops
    head: Float[Tensor, "P 3 3"]
    jaw_pose: Float[Tensor, "P 3 3"]
    expression: Float[Tensor, "P E"]
    betas: Float[Tensor, "P S"]
    points_px: Float[Tensor, "P 68 2"] | None
    presence: Float[Tensor, "P"]
    trusted: Bool[Tensor, "P"]


def look_at_bodies(net: BodyNet, photo: UInt8[Tensor, "3 H W"], squares: Squares) -> BodyLook:
    """Look at every person in a square that holds the whole of it, upright."""
    crops = crop(photo, squares, net.crop_size)
    return BodyLook(crops, net(crops.pixels))


def bodies_of_looks(net: BodyNet, photo: UInt8[Tensor, "3 H W"], looks: Looks, network: nn.Module) -> BodyLook:
    """The same, where `network` has looked before: the body network goes on from there, if that is its own."""
    if not isinstance(net.backbone, BlazePoseBackbone) or net.backbone.network is not network:
        return look_at_bodies(net, photo, looks.crops.squares)
    return BodyLook(looks.crops, net.regress(net.backbone(looks.crops.pixels, looks.seen)))


def squares_of_boxes(net: BodyNet, photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "P 4"]) -> Squares:
    """Where to look for people of whom only boxes are known: a first look about the box finds hips, size and tilt.

    Somebody cut off by the lower edge of the photo goes on below it: the first look is larger then. People who are not
    upright in the photo may go unseen in the first look; those are tried at three more angles.
    """
    first = squares_around(boxes, FIRST_BODY_MARGIN)
    side = boxes[:, 2:] - boxes[:, :2]
    cut = (boxes[:, 3] > photo.shape[-2] - CUT_MARGIN * side[:, 1]) & (side[:, 1] < CUT_SHAPE * side[:, 0])
    bottom = torch.stack([first.center_px[:, 0], boxes[:, 3]], -1)
    larger = Squares(
        torch.where(cut[:, None], bottom, first.center_px),
        torch.where(cut, 2 * FIRST_BODY_MARGIN * side.amax(-1), first.size_px),
        first.angle_rad,
    )
    return _refocus_bodies(net, photo, larger)


def _refocus_bodies(net: BodyNet, photo: Tensor, squares: Squares) -> Squares:
    seen = net.backbone(crop(photo, squares, net.crop_size).pixels)
    if seen.keypoints is None or seen.presence is None or seen.keypoints.shape[1] <= POSE_TOP:
        return squares  # this backbone has no points that place crops
    best, best_presence, best_points = squares, seen.presence, seen.keypoints
    for quarter in (1, 2, 3):
        lost = (best_presence < MIN_PRESENCE).nonzero()[:, 0]
        if not len(lost):
            break
        turned = Squares(
            squares.center_px[lost], squares.size_px[lost], squares.angle_rad[lost] + quarter * torch.pi / 2
        )
        again = net.backbone(crop(photo, turned, net.crop_size).pixels)
        assert again.presence is not None and again.keypoints is not None
        better = again.presence > TURNED_PRESENCE
        better &= again.presence > best_presence[lost]
        rows = lost[better]
        angle, presence, points = best.angle_rad.clone(), best_presence.clone(), best_points.clone()
        angle[rows], presence[rows], points[rows] = (
            turned.angle_rad[better],
            again.presence[better],
            again.keypoints[better],
        )
        best, best_presence, best_points = Squares(best.center_px, best.size_px, angle), presence, points
    in_photo = best.photo_from_unit(best_points[..., :2])
    focused = body_squares(in_photo[:, POSE_HIPS], in_photo[:, POSE_TOP])
    return _unless_wild(focused, best, best_presence, limit=2.0)


def _unless_wild(new: Squares, old: Squares, presence: Tensor, limit: float) -> Squares:
    """The new squares, but the old ones where nothing was seen or the jump in size or place is implausible."""
    ratio = new.size_px / old.size_px
    shift = (new.center_px - old.center_px).norm(dim=-1) / old.size_px
    good = (presence > 0.3) & (ratio < limit) & (ratio > 1 / limit / 1.5) & (shift < 0.6)
    return choose(good, new, old)


def look_at_hands(
    net: HandNet,
    photo: UInt8[Tensor, "3 H W"],
    coarse: BodyParams,
    keypoints_px: Float[Tensor, "P 144 2"],
    camera: Camera,
) -> dict[str, HandLook]:
    """Both hands of everybody as one batch, right ones first; the left crops are mirrored."""
    count = len(coarse)
    squares = join([hand_squares(part_points(keypoints_px, f"{side}_hand")) for side in SIDES])
    mirror = torch.arange(2 * count) >= count
    crops, seen = _look_twice(net.backbone, photo, squares, mirror, hand_squares, limit=2.5)
    squares = crops.squares
    photo_from_crop = camera_from_crop(squares, _repeat(camera, 2))
    starts = [
        hand_start(net.layout, net.regressor.mean, coarse, side, photo_from_crop[rows].mT)
        for side, rows in zip(SIDES, (slice(0, count), slice(count, None)), strict=True)
    ]
    estimate = net.regress(seen, torch.cat(starts))
    points_px, presence, trusted = _reliability(seen, crops, photo)
    looks = {}
    for side, rows in zip(SIDES, (slice(0, count), slice(count, None)), strict=True):
        to_photo = mirror_rotation(photo_from_crop[rows]) if side == "left" else photo_from_crop[rows]
        looks[side] = HandLook(
            crops[rows],
            to_photo @ estimate.wrist[rows],
            estimate.hand_pose[rows],
            None if points_px is None else points_px[rows],
            presence[rows],
            trusted[rows],
        )
    return looks


def look_at_faces(
    net: FaceNet,
    photo: UInt8[Tensor, "3 H W"],
    coarse: BodyParams,
    keypoints_px: Float[Tensor, "P 144 2"],
    camera: Camera,
) -> FaceLook:
    """Everybody's face. A face turned away has no presence and keeps the body's estimate."""
    squares = face_squares(part_points(keypoints_px, "face"))
    nobody_mirrored = torch.zeros(len(squares), dtype=torch.bool)
    crops, seen = _look_twice(net.backbone, photo, squares, nobody_mirrored, face_squares, limit=2.0)
    photo_from_crop = camera_from_crop(crops.squares, camera)
    start = face_start(net.layout, net.regressor.mean, coarse, photo_from_crop.mT)
    estimate = net.regress(seen, start)
    points_px, presence, trusted = _reliability(seen, crops, photo)
    return FaceLook(
        crops,
        photo_from_crop @ estimate.head,
        estimate.jaw_pose,
        estimate.expression,
        estimate.betas,
        points_px,
        presence,
        trusted,
    )


def _look_twice(
    backbone: Backbone,
    photo: Tensor,
    squares: Squares,
    mirror: Tensor,
    focus: Callable[[Tensor], Squares],
    limit: float,
) -> tuple[Crops, Features]:
    """Look where the body says that a part is, and again, centred, where the part was seen elsewhere than expected."""
    crops = crop(photo, squares, backbone.crop_size, mirror)
    seen = backbone(crops.pixels)
    if seen.keypoints is None or seen.presence is None:
        return crops, seen
    focused = _unless_wild(focus(crops.photo_from_unit(seen.keypoints[..., :2])), squares, seen.presence, limit)
    moved = (focused.center_px != squares.center_px).any(-1).nonzero()[:, 0]  # other squares would show the same
    if not len(moved):
        return crops, seen
    again = crop(photo, focused[moved], backbone.crop_size, mirror[moved])
    return put(crops, moved, again), put(seen, moved, backbone(again.pixels))


def _reliability(seen: Features, crops: Crops, photo: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """The backbone's points in the photo, how sure it is of its part, and whether that is enough."""
    points_px = None if seen.keypoints is None else crops.photo_from_unit(seen.keypoints[..., :2])
    presence = torch.ones(len(crops)) if seen.presence is None else seen.presence
    inside = inside_share(crops.squares, photo.shape[-1], photo.shape[-2])
    return points_px, presence, (presence > MIN_PRESENCE) & (inside > MIN_INSIDE)


def _repeat(camera: Camera, times: int) -> Camera:
    return Camera(camera.focal_px.repeat(times), camera.center_px.repeat(times, 1))
