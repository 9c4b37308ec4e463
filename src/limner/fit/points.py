"""Where are a body's 144 keypoints, and how does each move with pose, shape, expression and place? Without a mesh.

A keypoint is a fixed mixture of a few skinned vertices (a joint: of itself), so it is a sum over joints k of
`A_k rho_k + w_k t_k`: A_k, t_k are the joint's motion, w_k how much of the point hangs on it, and rho_k (the mixture of
rest positions, already weighted) is linear in the coefficients. Its derivatives are as short, and need no autograd.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import CONTOUR_NAMES, KEYPOINT_NAMES
from limner.body.model import BodyModel, contour_row
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT_NAMES, PARENTS, chain_to_root
from limner.body.skinning import absolute_rotation, pose_joints
from limner.fit.unknowns import Unknowns

JOINTS, POINTS, CONTOUR = len(JOINT_NAMES), len(KEYPOINT_NAMES), len(CONTOUR_NAMES)


@dataclass(frozen=True)
class Riders:
    """Constants of N points, the same for everybody or one set a person: joint which K joints carry a point, share how
    much, rest its weighted rest position (metres), directions how that moves with the C coefficients."""

    joint: Int[Tensor, "*people N K"]
    share: Float[Tensor, "*people N K"]
    rest: Float[Tensor, "*people N K 3"]
    directions: Float[Tensor, "*people N K 3 C"]


@dataclass(frozen=True)
class Posed:
    """Bodies with what their derivatives need.

    points "B N 3" camera frame; joints "B 55 3" and absolute "B 55 3 3": the skeleton; carried "B N K 3": the part of
    each point that joint k carries (with the translation); joint, share, directions:
    as in Riders.
    """

    points: Float[Tensor, "B N 3"]
    joints: Float[Tensor, "B 55 3"]
    absolute: Float[Tensor, "B 55 3 3"]
    carried: Float[Tensor, "B N K 3"]
    joint: Int[Tensor, "B N K"]
    share: Float[Tensor, "B N K"]
    directions: Float[Tensor, "*people N K 3 C"]

    def some(self, index: Int[Tensor, "n"]) -> "Posed":
        """Some of the points."""
        rows = (self.points, self.carried, self.joint, self.share)
        points, carried, joint, share = (value[:, index] for value in rows)
        directions = self.directions[..., index, :, :, :]
        return Posed(points, self.joints, self.absolute, carried, joint, share, directions)


class KeypointLayer:
    """Some of the 144 keypoints of a body model with analytic derivatives. Device and dtype are the model's."""

    def __init__(self, model: BodyModel, keypoints: tuple[int, ...] = tuple(range(POINTS))):
        """`keypoints`: which of the 144, ascending; a small model (`keypoints_only`) is enough.

        SMPL-X files' pose correctives move the points but not their derivatives, which are then approximate; the jaw
        line goes without them.
        """
        self.model, self.keypoints = model, keypoints
        self.fixed = tuple(k for k in keypoints if k < POINTS - CONTOUR)
        self.contour = tuple(k - (POINTS - CONTOUR) for k in keypoints if k >= POINTS - CONTOUR)
        surface, face, contour = _surface_riders(model)
        slots = max(part.joint.shape[1] for part in (surface, face, contour))
        everything = _stack([_joint_riders(model, slots), surface, face], slots)
        self.riders = _select(everything, list(self.fixed))
        self.contour_riders = _stack([contour], slots) if self.contour else None
        self.corrective = _corrective(model, self.fixed, slots)
        self.moves = _moves().to(model.v_template.device)

    def __call__(self, params: BodyParams) -> Posed:
        """The keypoints of B bodies."""
        pose = params.full_pose()
        coefficients = torch.cat([params.betas, params.expression], -1)
        rest_joints = self.model.rest_joints(params)
        absolute, joints = pose_joints(pose, rest_joints)
        shift = joints - (absolute @ rest_joints[..., None])[..., 0] + params.transl[:, None]
        joints = joints + params.transl[:, None]
        riders = self._riders(pose)
        rest = self._rest(riders, coefficients)
        if self.corrective is not None:
            rest[:, : len(self.fixed)] += self._corrected(pose)
        people = torch.arange(len(pose), device=pose.device)[:, None, None]
        joint = riders.joint.expand(len(pose), -1, -1)
        carried = (absolute[people, joint] @ rest[..., None])[..., 0] + riders.share[..., None] * shift[people, joint]
        share = riders.share.expand(len(pose), -1, -1)
        return Posed(carried.sum(2), joints, absolute, carried, joint, share, riders.directions)

    def _riders(self, pose: Tensor) -> Riders:
        """The fixed points' constants, and each person's row of the jaw line's."""
        fixed = self.riders
        if self.contour_riders is None:
            return fixed
        row = contour_row(absolute_rotation(pose, chain_to_root("neck")))
        index = row[:, None] * CONTOUR + torch.tensor(self.contour, device=row.device)
        some, count = _select(self.contour_riders, index), len(row)

        def both(a: Tensor, b: Tensor) -> Tensor:
            return torch.cat([a.expand(count, *a.shape), b], 1)

        return Riders(
            both(fixed.joint, some.joint),
            both(fixed.share, some.share),
            both(fixed.rest, some.rest),
            both(fixed.directions, some.directions),
        )

    def _rest(self, riders: Riders, coefficients: Float[Tensor, "B C"]) -> Float[Tensor, "B N K 3"]:
        """Weighted rest positions of B shapes."""
        fixed = self.riders
        moved = coefficients @ fixed.directions.flatten(0, 2).mT
        rest = fixed.rest + moved.unflatten(1, fixed.rest.shape)
        if riders is fixed:
            return rest
        own = riders.directions[:, len(self.fixed) :]
        line = riders.rest[:, len(self.fixed) :] + (own @ coefficients[:, None, None, :, None])[..., 0]
        return torch.cat([rest, line], 1)

    def _corrected(self, pose: Tensor) -> Float[Tensor, "B N K 3"]:
        eye = torch.eye(3, dtype=pose.dtype, device=pose.device)
        feature = (pose[:, 1:] - eye).flatten(1)
        assert self.corrective is not None
        return torch.einsum("bf,nkcf->bnkc", feature, self.corrective)

    def along(
        self, posed: Posed, params: BodyParams, unknowns: Unknowns, axes: Float[Tensor, "B N D 3"]
    ) -> Float[Tensor, "B N D C"]:
        """How fast each point moves along given axes (D a point) with each of the unknowns.

        Turning joint j about its own axis a moves what hangs on it by a x (x - joint); what hangs on it only in part
        moves in that part.
        """
        turns = self._along_turns(posed, unknowns, axes)
        columns = [turns]
        if unknowns.num_betas or unknowns.num_expression:
            first = self.model.num_betas
            wanted = [*range(unknowns.num_betas), *range(first, first + unknowns.num_expression)]
            columns.append(axes @ self._by_coefficients(posed, params, wanted))
        return torch.cat([*columns, axes], -1)

    def _along_turns(self, posed: Posed, unknowns: Unknowns, axes: Tensor) -> Float[Tensor, "B N D T"]:
        index = torch.tensor(unknowns.joints, device=axes.device)
        mask = self.moves[index][:, posed.joint].permute(1, 2, 0, 3).to(axes)  # B N J K
        hanging = mask @ posed.carried  # B N J 3
        share = mask @ posed.share[..., None]  # B N J 1
        arm = hanging - share * posed.joints[:, None, index]
        # axis . (a x arm) = a . (arm x axis), for all three a of a joint at once
        x, y, z = arm[:, :, None].unbind(-1)  # B N 1 J
        gx, gy, gz = axes[..., None, :].unbind(-1)  # B N D 1
        swept = torch.stack([y * gz - z * gy, z * gx - x * gz, x * gy - y * gx], 0)  # 3 B N D J
        frame = posed.absolute[:, index].permute(2, 3, 0, 1)[..., None, None, :]  # c m B 1 1 J
        local = torch.stack([(swept * frame[:, m]).sum(0) for m in range(3)], -1)
        return local.flatten(3)

    def _by_coefficients(self, posed: Posed, params: BodyParams, wanted: list[int]) -> Float[Tensor, "B N 3 C"]:
        """How the points move with betas and expression: skinning and kinematics are linear in the rest body."""
        directions = self.model.joint_directions[wanted].permute(1, 2, 0)  # 55 3 C
        parent = [max(p, 0) for p in PARENTS]
        bone = directions - directions[parent] * (torch.tensor(PARENTS) >= 0)[:, None, None].to(directions)
        frame = posed.absolute[:, parent].clone()
        frame[:, 0] = torch.eye(3, dtype=frame.dtype, device=frame.device)  # the root stays where it rests
        by_bone = frame @ bone  # B 55 3 C
        by_joint = torch.einsum("jk,bjcs->bkcs", self.moves.to(bone), by_bone)
        shift = by_joint - posed.absolute @ directions
        people = torch.arange(len(shift), device=shift.device)[:, None, None]
        turned = posed.absolute[people, posed.joint].transpose(2, 3).flatten(3)  # B N 3 (K 3)
        own = turned @ posed.directions[..., wanted].flatten(-3, -2)
        hung = torch.einsum("bnj,bjcs->bncs", self._share_of_joint(posed), shift)
        return own + hung

    def _share_of_joint(self, posed: Posed) -> Float[Tensor, "B N 55"]:
        dense = posed.share.new_zeros(*posed.share.shape[:2], JOINTS)
        return dense.scatter_add(2, posed.joint, posed.share)


def _moves() -> Bool[Tensor, "55 55"]:
    """[j, k]: does joint k hang on joint j (or is it j itself)?"""
    table = torch.zeros(JOINTS, JOINTS, dtype=torch.bool)
    for k, name in enumerate(JOINT_NAMES):
        table[chain_to_root(name), k] = True
    return table


def _select(riders: Riders, index: list[int] | Tensor) -> Riders:
    return Riders(riders.joint[index], riders.share[index], riders.rest[index], riders.directions[index])


def _joint_riders(model: BodyModel, slots: int) -> Riders:
    joint = torch.zeros(JOINTS, slots, dtype=torch.int64, device=model.v_template.device)
    joint[:, 0] = torch.arange(JOINTS)
    share = torch.zeros(JOINTS, slots).to(model.v_template)
    share[:, 0] = 1
    rest = torch.zeros(JOINTS, slots, 3).to(share)
    rest[:, 0] = model.joint_template
    directions = torch.zeros(JOINTS, slots, 3, len(model.joint_directions)).to(share)
    directions[:, 0] = model.joint_directions.permute(1, 2, 0)
    return Riders(joint, share, rest, directions)


def _surface_riders(model: BodyModel) -> tuple[Riders, Riders, Riders]:
    """Surface points, inner face, and all rows of the jaw line."""
    ones = torch.ones(len(model.vertex_ids), 1).to(model.v_template)
    return (
        _mixtures(model, model.vertex_ids[:, None], ones),
        _mixtures(model, model.landmark_vertices, model.landmark_barycentric),
        _mixtures(model, model.contour_vertices.flatten(0, 1), model.contour_barycentric.flatten(0, 1)),
    )


def _stack(parts: list[Riders], slots: int) -> Riders:
    def padded(name: str) -> Tensor:
        rows = []
        for part in parts:
            value = getattr(part, name)
            missing = slots - value.shape[1]
            rows.append(torch.cat([value, value.new_zeros(len(value), missing, *value.shape[2:])], 1))
        return torch.cat(rows)

    return Riders(*(padded(name) for name in ("joint", "share", "rest", "directions")))


def _carriers(model: BodyModel, vertices: Int[Tensor, "N M"], mixture: Float[Tensor, "N M"]) -> tuple[Tensor, Tensor]:
    """Joints that carry a mixture of vertices "N K", and each vertex's weighted part of it "N K M"."""
    part = model.weights[vertices] * mixture[..., None]  # N M 55
    total = part.sum(1)
    slots = int((total > 0).sum(-1).max())
    joint = total.topk(slots, dim=-1).indices
    return joint, part.gather(2, joint[:, None].expand(-1, part.shape[1], -1)).transpose(1, 2)


def _mixtures(model: BodyModel, vertices: Int[Tensor, "N M"], mixture: Float[Tensor, "N M"]) -> Riders:
    joint, part = _carriers(model, vertices, mixture)
    rest = part @ model.v_template[vertices]  # N K 3
    directions = torch.einsum("nkm,cnmd->nkdc", part, model.directions[:, vertices])
    return Riders(joint, part.sum(2), rest, directions)


def _corrective(model: BodyModel, fixed: tuple[int, ...], slots: int) -> Float[Tensor, "N K 3 486"] | None:
    """How pose correctives move the weighted rest positions; None where the file has none."""
    if model.pose_directions is None:
        return None
    by_vertex = model.pose_directions.unflatten(1, (-1, 3))  # 486 V 3
    surface = model.vertex_ids[:, None]
    rows = [torch.zeros(JOINTS, 1, 3, len(by_vertex)).to(by_vertex)]
    for vertices, mixture in (
        (surface, torch.ones(surface.shape).to(by_vertex)),
        (model.landmark_vertices, model.landmark_barycentric),
    ):
        part = _carriers(model, vertices, mixture)[1]
        rows.append(torch.einsum("nkm,fnmd->nkdf", part, by_vertex[:, vertices]))
    padded = [torch.cat([r, r.new_zeros(len(r), slots - r.shape[1], *r.shape[2:])], 1) for r in rows]
    return torch.cat(padded)[list(fixed)]
