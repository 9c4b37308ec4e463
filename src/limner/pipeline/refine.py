"""Refinement of bodies onto the 2D points that the networks saw: damped least squares, batched, no autograd.

Every target is a point fixed to one of the 22 body joints (fingers ride on the wrist, the face on the head). Unknowns
are the local rotations of those joints, the shape and the translation; the start is the networks' estimate and the
pull back to it is the prior, so that unseen joints stay where the networks put them.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.model import PERSON_BETAS, BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS
from limner.body.skinning import bones_of, pose_joints, tree
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.optimise.points import ObservedPoints, Reprojected, turn_slopes
from limner.optimise.solver import Linearised, SolverOptions, damped_least_squares
from limner.records import Rows

NUM_JOINTS = len(BODY_JOINTS)


@dataclass(frozen=True)
class Targets:
    """2D points to be met: each rides on a body joint.

    joint "N" index of that joint; offset "B N 3" the point in the joint's own axes, metres; point_px "B N 2" where it
    was seen; weight "B N" >= 0, 0 = ignore; sigma_px "B N" the error that is usual for it.
    """

    joint: Int[Tensor, "N"]
    offset: Float[Tensor, "B N 3"]
    point_px: Float[Tensor, "B N 2"]
    weight: Float[Tensor, "B N"]
    sigma_px: Float[Tensor, "B N"]


@dataclass(frozen=True)
class RefineOptions:
    """Numbers of the solver. Stiffness: inverse standard deviation (1/radian, 1/unit of beta) of leaving the start."""

    solver: SolverOptions = SolverOptions(steps=8, tolerance=3e-3, patience=1, fall=3.0, rise=8.0)
    robust_sigma: float = 6.0
    limb_stiffness: float = 4.0
    trunk_stiffness: float = 12.0
    orient_stiffness: float = 4.0
    wrist_stiffness: float = 12.0
    head_stiffness: float = 10.0
    betas_stiffness: float = 3.0
    depth_stiffness: float = 2.0


def refine(
    model: BodyModel, params: BodyParams, camera: Camera, targets: Targets, options: RefineOptions | None = None
) -> BodyParams:
    """The body moved onto its targets: a damped Gauss-Newton descent of a robust reprojection error plus the prior.

    The result is never worse than the start by the objective (`damped_least_squares`). Geman-McClure weights.
    """
    options = options or RefineOptions()
    problem = problem_of(model, params, camera, targets, options)
    return problem.people(damped_least_squares(problem, problem.start, options.solver).state)


@dataclass(frozen=True)
class Skeletons(Rows):
    """Posed skeletons: absolute rotations "B J 3 3", joints "B J 3", and the points that ride on them."""

    absolute: Float[Tensor, "B J 3 3"]
    joints: Float[Tensor, "B J 3"]
    reprojected: Reprojected


@dataclass(frozen=True)
class Problem(Rows):
    """The least-squares problem of B people around their start; all that stays the same from step to step.

    Unknowns "B U" of a person: 22 rotation vectors from the start, the person's betas, the translation. offset "B N 3"
    of the points in the axes of the joints "N" that they ride on; rotations "B J 3 3" local ones at the start; template
    "B J 3" joints at rest without the person's betas; start "B U"; directions "S J 3" what the betas add, bones "S J 3"
    the same from joint to joint; stiffness "U" (of the depth: of its logarithm); moves "M T": 1 where turning about one
    of the T = 3 J axes moves one of the M = 2 N residuals.
    """

    params: BodyParams
    observed: ObservedPoints
    offset: Float[Tensor, "B N 3"]
    rotations: Float[Tensor, "B J 3 3"]
    template: Float[Tensor, "B J 3"]
    start: Float[Tensor, "B U"]
    joint: Int[Tensor, "N"] = field(metadata={"shared": True})
    directions: Float[Tensor, "S J 3"] = field(metadata={"shared": True})
    bones: Float[Tensor, "S J 3"] = field(metadata={"shared": True})
    stiffness: Float[Tensor, "U"] = field(metadata={"shared": True})
    moves: Float[Tensor, "M T"] = field(metadata={"shared": True})

    def people(self, unknown: Float[Tensor, "B U"]) -> BodyParams:
        """The people with the unknowns applied."""
        turn, betas, transl = self._split(unknown)
        rotations = self._turned(turn)
        return self.params.replace(
            global_orient=rotations[:, 0],
            body_pose=rotations[:, 1:],
            betas=torch.cat([betas, self.params.betas[:, PERSON_BETAS:]], 1),
            transl=transl,
        )

    def moved(self, state: Float[Tensor, "B U"], step: Float[Tensor, "B U"]) -> Float[Tensor, "B U"]:
        """Unknowns after a step; a joint turns by 0.7 an axis at most."""
        turns = 3 * NUM_JOINTS
        return state + torch.cat([step[:, :turns].clamp(-0.7, 0.7), step[:, turns:]], 1)

    def objective(self, state: Float[Tensor, "B U"], forward: Skeletons) -> Float[Tensor, "B"]:
        """Geman-McClure reprojection error plus the squared, stiffness-weighted distance from the start."""
        depth = torch.log(state[:, -1:].clamp_min(1e-3) / self.start[:, -1:])
        away = torch.cat([state[:, :-1] - self.start[:, :-1], depth], 1) * self.stiffness
        return self.observed.cost(forward.reprojected) + away.square().sum(-1)

    def linearised(self, state: Float[Tensor, "B U"], forward: Skeletons) -> Linearised:
        """Normal equations at a state."""
        # the depth term is linearised at the start, which is all a step needs
        stiffness = torch.cat([self.stiffness[:-1].expand(len(state), -1), self.stiffness[-1] / self.start[:, -1:]], 1)
        residual, slopes = self.observed.linearised(forward.reprojected)
        slope = self.jacobian(forward, slopes)
        return Linearised.of(slope, residual, stiffness, state - self.start)

    def forward(self, state: Float[Tensor, "B U"]) -> Skeletons:
        """The bodies with the unknowns applied, in the camera."""
        turn, betas, transl = self._split(state)
        rest = self.template + torch.einsum("bs,sjc->bjc", betas, self.directions)
        absolute, joints = pose_joints(self._turned(turn), rest)
        joints = joints + transl[:, None]
        arms = (absolute.index_select(1, self.joint) @ self.offset[..., None])[..., 0]
        return Skeletons(absolute, joints, self.observed.at(joints.index_select(1, self.joint) + arms))

    def jacobian(self, forward: Skeletons, slopes: Float[Tensor, "B N 2 3"]) -> Float[Tensor, "B M U"]:
        """How residuals with these slopes by the points change with the unknowns, x and y of the points in turn."""
        by_turn = turn_slopes(forward.reprojected.points, slopes, forward.absolute, forward.joints) * self.moves
        by_betas = slopes @ self._by_betas(forward.absolute)
        return torch.cat([by_turn, by_betas.flatten(1, 2), slopes.flatten(1, 2)], 2)

    def _by_betas(self, absolute: Float[Tensor, "B J 3 3"]) -> Float[Tensor, "B N 3 S"]:
        """How the targets move with each beta: forward kinematics is linear in the bones at rest."""
        skeleton = tree(NUM_JOINTS, absolute.dtype, absolute.device)
        root = torch.eye(3, dtype=absolute.dtype, device=absolute.device).expand(len(absolute), 1, 3, 3)
        above = torch.cat([root, absolute.index_select(1, skeleton.parent[1:])], 1)
        turned = (above @ self.bones.permute(1, 2, 0)).flatten(2)  # B J 3S
        moved = (skeleton.chain @ turned).index_select(1, self.joint)
        return moved.unflatten(2, (3, -1))

    def _turned(self, turn: Float[Tensor, "B J 3"]) -> Float[Tensor, "B J 3 3"]:
        return self.rotations @ rotation_from_axis_angle(turn)

    def _split(self, unknown: Float[Tensor, "B U"]) -> tuple[Float[Tensor, "B J 3"], Tensor, Tensor]:
        turns = 3 * NUM_JOINTS
        return unknown[:, :turns].unflatten(-1, (-1, 3)), unknown[:, turns:-3], unknown[:, -3:]


def problem_of(
    model: BodyModel, params: BodyParams, camera: Camera, targets: Targets, options: RefineOptions
) -> Problem:
    """The problem of people at their start."""
    betas = params.betas[:, :PERSON_BETAS]
    directions = model.joint_directions[: betas.shape[1], :NUM_JOINTS]
    rest = model.rest_joints(params)[:, :NUM_JOINTS]
    moves = tree(NUM_JOINTS, rest.dtype, rest.device).chain[targets.joint]
    stiffness = [
        betas.new_tensor(_stiffness(options)).repeat_interleave(3),
        betas.new_full((betas.shape[1],), options.betas_stiffness),
        betas.new_tensor([0.0, 0.0, options.depth_stiffness]),
    ]
    return Problem(
        params=params,
        observed=ObservedPoints(targets.point_px, targets.weight, targets.sigma_px, camera, options.robust_sigma),
        offset=targets.offset,
        rotations=torch.cat([params.global_orient[:, None], params.body_pose], 1),
        template=rest - torch.einsum("bs,sjc->bjc", betas, directions),
        start=torch.cat([betas.new_zeros(len(betas), 3 * NUM_JOINTS), betas, params.transl], 1),
        joint=targets.joint,
        directions=directions,
        bones=bones_of(directions),
        stiffness=torch.cat(stiffness),
        moves=moves.repeat_interleave(2, 0).repeat_interleave(3, 1),
    )


def _stiffness(options: RefineOptions) -> list[float]:
    """Of each joint's turn."""
    values = {"pelvis": options.orient_stiffness, "head": options.head_stiffness, "neck": options.trunk_stiffness}
    values |= {f"{side}_wrist": options.wrist_stiffness for side in ("left", "right")}
    values |= dict.fromkeys(("spine1", "spine2", "spine3", "left_collar", "right_collar"), options.trunk_stiffness)
    return [values.get(name, options.limb_stiffness) for name in BODY_JOINTS]
