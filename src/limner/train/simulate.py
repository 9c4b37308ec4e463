"""Simulated evidence: what the frozen backbones would report of people who were never rendered.

A simulated report is the true report plus the error that the backbone made on a rendered crop: errors are drawn as
whole rows (all points of one crop together), from crops seen from a similar side, so that their correlations, their
confidence values and their left-right confusions stay real. (STRAPS, Sengupta et al. 2020, draws them per joint.)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.data.evidence import Evidence
from limner.geometry.box import Squares
from limner.geometry.camera import Camera, camera_from_crop
from limner.networks.blaze.backbones import body_evidence, face_evidence, hand_evidence
from limner.networks.part_net import JITTER
from limner.networks.weights import Part
from limner.pipeline.parts import part_points
from limner.synth.sampler import PersonSampler
from limner.train.calibrate import FittedAttachment, attached_points
from limner.train.pose_pool import PosePool
from limner.train.render_crops import jittered, true_squares
from limner.train.target import Examples, part_target

NEIGHBOURS = 0.02
"""Errors are drawn from twice this share of the bank: the rows seen from the nearest sides."""
ERROR_SPREAD = 0.5
"""Errors are made larger or smaller by up to this share."""
BLUR = 0.3
"""Noise of its own for each point, as a share of its usual error: a bank row shall not be known by its errors."""


@dataclass(frozen=True)
class Reports:
    """Points as a backbone would report them without error, in crop units (x, y, depth) and in 3D."""

    in_crop: Float[Tensor, "B K 3"]
    world: Float[Tensor, "B K 3"]


class Simulator:
    """Draws evidence of one part: people never seen before, with errors from a bank of rendered crops."""

    def __init__(
        self,
        part: Part,
        model: BodyModel,
        sampler: PersonSampler,
        rendered: Evidence,
        attachment: FittedAttachment,
        face_vertices: Int[Tensor, "468"],
        pool_size: int,
    ):
        """`pool_size`: so many people are posed once and for all; each draw sees them from new sides."""
        self.part = part
        self.model = model.keypoints_only(contour=False)
        self.attachment = attachment
        order = face_vertices.unique()
        self.face_model = model.restricted(order)
        self.face_index = torch.searchsorted(order, face_vertices)
        self._fill_bank(rendered[rendered.presence > 0.5])
        self.pool = PosePool.of(pool_size, sampler, self.model, self._points, torch.Generator().manual_seed(97))

    @torch.no_grad()
    def _fill_bank(self, seen: Evidence) -> None:
        """Errors of the rendered crops: what was reported minus what was true."""
        points = torch.cat([self._points(seen.params[slice(i, i + 256)]) for i in range(0, len(seen), 256)])
        true = self._reports(points, seen.camera, seen.squares, seen.mirrored)
        count = true.in_crop.shape[1]
        confidence = torch.zeros(len(seen), count, 0)
        if self.part == "body":
            reported = seen.pooled.unflatten(1, (2, count, 3))
            confidence = reported[:, 0, :, 2:]
            in_crop, world = reported[:, 0, :, :2] - true.in_crop[..., :2], reported[:, 1] - true.world
        elif self.part == "hand":
            reported = seen.pooled.unflatten(1, (2, count, 3))
            in_crop = reported[:, 0] - true.in_crop
            world = reported[:, 1] / 10 - (true.world - true.world.mean(1, keepdim=True))
        else:
            centred = true.in_crop - true.in_crop.mean(1, keepdim=True) * true.in_crop.new_tensor([0, 0, 1.0])
            in_crop, world = seen.pooled.unflatten(1, (count, 3)) - centred, torch.zeros_like(true.world)
        side = self._side(seen.params, seen.camera, seen.squares, seen.mirrored)
        self.bank_side, order = side.sort()
        self.bank_in_crop, self.bank_world = in_crop[order], world[order]
        self.confidence = confidence[order]
        self.usual_in_crop, self.usual_world = in_crop.abs().median(0).values, world.abs().median(0).values

    def _side(self, params: BodyParams, camera: Camera, squares: Squares, mirrored: Tensor) -> Float[Tensor, "B"]:
        """From which side the part is seen: an angle about the crop's vertical axis, radians."""
        in_crop = camera_from_crop(squares, camera).mT
        pose = params.full_pose()
        if self.part == "hand":
            left, right = (absolute_rotation(pose, chain_to_root(f"{side}_wrist")) for side in ("left", "right"))
            forward = torch.where(mirrored[:, None, None], left, right)[..., 1]
        else:
            forward = absolute_rotation(pose, chain_to_root("head" if self.part == "face" else "pelvis"))[..., 2]
        turned = (in_crop @ forward[..., None])[..., 0]
        return torch.atan2(turned[:, 0], -turned[:, 2])

    def _points(self, params: BodyParams) -> Float[Tensor, "B P 3"]:
        """The points that the backbone reports of these people (of both hands: left, then right), `transl` included."""
        if self.part == "body":
            return attached_points(self.model, params, self.attachment)
        if self.part == "hand":
            keypoints = self.model.keypoints144(self.model(params), params)
            return torch.cat([part_points(keypoints, f"{side}_hand") for side in ("left", "right")], 1)
        return self.face_model(params).vertices[:, self.face_index]

    def _reports(
        self, points: Float[Tensor, "B P 3"], camera: Camera, squares: Squares, mirrored: Bool[Tensor, "B"]
    ) -> Reports:
        if self.part == "body":
            origin = points[:, 23:25].mean(1)  # BlazePose's hips
        elif self.part == "hand":
            left, right = points.chunk(2, dim=1)
            points = torch.where(mirrored[:, None, None], left, right)
            origin = points[:, 0]
        else:
            origin = points.mean(1)
        in_crop = camera_from_crop(squares, camera).mT
        world = (points - origin[:, None]) @ in_crop.mT
        unit = squares.unit_from_photo(camera.project(points))
        units_per_metre = 2 * camera.focal_px / origin[:, 2] / squares.size_px
        depth = world[..., 2:] * units_per_metre[:, None, None]
        flip = torch.where(mirrored, -1.0, 1.0)[:, None, None]
        unit = torch.cat([unit[..., :1] * flip, unit[..., 1:]], -1)
        world = torch.cat([world[..., :1] * flip, world[..., 1:]], -1)
        return Reports(torch.cat([unit, depth], -1), world)

    @torch.no_grad()
    def draw(self, count: int, generator: Generator) -> Examples:
        """A batch of new views, reported with a backbone's errors."""
        people = self.pool.seen(count, generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        if self.part != "hand":
            mirrored = torch.zeros_like(mirrored)
        true = true_squares(self.part, people.camera.project(people.keypoints), mirrored)
        squares = jittered(true, JITTER[self.part], generator)
        visible = torch.ones(count, 144, dtype=torch.bool)
        target = part_target(self.part, people.keypoints, people.params, people.camera, squares, mirrored, visible)
        reports = self._reports(people.points, people.camera, squares, mirrored)
        side = self._side(people.params, people.camera, squares, mirrored)
        return Examples(self._with_errors(reports, side, generator), target)

    def _with_errors(self, reports: Reports, side: Tensor, generator: Generator) -> Float[Tensor, "B F"]:
        near = torch.searchsorted(self.bank_side, side)
        reach = max(1, round(NEIGHBOURS * len(self.bank_side)))
        shift = torch.randint(-reach, reach + 1, side.shape, generator=generator)
        row = (near + shift) % len(self.bank_side)
        # larger and smaller errors of the same kind: a finite bank must not be learned by heart
        size = 1 + ERROR_SPREAD * (2 * torch.rand(len(side), 1, 1, generator=generator) - 1)

        def error(bank: Tensor, usual: Tensor) -> Tensor:
            blur = BLUR * usual * torch.randn(len(side), *usual.shape, generator=generator)
            return size * bank[row] + blur

        in_crop = reports.in_crop.clone()
        in_crop[..., : self.bank_in_crop.shape[-1]] += error(self.bank_in_crop, self.usual_in_crop)
        world = reports.world + error(self.bank_world, self.usual_world)
        if self.part == "body":
            return body_evidence(torch.cat([in_crop[..., :2], self.confidence[row]], -1), world)
        return hand_evidence(in_crop, world) if self.part == "hand" else face_evidence(in_crop)
