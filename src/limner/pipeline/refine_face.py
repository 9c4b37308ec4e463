"""Refinement of faces onto the landmarks that their network saw: damped least squares, batched, no autograd.

Unknowns are head and jaw rotation, expression, the head's shape numbers and a small shift of the whole face; the start
is the face network's estimate and the pull back to it is the prior. Like `refine`, with landmarks that lie on the
moving skin instead of riding rigidly on a joint.
"""

from dataclasses import dataclass, field

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
from limner.optimise.points import ObservedPoints, turn_slopes
from limner.optimise.solver import Linearised, SolverOptions, damped_least_squares
from limner.pipeline.refine import Skeletons
from limner.records import Rows

LANDMARKS = list(indices_of(FACE68))
NUM_CONTOUR = 17
TURNED = (JOINT["head"], JOINT["jaw"])


@dataclass(frozen=True)
class FaceRefineOptions:
    """Numbers of the solver. Stiffness: inverse standard deviation of leaving the start; sigmas: shares of the crop.

    In the flow the body holds the face where it is; a face alone may shift freely (`free_face`).
    """

    solver: SolverOptions = SolverOptions(steps=6, tolerance=3e-3, patience=1, fall=3.0, rise=8.0)
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
    It never ends worse than it starts (`damped_least_squares`).
    """
    options = options or FaceRefineOptions()
    problem = problem_of(model, params, camera, points_px, crop_px, options)
    still = params.transl.new_zeros(len(params), len(problem.stiffness))
    unknown = damped_least_squares(problem, still, options.solver).state * trusted[:, None]
    return problem.people(unknown), unknown[:, -3:]


@dataclass(frozen=True)
class Problem(Rows):
    """The least-squares problem of B faces around their start; all that stays the same from step to step.

    Unknowns "B U": turn of the head, turn of the jaw, C numbers of expression and head shape, shift of the face. A
    landmark lies between three corners of a triangle, K = 204 corners in all; which ones, the neck says, and it stays.
    rest "B K 3" corners, rest_joints "B 55 3", at the start; share "B K" of a corner in its landmark; weights "B K 55"
    of the skin; by_shape "B C K 3", joints_by_shape "C 55 3": what the C numbers add; by_pose "B 18 K 3": what the
    rotation matrices of head and jaw add (nothing where the body has no such directions).
    """

    params: BodyParams
    observed: ObservedPoints
    rotations: Float[Tensor, "B 55 3 3"]
    rest: Float[Tensor, "B K 3"]
    rest_joints: Float[Tensor, "B 55 3"]
    share: Float[Tensor, "B K"]
    weights: Float[Tensor, "B K 55"]
    by_shape: Float[Tensor, "B C K 3"]
    by_pose: Float[Tensor, "B F K 3"]
    joints_by_shape: Float[Tensor, "C 55 3"] = field(metadata={"shared": True})
    stiffness: Float[Tensor, "U"] = field(metadata={"shared": True})

    def people(self, unknown: Float[Tensor, "B U"]) -> BodyParams:
        """The start with the unknowns applied, the shift left out."""
        pose = self._pose(unknown)
        count = self.params.expression.shape[1]
        expression, shape = unknown[:, 6 : 6 + count], unknown[:, 6 + count : -3]
        betas = self.params.betas
        return self.params.with_joint_pose("head", pose[:, JOINT["head"]]).replace(
            jaw_pose=pose[:, JOINT["jaw"]],
            expression=self.params.expression + expression,
            betas=torch.cat([betas[:, :PERSON_BETAS], betas[:, PERSON_BETAS:] + shape], 1),
        )

    def moved(self, state: Float[Tensor, "B U"], step: Float[Tensor, "B U"]) -> Float[Tensor, "B U"]:
        """Unknowns after a step; head and jaw turn by 0.35 an axis at most."""
        return state + torch.cat([step[:, :6].clamp(-0.35, 0.35), step[:, 6:]], 1)

    def objective(self, state: Float[Tensor, "B U"], forward: Skeletons) -> Float[Tensor, "B"]:
        """Geman-McClure reprojection error plus the squared, stiffness-weighted distance from the start."""
        return self.observed.cost(forward.reprojected) + (self.stiffness * state).square().sum(-1)

    def linearised(self, state: Float[Tensor, "B U"], forward: Skeletons) -> Linearised:
        """Normal equations at a state."""
        residual, slopes = self.observed.linearised(forward.reprojected)
        slope = self.jacobian(forward, slopes, state[:, -3:])
        return Linearised.of(slope, residual, self.stiffness[None], state)

    def forward(self, state: Float[Tensor, "B U"]) -> Skeletons:
        """Skeletons, and the landmarks with the shift of the face; camera axes."""
        pose, numbers = self._pose(state), state[:, 6:-3]
        corners = self.rest.flatten(1) + (numbers[:, None] @ self.by_shape.flatten(2))[:, 0]
        if self.by_pose.shape[1]:
            turned = (pose - self.rotations)[:, list(TURNED)].flatten(1)
            corners = corners + (turned[:, None] @ self.by_pose.flatten(2))[:, 0]
        rest = self.rest_joints + torch.einsum("bc,cjk->bjk", numbers, self.joints_by_shape)
        absolute, joints = pose_joints(pose, rest)
        shift = joints - (absolute @ rest[..., None])[..., 0]
        transforms = (self.weights @ torch.cat([absolute.flatten(2), shift], -1)) * self.share[..., None]
        turned = (transforms[..., :9].unflatten(-1, (3, 3)) @ corners.unflatten(1, (-1, 3, 1)))[..., 0]
        points = (turned + transforms[..., 9:]).unflatten(1, (-1, 3)).sum(2)
        move = self.params.transl[:, None]
        return Skeletons(absolute, joints + move, self.observed.at(points + move + state[:, None, -3:]))

    def jacobian(
        self, forward: Skeletons, slopes: Float[Tensor, "B 68 2 3"], shift: Float[Tensor, "B 3"]
    ) -> Float[Tensor, "B M U"]:
        """How residuals with these slopes by the landmarks change with the unknowns, x and y of the landmarks in turn;
        joints that move with the shape are left out."""
        turned, attached = list(TURNED), self._of_landmarks(self.weights)
        by_turn = turn_slopes(
            forward.reprojected.points - shift[:, None], slopes, forward.absolute[:, turned], forward.joints[:, turned]
        )
        on_head = attached[..., [JOINT[name] for name in ("head", *FACE_JOINTS)]].sum(-1)
        hangs = torch.stack([on_head, attached[..., JOINT["jaw"]]], -1).repeat_interleave(3, 2)
        by_turn = by_turn * hangs.repeat_interleave(2, 1)
        blend = (attached @ forward.absolute.flatten(2)).unflatten(-1, (3, 3))
        by_shape = slopes @ (blend @ self._of_landmarks(self.by_shape.permute(0, 2, 3, 1)))
        return torch.cat([by_turn, by_shape.flatten(1, 2), slopes.flatten(1, 2)], 2)

    def _of_landmarks(self, of_corners: Float[Tensor, "B K *n"]) -> Float[Tensor, "B 68 *n"]:
        share = self.share.unflatten(1, (-1, 3))
        return torch.einsum("bkc,bkc...->bk...", share, of_corners.unflatten(1, (-1, 3)))

    def _pose(self, unknown: Float[Tensor, "B U"]) -> Float[Tensor, "B 55 3 3"]:
        turns = rotation_from_axis_angle(unknown[:, :6].unflatten(1, (2, 3)))
        rotations = self.rotations.clone()
        rotations[:, list(TURNED)] = self.rotations[:, list(TURNED)] @ turns
        return rotations


def problem_of(
    model: BodyModel,
    params: BodyParams,
    camera: Camera,
    points_px: Float[Tensor, "B 68 2"],
    crop_px: Float[Tensor, "B"],
    options: FaceRefineOptions,
) -> Problem:
    """The problem of faces at their start."""
    count, people = len(params), torch.arange(len(params), device=params.betas.device)[:, None]
    rotations = params.full_pose()
    row = contour_row(absolute_rotation(rotations, chain_to_root("neck")))
    inner = model.landmark_vertices.expand(count, -1, -1)
    corners = torch.cat([model.contour_vertices[row], inner], 1).flatten(1)  # iBUG's order
    share = torch.cat([model.contour_barycentric[row], model.landmark_barycentric.expand(count, -1, -1)], 1)
    heads = max(0, params.betas.shape[1] - PERSON_BETAS)
    used = [*range(model.num_betas, model.num_betas + params.expression.shape[1])]
    used += [*range(PERSON_BETAS, PERSON_BETAS + heads)]
    sigma = crop_px.new_tensor([options.contour_sigma] * NUM_CONTOUR + [options.sigma] * (len(LANDMARKS) - NUM_CONTOUR))
    rest, by_pose = model.rest_vertices(params)[people, corners], rotations.new_zeros(count, 0, corners.shape[1], 3)
    if model.pose_directions is not None:
        directions = model.pose_directions.unflatten(1, (-1, 3))[:, corners].transpose(0, 1)  # B 486 K 3
        rest = rest + torch.einsum(
            "bf,bfkc->bkc",
            (rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)).flatten(1),
            directions,
        )
        by_pose = directions.unflatten(1, (-1, 9))[:, [joint - 1 for joint in TURNED]].flatten(1, 2)
    return Problem(
        params=params,
        observed=ObservedPoints(
            points_px, torch.ones_like(points_px[..., 0]), sigma * crop_px[:, None], camera, options.robust_sigma
        ),
        rotations=rotations,
        rest=rest,
        rest_joints=model.rest_joints(params),
        share=share.flatten(1),
        weights=model.weights[corners],
        by_shape=model.directions[used][:, corners].transpose(0, 1).contiguous(),
        by_pose=by_pose,
        joints_by_shape=model.joint_directions[used],
        stiffness=rotations.new_tensor(_stiffness(options, params.expression.shape[1], heads)),
    )


def _stiffness(options: FaceRefineOptions, expressions: int, shapes: int) -> list[float]:
    """Of each unknown."""
    return [
        *[options.head_stiffness] * 3,
        *[options.jaw_stiffness] * 3,
        *[options.expression_stiffness] * expressions,
        *[options.shape_stiffness] * shapes,
        *[options.shift_stiffness] * 2,
        options.depth_stiffness,
    ]
