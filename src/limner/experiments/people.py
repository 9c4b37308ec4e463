"""The people of the experiments: synthetic, as EHF shows them, whole, facing the camera, hands and face in sight."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.params import BodyParams
from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.geometry.box import Squares, bounds_of
from limner.geometry.camera import Camera
from limner.synth.chance import uniform
from limner.synth.people import SynthBatch, SyntheticPeople

DRAWN = 16
"""People drawn at once; those that suit are taken in order."""
FOCAL = 1.1, 1.8
"""Focal lengths as multiples of the photo's side."""
FILL = 0.78
"""Share of the photo's side that the person takes."""
MARGIN = 0.02
FACING_BODY, FACING_HEAD = 0.6, 0.6
"""Least cosine between the direction a body or head looks in and the direction to the camera."""
SEEN_HAND, SEEN_FACE = 0.6, 0.8
"""Least share of a hand's 21 and the face's 51 inner points that nothing hides."""
INNER_FACE = list(indices_of(FACE68[17:]))


@dataclass(frozen=True)
class Shown:
    """One person of the test set: the whole photo and the target (leading dimension 1), lengths in metres."""

    number: int
    photo: UInt8[Tensor, "3 H W"]
    params: BodyParams
    camera: Camera
    box: Float[Tensor, "1 4"]
    keypoints_px: Float[Tensor, "1 144 2"]


def shown_people(
    synthetic: SyntheticPeople, count: int, seed: int, done: frozenset[int] = frozenset()
) -> Iterator[Shown]:
    """The first `count` people of a seed, without those numbered in `done`; the same seed gives the same people."""
    generator = torch.Generator().manual_seed(seed)
    number = 0
    while number < count:
        batch = recentred(synthetic.batch(DRAWN, generator), generator)
        for row in suitable(synthetic, batch).nonzero()[:, 0].tolist():
            if number < count and number not in done:
                yield _shown(synthetic, batch[row : row + 1], number)
            number += 1


def recentred(batch: SynthBatch, generator: Generator) -> SynthBatch:
    """The same people whole in the middle of clear photos: alone, nothing before them, sharp, little noise."""
    n = (len(batch),)
    side = float(batch.photo_px)
    about_root = batch.vertices - batch.params.transl[:, None]
    low, high = about_root.amin(1), about_root.amax(1)
    extent = (high - low)[:, :2].amax(-1)
    focal = uniform(generator, n, *FOCAL) * side
    depth = focal * extent / (FILL * side)
    middle = (low + high) / 2
    transl = torch.cat([-middle[:, :2], depth[:, None] - middle[:, 2:]], -1)
    people = batch.moved(transl - batch.params.transl, Camera(focal, torch.full((*n, 2), side / 2)))
    scene, style = batch.scene, batch.scene.style
    clear = replace(
        style,
        pixel_px=torch.ones(n),
        blur=torch.full(n, 0.3),
        motion=torch.zeros(*n, 2),
        noise=style.noise.clamp(max=0.008),
        quality=style.quality.clamp(min=0.9),
    )
    return replace(
        people,
        boxes=bounds_of(people.camera.project(people.vertices)).clamp(0, side),
        scene=replace(scene, occluder_on=torch.zeros_like(scene.occluder_on), style=clear),
    )


def suitable(synthetic: SyntheticPeople, batch: SynthBatch) -> Bool[Tensor, "B"]:
    """Who is whole in the photo, looks about towards the camera, and shows both hands and the face."""
    side = batch.photo_px
    bounds = bounds_of(batch.camera.project(batch.vertices))
    good = (bounds[:, :2] > MARGIN * side).all(-1) & (bounds[:, 2:] < (1 - MARGIN) * side).all(-1)
    good &= _toward_camera(batch.params, "pelvis") > FACING_BODY
    good &= _toward_camera(batch.params, "head") > FACING_HEAD
    rows = good.nonzero()[:, 0]
    if len(rows):
        seen = synthetic.visible(batch[rows]).float()
        hands = [seen[:, list(indices_of(hand21(s)))].mean(-1) > SEEN_HAND for s in ("left", "right")]
        good[rows] = hands[0] & hands[1] & (seen[:, INNER_FACE].mean(-1) > SEEN_FACE)
    return good


def _toward_camera(params: BodyParams, joint: str) -> Float[Tensor, "B"]:
    """Cosine between where a joint's front looks and the camera's axis; 1: straight into the camera."""
    return -absolute_rotation(params.full_pose(), chain_to_root(joint))[:, 2, 2]


def _shown(synthetic: SyntheticPeople, one: SynthBatch, number: int) -> Shown:
    side = one.photo_px
    whole = Squares(torch.full((1, 2), side / 2), torch.tensor([float(side)]), torch.zeros(1))
    photo = synthetic.render(one, whole, side, supersample=1.0)[0]
    return Shown(number, photo, one.params, one.camera, one.boxes, one.keypoints_px)
