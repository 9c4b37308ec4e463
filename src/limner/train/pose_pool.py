"""A pool of people posed once and seen from many sides: posing is what simulating reports would spend its time on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.geometry.camera import Camera
from limner.records import Rows, join
from limner.synth.poses import about_y, without_heading
from limner.synth.sampler import PersonSampler, headings, views

CHUNK = 256


@dataclass(frozen=True)
class PosedViews:
    """B people before a camera each: parameters, chosen points and the 144 keypoints in camera axes, metres."""

    params: BodyParams
    camera: Camera
    points: Float[Tensor, "B K 3"]
    keypoints: Float[Tensor, "B 144 3"]


@dataclass(frozen=True)
class PosePool(Rows):
    """N people that look along +z of a y-up world; points and keypoints relative to the pelvis, metres."""

    params: BodyParams
    pelvis: Float[Tensor, "N 3"]
    points: Float[Tensor, "N K 3"]
    keypoints: Float[Tensor, "N 144 3"]

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        count: int,
        sampler: PersonSampler,
        model: BodyModel,
        points: Callable[[BodyParams], Float[Tensor, "B K 3"]],
        generator: Generator,
    ) -> "PosePool":
        """`count` sampled people; `points` tells which points of posed people are wanted."""
        parts = []
        for start in range(0, count, CHUNK):
            people = sampler.sample_people(min(CHUNK, count - start), generator)
            upright = without_heading(people.camera_from_world.mT @ people.params.global_orient)
            params = people.params.replace(global_orient=upright)
            pelvis = model.rest_joints(params)[:, 0]
            marks = model.keypoints144(model(params), params)
            parts.append(cls(params, pelvis, points(params) - pelvis[:, None], marks - pelvis[:, None]))
        return join(parts)

    def seen(self, count: int, generator: Generator) -> PosedViews:
        """`count` of them, with new headings, before random lenses, not always in the middle of their photo."""
        rows = torch.randint(len(self), (count,), generator=generator)
        turn = views(count, generator) @ about_y(headings(count, generator))
        draw = torch.rand(count, 4, generator=generator)
        focal = 1024 * (0.7 * (3.5 / 0.7) ** draw[:, 0])
        depth = (focal / 1024 * (1.6 + 2.5 * draw[:, 1])).clamp_min(1.2)
        xy = (draw[:, 2:] - 0.5) * 0.5 * depth[:, None] * (1024 / focal)[:, None]
        transl = torch.cat([xy, depth[:, None]], -1)
        params = self.params[rows]
        params = params.replace(global_orient=turn @ params.global_orient, transl=transl)
        place = (self.pelvis[rows] + transl)[:, None]
        return PosedViews(
            params,
            Camera(focal, torch.full((count, 2), 512.0)),
            self.points[rows] @ turn.mT + place,
            self.keypoints[rows] @ turn.mT + place,
        )
