"""How is a face moved onto the landmarks that its network saw? Damped least squares, batched, no autograd.

Unknowns are head and jaw rotation, expression, the head's shape numbers and a small shift of the whole face; the start
is the face network's estimate and the pull back to it is the prior. Like `refine`, with landmarks that lie on the
moving skin instead of riding rigidly on a joint.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import FACE68, indices_of
from limner.body.model import PERSON_BETAS, BodyModel, contour_row
from limner.body.params import BodyParams
from limner.body.skeleton import FACE_JOINTS, JOINT, chain_to_root
from limner.body.skinning import absolute_rotation, pose_joints
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.pipeline.descent import damped_step, descend, projected_slopes

LANDMARKS = list(indices_of(FACE68))
NUM_CONTOUR = 17


@dataclass(frozen=True)
class FaceRefineOptions:
    """Numbers of the solver. Stiffness: inverse standard deviation of leaving the start; sigmas: shares of the crop.

    In the flow the body holds the face where it is; a face alone may shift freely (`free_face`).
    """

    steps: int = 6
    damping: float = 1e-2
    sigma: float = 0.008
    contour_sigma: float = 0.03
    robust_sigma: float = 4.0
    head_stiffness: float = 40.0
    jaw_stiffness: float = 12.0
    expression_stiffness: float = 4.0
    shape_stiffness: float = 3.0
    shift_stiffness: float = 200.0
    depth_stiffness: float = 200.0


def free_face() -> FaceRefineOptions:
    """For faces without a body: they may shift in the picture."""
    return FaceRefineOptions(shift_stiffness=0.0, depth_stiffness=20.0)


@dataclass(frozen=True)
class _Unknown:
    """Blocks of the unknown vector: where each starts and ends."""

    expression: int
    shape: int

    def split(self, vector: Tensor) -> tuple[Tensor, ...]:
        """Head turn, jaw turn, expression, head shape, shift."""
        return vector.split([3, 3, self.expression, self.shape, 3], -1)


@torch.no_grad()
def refine_face(
    model: BodyModel,
    params: BodyParams,
    camera: Camera,
    points_px: Float[Tensor, "B 68 2"],
    crop_px: Float[Tensor, "B"],
    trusted: Bool[Tensor, "B"],
    options: FaceRefineOptions | None = None,
) -> tuple[BodyParams, Float[Tensor, "B 3"]]:
    """Faces whose 68 landmarks lie on `points_px`; those not trusted stay as they are.

    `crop_px`: side of the face crop in the photo, the unit of the landmarks' errors. The second result is the shift of
    the whole face, metres, that the landmarks ask for beside all else; `params.transl` is not moved.
    It never ends worse than it starts (`descend`).
    """
    options = options or FaceRefineOptions()
    sizes = _Unknown(params.expression.shape[1], max(0, params.betas.shape[1] - PERSON_BETAS))
    problem = _Problem(model, params, camera, points_px, crop_px, options, sizes)
    still = params.transl.new_zeros(len(params), 9 + sizes.expression + sizes.shape)
    unknown = descend(still, problem.objective, problem.step, options.steps, options.damping)
    unknown = unknown * trusted[:, None]
    return problem.moved(unknown), sizes.split(unknown)[-1]


@dataclass(frozen=True)
class _Problem:
    """The least-squares problem of B faces around their start."""

    model: BodyModel
    start: BodyParams
    camera: Camera
    points_px: Tensor
    crop_px: Tensor
    options: FaceRefineOptions
    sizes: _Unknown

    def moved(self, unknown: Float[Tensor, "B U"]) -> BodyParams:
        """The start with the unknowns applied, the shift left out."""
        head, jaw, expression, shape, _ = self.sizes.split(unknown)
        params = self.start.with_joint_pose("head", self.start.joint_pose("head") @ rotation_from_axis_angle(head))
        return params.replace(
            jaw_pose=params.jaw_pose @ rotation_from_axis_angle(jaw),
            expression=params.expression + expression,
            betas=torch.cat([params.betas[:, :PERSON_BETAS], params.betas[:, PERSON_BETAS:] + shape], 1),
        )

    def objective(self, unknown: Float[Tensor, "B U"]) -> Float[Tensor, "B"]:
        """Geman-McClure reprojection error plus the squared, stiffness-weighted distance from the start."""
        params = self.moved(unknown)
        points = self.model.keypoints144(self.model(params), params)[:, LANDMARKS] + unknown[:, None, -3:]
        squared = self._residual(points).square().sum(-1)
        robust = squared / (1 + squared / self.options.robust_sigma**2)
        behind = (points[..., 2] < 0.05).any(-1)
        return torch.where(behind, torch.inf, robust.sum(-1) + (self._stiffness() * unknown.square()).sum(-1))

    def step(self, unknown: Float[Tensor, "B U"], damping: Float[Tensor, "B 1"]) -> Float[Tensor, "B U"]:
        """One damped Gauss-Newton step."""
        params = self.moved(unknown)
        points, slopes = self._points_and_slopes(params, unknown[:, -3:])
        residual = self._residual(points)
        weight = 1 / (1 + residual.square().sum(-1) / self.options.robust_sigma**2).square()
        jacobian = projected_slopes(slopes, points, self.camera, self._sigma_px())  # B 68 U 2
        scaled = jacobian * weight[..., None, None]
        normal = torch.einsum("nkai,nkbi->nab", scaled, jacobian) + torch.diag_embed(self._stiffness())
        gradient = torch.einsum("nkai,nki->na", scaled, residual) + self._stiffness() * unknown
        step = damped_step(normal, gradient, damping)
        return torch.cat([step[:, :6].clamp(-0.35, 0.35), step[:, 6:]], 1)

    def _points_and_slopes(self, params: BodyParams, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks "B 68 3" and their derivatives "B 68 U 3" in camera axes."""
        model, people = self.model, torch.arange(len(params))[:, None, None]
        row = contour_row(absolute_rotation(params.full_pose(), chain_to_root("neck")))
        inner = model.landmark_vertices.expand(len(params), -1, -1)
        corners = torch.cat([model.contour_vertices[row], inner], 1)  # iBUG's order
        inner_share = model.landmark_barycentric.expand(len(params), -1, -1)
        share = torch.cat([model.contour_barycentric[row], inner_share], 1)
        vertices = model(params).vertices
        points = (vertices[people, corners] * share[..., None]).sum(2)
        weights = (model.weights[corners] * share[..., None]).sum(2)  # B 68 55
        absolute, joints = pose_joints(params.full_pose(), model.rest_joints(params))
        joints = joints + params.transl[:, None]
        blend = (weights @ absolute.flatten(2)).unflatten(-1, (3, 3))
        used = [*range(model.num_betas, model.num_betas + self.sizes.expression)]
        used += [*range(PERSON_BETAS, PERSON_BETAS + self.sizes.shape)]
        directions = model.directions[used]  # C V 3
        rest = (directions[:, corners] * share[..., None]).sum(3)  # C B 68 3
        by_shape = torch.einsum("nkij,cnkj->nkci", blend, rest)
        on_head = weights[..., [JOINT[name] for name in ("head", *FACE_JOINTS)]].sum(-1)
        by_head = _turning(absolute, joints, points, "head") * on_head[..., None, None]
        by_jaw = _turning(absolute, joints, points, "jaw") * weights[..., JOINT["jaw"], None, None]
        by_shift = torch.eye(3).to(points).expand(*points.shape[:2], 3, 3)
        return points + shift[:, None], torch.cat([by_head, by_jaw, by_shape, by_shift], 2)

    def _residual(self, points: Tensor) -> Float[Tensor, "B 68 2"]:
        return (self.camera.project(points) - self.points_px) / self._sigma_px()[..., None]

    def _sigma_px(self) -> Float[Tensor, "B 68"]:
        share = torch.full((68,), self.options.sigma)
        share[:NUM_CONTOUR] = self.options.contour_sigma
        return share * self.crop_px[:, None]

    def _stiffness(self) -> Float[Tensor, "U"]:
        o, ones = self.options, torch.ones
        shift = torch.tensor([o.shift_stiffness, o.shift_stiffness, o.depth_stiffness])
        blocks = [
            o.head_stiffness * ones(3),
            o.jaw_stiffness * ones(3),
            o.expression_stiffness * ones(self.sizes.expression),
            o.shape_stiffness * ones(self.sizes.shape),
            shift,
        ]
        return torch.cat(blocks).square()


def _turning(absolute: Tensor, joints: Tensor, points: Tensor, name: str) -> Float[Tensor, "B 68 3 3"]:
    """How points move when a joint turns about its own axes: axis x (point - joint)."""
    axes = absolute[:, None, JOINT[name]].mT  # B 1 (axis) 3
    arm = points - joints[:, None, JOINT[name]]
    return torch.linalg.cross(axes.expand(-1, points.shape[1], -1, -1), arm[:, :, None].expand(-1, -1, 3, -1))
