"""How is a body moved onto the 2D points that the networks saw? Damped least squares, batched, no autograd.

Every target is a point fixed to one of the 22 body joints (fingers ride on the wrist, the face on the head). Unknowns
are the local rotations of those joints, the shape and the translation; the start is the networks' estimate and the
pull back to it is the prior, so that unseen joints stay where the networks put them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.model import PERSON_BETAS, BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, chain_to_root
from limner.body.skinning import pose_joints
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.pipeline.descent import damped_step, descend, projected_slopes

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
    robust_sigma: float = 6.0
    limb_stiffness: float = 4.0
    trunk_stiffness: float = 12.0
    orient_stiffness: float = 4.0
    wrist_stiffness: float = 12.0
    head_stiffness: float = 10.0
    betas_stiffness: float = 3.0
    depth_stiffness: float = 2.0


def _stiffness(options: RefineOptions) -> Float[Tensor, "J"]:
    values = {"pelvis": options.orient_stiffness, "head": options.head_stiffness, "neck": options.trunk_stiffness}
    values |= {f"{side}_wrist": options.wrist_stiffness for side in ("left", "right")}
    values |= dict.fromkeys(("spine1", "spine2", "spine3", "left_collar", "right_collar"), options.trunk_stiffness)
    return torch.tensor([values.get(name, options.limb_stiffness) for name in BODY_JOINTS])


def _moves() -> Bool[Tensor, "J J"]:
    """[j, i]: does turning joint j move what rides on joint i?"""
    table = torch.zeros(NUM_JOINTS, NUM_JOINTS, dtype=torch.bool)
    for i, name in enumerate(BODY_JOINTS):
        table[chain_to_root(name), i] = True
    return table


@dataclass(frozen=True)
class _State:
    turn: Float[Tensor, "B J 3"]  # local rotation vector from the start
    betas: Float[Tensor, "B S"]
    transl: Float[Tensor, "B 3"]

    def flat(self) -> Float[Tensor, "B U"]:
        """One vector a person."""
        return torch.cat([self.turn.flatten(1), self.betas, self.transl], 1)

    @classmethod
    def of(cls, flat: Float[Tensor, "B U"]) -> "_State":
        """Inverse of `flat`."""
        turn, betas, transl = flat.split([3 * NUM_JOINTS, flat.shape[1] - 3 * NUM_JOINTS - 3, 3], -1)
        return cls(turn.unflatten(-1, (-1, 3)), betas, transl)


def refine(
    model: BodyModel, params: BodyParams, camera: Camera, targets: Targets, options: RefineOptions | None = None
) -> BodyParams:
    """The body moved onto its targets: a damped Gauss-Newton descent of a robust reprojection error plus the prior.

    The result is never worse than the start by the objective (`descend`). Geman-McClure weights.
    """
    options = options or RefineOptions()
    start = params
    stiffness = _stiffness(options).to(params.betas)
    moves = _moves()[:, targets.joint]

    def objective(unknown: Tensor) -> Tensor:
        return _objective(model, start, _State.of(unknown), camera, targets, options, stiffness)

    def step(unknown: Tensor, damping: Tensor) -> Tensor:
        state = _State.of(unknown)
        return _step(model, start, state, camera, targets, options, stiffness, moves, damping).flat()

    turn = params.betas.new_zeros(len(params), NUM_JOINTS, 3)
    unknown = _State(turn, params.betas[:, :PERSON_BETAS], params.transl).flat()
    return _apply(start, _State.of(descend(unknown, objective, step, options.steps, options.damping)))


def _apply(start: BodyParams, state: _State) -> BodyParams:
    local = rotation_from_axis_angle(state.turn)
    return start.replace(
        global_orient=start.global_orient @ local[:, 0],
        body_pose=start.body_pose @ local[:, 1:],
        betas=torch.cat([state.betas, start.betas[:, PERSON_BETAS:]], 1),
        transl=state.transl,
    )


def _body_rotations(params: BodyParams) -> Float[Tensor, "B J 3 3"]:
    return torch.cat([params.global_orient[:, None], params.body_pose], 1)


def _posed(model: BodyModel, params: BodyParams) -> tuple[Tensor, Tensor]:
    absolute, joints = pose_joints(_body_rotations(params), model.rest_joints(params)[:, :NUM_JOINTS])
    return absolute, joints + params.transl[:, None]


def _points(absolute: Tensor, joints: Tensor, targets: Targets) -> Float[Tensor, "B N 3"]:
    return joints[:, targets.joint] + (absolute[:, targets.joint] @ targets.offset[..., None])[..., 0]


def _residuals(points: Tensor, camera: Camera, targets: Targets) -> Float[Tensor, "B N 2"]:
    return (camera.project(points) - targets.point_px) / targets.sigma_px[..., None]


def _objective(
    model: BodyModel,
    start: BodyParams,
    state: _State,
    camera: Camera,
    targets: Targets,
    options: RefineOptions,
    stiffness: Tensor,
) -> Float[Tensor, "B"]:
    """Geman-McClure reprojection error plus the squared, stiffness-weighted distance from the start."""
    points = _points(*_posed(model, _apply(start, state)), targets)
    squared = _residuals(points, camera, targets).square().sum(-1)
    robust = squared / (1 + squared / options.robust_sigma**2)
    behind = (points[..., 2] < 0.05).any(-1)
    prior = (stiffness[:, None] * state.turn).square().sum((1, 2))
    prior = prior + (options.betas_stiffness * (state.betas - start.betas[:, :PERSON_BETAS])).square().sum(-1)
    depth = options.depth_stiffness * torch.log(state.transl[:, 2].clamp_min(1e-3) / start.transl[:, 2])
    value = (targets.weight * robust).sum(-1) + prior + depth.square()
    return torch.where(behind, torch.inf, value)


def _step(
    model: BodyModel,
    start: BodyParams,
    state: _State,
    camera: Camera,
    targets: Targets,
    options: RefineOptions,
    stiffness: Tensor,
    moves: Tensor,
    damping: Tensor,
) -> _State:
    """One damped Gauss-Newton step."""
    params = _apply(start, state)
    absolute, joints = _posed(model, params)
    points = _points(absolute, joints, targets)
    residual = _residuals(points, camera, targets)
    weight = targets.weight / (1 + residual.square().sum(-1) / options.robust_sigma**2).square()
    jacobian = _jacobian(model, params, absolute, joints, points, camera, targets, moves)
    scaled = jacobian * weight[..., None, None]
    normal = torch.einsum("bnia,bnic->bac", scaled, jacobian)
    gradient = torch.einsum("bnia,bni->ba", scaled, residual)

    relative_depth = options.depth_stiffness / start.transl[:, 2]
    diagonal = torch.cat(
        [
            stiffness.square().repeat_interleave(3).expand(len(params), -1),
            torch.full_like(state.betas, options.betas_stiffness**2),
            torch.zeros_like(state.transl[:, :2]),
            relative_depth.square()[:, None],
        ],
        -1,
    )
    offset = torch.cat(
        [state.turn.flatten(1), state.betas - start.betas[:, :PERSON_BETAS], state.transl - start.transl], -1
    )  # the depth term is linearised at the start, which is all a step needs
    gradient = gradient + diagonal * offset
    moved = _State.of(damped_step(normal + torch.diag_embed(diagonal), gradient, damping))
    return _State(moved.turn.clamp(-0.7, 0.7), moved.betas, moved.transl)


def _jacobian(
    model: BodyModel,
    params: BodyParams,
    absolute: Tensor,
    joints: Tensor,
    points: Tensor,
    camera: Camera,
    targets: Targets,
    moves: Tensor,
) -> Float[Tensor, "B N 2 C"]:
    """d residual / d (turns, betas, transl). Turning a joint about its own axis a moves x by a x (x - joint)."""
    arm = points[:, :, None] - joints[:, None]  # B N J 3
    axes = absolute.mT  # B J (axis) 3
    by_turn = torch.linalg.cross(axes[:, None], arm[:, :, :, None].expand(-1, -1, -1, 3, -1))
    by_turn = (by_turn * moves.mT[..., None, None]).flatten(2, 3)  # B N 3J 3
    by_betas = _by_betas(model, params)[:, :, targets.joint].transpose(1, 2)  # B N S 3
    by_transl = torch.eye(3).to(points).expand(*points.shape[:2], 3, 3)
    by_all = torch.cat([by_turn, by_betas, by_transl], 2)
    return projected_slopes(by_all, points, camera, targets.sigma_px).mT


def _by_betas(model: BodyModel, params: BodyParams) -> Float[Tensor, "B S J 3"]:
    """How the posed joints move with each beta: forward kinematics is linear in the rest joints."""
    count, num_betas = len(params), min(PERSON_BETAS, params.betas.shape[1])
    directions = model.joint_directions[:num_betas, :NUM_JOINTS]
    rotations = _body_rotations(params).repeat_interleave(num_betas, 0)
    moved = pose_joints(rotations, directions.repeat(count, 1, 1))[1]
    return moved.unflatten(0, (count, num_betas))
