"""Evidence without images: what would the frozen backbones report of people never rendered?

A simulated report is the true report plus the error that the backbone made on a rendered crop: errors are drawn as
whole rows (all points of one crop together), from crops seen from a similar side, so that their correlations, their
confidence values and their left-right confusions stay real. (STRAPS, Sengupta et al. 2020, draws them per joint.)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skinning import pose_joints
from limner.data.evidence import Evidence
from limner.geometry.box import Squares
from limner.geometry.camera import Camera, camera_from_crop
from limner.networks.blaze.backbones import body_evidence, face_evidence, hand_evidence
from limner.networks.weights import Part
from limner.pipeline.parts import part_points
from limner.synth.sampler import PersonSampler
from limner.train.calibrate import FittedAttachment
from limner.train.harvest import JITTER, jittered, true_squares
from limner.train.truth import Truth, part_truth

NEIGHBOURS = 40
"""Errors are drawn from twice this many bank rows, those seen from the nearest sides."""
ERROR_SPREAD = 0.5
"""Errors are made larger or smaller by up to this share."""


@dataclass(frozen=True)
class Reports:
    """Points as a backbone would report them without error, in crop units (x, y, depth) and in 3D."""

    in_crop: Float[Tensor, "B K 3"]
    world: Float[Tensor, "B K 3"]


@dataclass(frozen=True)
class Draw:
    """One simulated batch: the regressor's input, and the truth."""

    pooled: Float[Tensor, "B F"]
    truth: Truth


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
    ):
        self.part, self.sampler = part, sampler
        self.model = model.keypoints_only(contour=False)
        self.attachment = attachment
        order = face_vertices.unique()
        self.face_model = model.restricted(order)
        self.face_index = torch.searchsorted(order, face_vertices)
        good = rendered.presence > 0.5
        self.rendered = rendered[good]
        self._fill_bank()

    def _fill_bank(self) -> None:
        """Errors of the rendered crops: what was reported minus what was true."""
        seen = self.rendered
        true = self._reports(seen.params, seen.camera, seen.squares, seen.mirrored)
        count = true.in_crop.shape[1]
        if self.part == "body":
            reported = seen.pooled.unflatten(1, (2, count, 3))
            self.confidence = reported[:, 0, :, 2:]
            in_crop, world = reported[:, 0, :, :2] - true.in_crop[..., :2], reported[:, 1] - true.world
        elif self.part == "hand":
            reported = seen.pooled.unflatten(1, (2, count, 3))
            in_crop = reported[:, 0] - true.in_crop
            world = reported[:, 1] / 10 - (true.world - true.world.mean(1, keepdim=True))
            self.confidence = torch.zeros(len(seen), count, 0)
        else:
            centred = true.in_crop - true.in_crop.mean(1, keepdim=True) * true.in_crop.new_tensor([0, 0, 1.0])
            in_crop, world = seen.pooled.unflatten(1, (count, 3)) - centred, torch.zeros_like(true.world)
            self.confidence = torch.zeros(len(seen), count, 0)
        side = self._side(seen.params, seen.camera, seen.squares, seen.mirrored)
        self.bank_side, order = side.sort()
        self.bank_in_crop, self.bank_world = in_crop[order], world[order]
        self.confidence = self.confidence[order]

    def _side(self, params: BodyParams, camera: Camera, squares: Squares, mirrored: Tensor) -> Float[Tensor, "B"]:
        """From which side the part is seen: an angle about the crop's vertical axis, radians."""
        in_crop = camera_from_crop(squares, camera).mT
        absolute, _ = pose_joints(params.full_pose(), self.model.rest_joints(params))
        if self.part == "hand":
            forward = torch.where(mirrored[:, None, None], absolute[:, 20], absolute[:, 21])[..., 1]
        else:
            forward = absolute[:, 15 if self.part == "face" else 0][..., 2]
        turned = (in_crop @ forward[..., None])[..., 0]
        return torch.atan2(turned[:, 0], -turned[:, 2])

    def _reports(self, params: BodyParams, camera: Camera, squares: Squares, mirrored: Tensor) -> Reports:
        if self.part == "body":
            absolute, joints = pose_joints(params.full_pose(), self.model.rest_joints(params))
            a = self.attachment
            points = joints[:, a.joint] + (absolute[:, a.joint] @ a.offset[..., None])[..., 0]
            points = points + params.transl[:, None]
            origin = points[:, 23:25].mean(1)  # BlazePose's hips
        elif self.part == "hand":
            keypoints = self.model.keypoints144(self.model(params), params)
            left, right = (part_points(keypoints, f"{s}_hand") for s in ("left", "right"))
            points = torch.where(mirrored[:, None, None], left, right)
            origin = points[:, 0]
        else:
            points = self.face_model(params).vertices[:, self.face_index]
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
    def draw(self, count: int, generator: Generator) -> Draw:
        """A batch of new people before a random camera, reported with a backbone's errors."""
        params, camera = self._stand(self.sampler.sample(count, generator), generator)
        keypoints = self.model.keypoints144(self.model(params), params)
        mirrored = torch.rand(count, generator=generator) < 0.5
        if self.part != "hand":
            mirrored = torch.zeros_like(mirrored)
        true = true_squares(self.part, camera.project(keypoints), mirrored)
        squares = jittered(true, JITTER[self.part], generator)
        visible = torch.ones(count, 144, dtype=torch.bool)
        truth = part_truth(self.part, self.model, params, camera, squares, mirrored, visible)
        reports = self._reports(params, camera, squares, mirrored)
        return Draw(self._with_errors(reports, self._side(params, camera, squares, mirrored), generator), truth)

    def _stand(self, params: BodyParams, generator: Generator) -> tuple[BodyParams, Camera]:
        """Put people before a random lens, not always in the middle of its photo."""
        count = len(params)
        draw = torch.rand(count, 4, generator=generator)
        focal = 1024 * (0.7 * (3.5 / 0.7) ** draw[:, 0])
        depth = focal / 1024 * (1.6 + 2.5 * draw[:, 1])
        xy = (draw[:, 2:] - 0.5) * 0.5 * depth[:, None] * (1024 / focal)[:, None]
        moved = params.replace(
            transl=torch.cat([xy, depth[:, None].clamp_min(1.2)], -1),
        )
        return moved, Camera(focal, torch.full((count, 2), 512.0))

    def _with_errors(self, reports: Reports, side: Tensor, generator: Generator) -> Float[Tensor, "B F"]:
        near = torch.searchsorted(self.bank_side, side)
        shift = torch.randint(-NEIGHBOURS, NEIGHBOURS + 1, side.shape, generator=generator)
        row = (near + shift) % len(self.bank_side)
        # larger and smaller errors of the same kind: a finite bank must not be learned by heart
        size = 1 + ERROR_SPREAD * (2 * torch.rand(len(side), 1, 1, generator=generator) - 1)
        in_crop = reports.in_crop.clone()
        in_crop[..., : self.bank_in_crop.shape[-1]] += size * self.bank_in_crop[row]
        world = reports.world + size * self.bank_world[row]
        if self.part == "body":
            return body_evidence(torch.cat([in_crop[..., :2], self.confidence[row]], -1), world)
        return hand_evidence(in_crop, world) if self.part == "hand" else face_evidence(in_crop)
