"""How is a body moved onto the 2D points that the networks saw? Damped least squares, batched, no autograd.

Every target is a point fixed to one of the 22 body joints (fingers ride on the wrist, the face on the head). Unknowns
are the local rotations of those joints, the shape and the translation; the start is the networks' estimate and the
pull back to it is the prior, so that unseen joints stay where the networks put them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.model import PERSON_BETAS, BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS
from limner.body.skinning import bones_of, pose_joints, tree
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.pipeline.descent import descend, image_slopes, robust_cost, robust_step, turn_slopes

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

    steps: int = 8
    damping: float = 1e-2
    least_gain: float = 3e-3
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

    The result is never worse than the start by the objective (`descend`). Geman-McClure weights.
    """
    options = options or RefineOptions()
    problem = problem_of(model, params, camera, targets, options)
    return problem.moved(descend(problem, problem.start, options.steps, options.damping, options.least_gain))


@dataclass(frozen=True)
class Problem:
    """The least-squares problem of B people around their start; all that stays the same from step to step.

    Unknowns "B U" of a person: 22 rotation vectors from the start, the person's betas, the translation. rotations
    "B J 3 3" local ones at the start; template "B J 3" joints at rest without the person's betas; directions "S J 3"
    what these add, bones "S J 3" the same from joint to joint; start "B U"; stiffness "U" (of the depth: of its
    logarithm); moves "M T": 1 where turning about one of the T = 3 J axes moves one of the M = 2 N residuals.
    """

    params: BodyParams
    camera: Camera
    targets: Targets
    options: RefineOptions
    rotations: Float[Tensor, "B J 3 3"]
    template: Float[Tensor, "B J 3"]
    directions: Float[Tensor, "S J 3"]
    bones: Float[Tensor, "S J 3"]
    start: Float[Tensor, "B U"]
    stiffness: Float[Tensor, "U"]
    moves: Float[Tensor, "M T"]

    def moved(self, unknown: Float[Tensor, "B U"]) -> BodyParams:
        """The people with the unknowns applied."""
        turn, betas, transl = self._split(unknown)
        rotations = self._turned(turn)
        return self.params.replace(
            global_orient=rotations[:, 0],
            body_pose=rotations[:, 1:],
            betas=torch.cat([betas, self.params.betas[:, PERSON_BETAS:]], 1),
            transl=transl,
        )

    def objective(self, unknown: Float[Tensor, "B U"], look: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, "B"]:
        """Geman-McClure reprojection error plus the squared, stiffness-weighted distance from the start."""
        robust = robust_cost(self.residuals(look[2]), self.options.robust_sigma)
        behind = (look[2][..., 2] < 0.05).any(-1)
        depth = torch.log(unknown[:, -1:].clamp_min(1e-3) / self.start[:, -1:])
        away = torch.cat([unknown[:, :-1] - self.start[:, :-1], depth], 1) * self.stiffness
        value = (self.targets.weight * robust).sum(-1) + away.square().sum(-1)
        return torch.where(behind, torch.inf, value)

    def step(
        self, unknown: Float[Tensor, "B U"], look: tuple[Tensor, Tensor, Tensor], damping: Float[Tensor, "B 1"]
    ) -> Float[Tensor, "B U"]:
        """One damped Gauss-Newton step."""
        # the depth term is linearised at the start, which is all a step needs
        stiffness = torch.cat(
            [self.stiffness[:-1].expand(len(unknown), -1), self.stiffness[-1] / self.start[:, -1:]], 1
        )
        step = robust_step(
            self.jacobian(*look),
            self.residuals(look[2]),
            self.targets.weight,
            self.options.robust_sigma,
            stiffness.square(),
            unknown - self.start,
            damping,
        )
        turns = 3 * NUM_JOINTS
        return torch.cat([step[:, :turns].clamp(-0.7, 0.7), step[:, turns:]], 1)

    def look(self, unknown: Float[Tensor, "B U"]) -> tuple[Tensor, Tensor, Float[Tensor, "B N 3"]]:
        """Absolute rotations "B J 3 3", posed joints "B J 3" and what rides on them."""
        turn, betas, transl = self._split(unknown)
        rest = self.template + torch.einsum("bs,sjc->bjc", betas, self.directions)
        absolute, joints = pose_joints(self._turned(turn), rest)
        joints = joints + transl[:, None]
        riding = self.targets.joint
        arms = (absolute.index_select(1, riding) @ self.targets.offset[..., None])[..., 0]
        return absolute, joints, joints.index_select(1, riding) + arms

    def residuals(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 2"]:
        """Distances from where the targets were seen, in usual errors."""
        return (self.camera.project(points) - self.targets.point_px) / self.targets.sigma_px[..., None]

    def jacobian(
        self, absolute: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "B J 3"], points: Float[Tensor, "B N 3"]
    ) -> Float[Tensor, "B M U"]:
        """d residual / d unknown, x and y of the targets in turn."""
        slopes = image_slopes(points, self.camera, self.targets.sigma_px)
        by_turn = turn_slopes(points, slopes, absolute, joints) * self.moves
        by_betas = slopes @ self._by_betas(absolute)
        return torch.cat([by_turn, by_betas.flatten(1, 2), slopes.flatten(1, 2)], 2)

    def _by_betas(self, absolute: Float[Tensor, "B J 3 3"]) -> Float[Tensor, "B N 3 S"]:
        """How the targets move with each beta: forward kinematics is linear in the bones at rest."""
        skeleton = tree(NUM_JOINTS, absolute.dtype, absolute.device)
        root = torch.eye(3).to(absolute).expand(len(absolute), 1, 3, 3)
        above = torch.cat([root, absolute.index_select(1, skeleton.parent[1:])], 1)
        turned = (above @ self.bones.permute(1, 2, 0)).flatten(2)  # B J 3S
        moved = (skeleton.chain @ turned).index_select(1, self.targets.joint)
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
        _stiffness(options).repeat_interleave(3),
        torch.full((betas.shape[1],), options.betas_stiffness),
        torch.tensor([0.0, 0.0, options.depth_stiffness]),
    ]
    return Problem(
        params=params,
        camera=camera,
        targets=targets,
        options=options,
        rotations=torch.cat([params.global_orient[:, None], params.body_pose], 1),
        template=rest - torch.einsum("bs,sjc->bjc", betas, directions),
        directions=directions,
        bones=bones_of(directions),
        start=torch.cat([torch.zeros(len(betas), 3 * NUM_JOINTS).to(betas), betas, params.transl], 1),
        stiffness=torch.cat(stiffness).to(betas),
        moves=moves.repeat_interleave(2, 0).repeat_interleave(3, 1),
    )


def _stiffness(options: RefineOptions) -> Float[Tensor, "J"]:
    """Of each joint's turn."""
    values = {"pelvis": options.orient_stiffness, "head": options.head_stiffness, "neck": options.trunk_stiffness}
    values |= {f"{side}_wrist": options.wrist_stiffness for side in ("left", "right")}
    values |= dict.fromkeys(("spine1", "spine2", "spine3", "left_collar", "right_collar"), options.trunk_stiffness)
    return torch.tensor([values.get(name, options.limb_stiffness) for name in BODY_JOINTS])
