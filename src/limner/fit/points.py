"""Keypoints of a body without its mesh, and how each moves with pose, shape, expression and place.

A keypoint is a fixed mixture of a few skinned vertices (a joint: of itself), so it is a sum over joints k of
`A_k rho_k + w_k t_k`: A_k, t_k are the joint's motion, w_k how much of the point hangs on it, and rho_k (the mixture of
rest positions, already weighted) is linear in the coefficients. Its derivatives are as short, and need no autograd.
"""

from dataclasses import dataclass, field, replace
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from limner.body.keypoints import CONTOUR_NAMES, KEYPOINT_NAMES
from limner.body.model import BodyModel, contour_row
from limner.body.params import BodyParams
from limner.body.skeleton import HAND_JOINTS, JOINT_NAMES, PARENTS, chain_to_root
from limner.body.skinning import absolute_rotation, bones_of, pose_joints, tree
from limner.fit.unknowns import Unknowns
from limner.records import Rows, join

JOINTS, POINTS, CONTOUR = len(JOINT_NAMES), len(KEYPOINT_NAMES), len(CONTOUR_NAMES)
_PARTS = {"jaw": "jaw"} | {name: side for side, names in HAND_JOINTS.items() for name in names}
_PART_OF_JOINT = tuple(_PARTS.get(name, "") for name in JOINT_NAMES)
"""Joints of a hand, and the jaw, move few points: their slopes are taken by themselves."""


@dataclass(frozen=True)
class Riders(Rows):
    """Constants of N points: joint which K joints carry a point, share how much, rest its weighted rest position
    (metres), directions how that moves with the C coefficients, correctives with the rotation matrices, if at all."""

    joint: Int[Tensor, "N K"]
    share: Float[Tensor, "N K"]
    rest: Float[Tensor, "N K 3"]
    directions: Float[Tensor, "N K 3 C"]
    correctives: Float[Tensor, "N K 3 F"] | None = None


@dataclass(frozen=True)
class Posed(Rows):
    """Bodies with what their derivatives need.

    points "B N 3" camera frame; joints "B 55 3" and absolute "B 55 3 3": the skeleton; carried "B N K 3": the part of
    each point that joint k carries (with the translation); joint, share: as in Riders; directions: of the first F
    points, the same for everybody; line: of the jaw line's, which differ from person to person.
    """

    points: Float[Tensor, "B N 3"]
    joints: Float[Tensor, "B 55 3"]
    absolute: Float[Tensor, "B 55 3 3"]
    carried: Float[Tensor, "B N K 3"]
    share: Float[Tensor, "B N K"]
    joint: Int[Tensor, "N K"] = field(metadata={"shared": True})
    directions: Float[Tensor, "F K 3 C"] = field(metadata={"shared": True})
    line: Float[Tensor, "B L K 3 C"] | None = None

    def some(self, people: Int[Tensor, "b"], index: Int[Tensor, "n"]) -> "Posed":
        """Some of the bodies, with some of the points, but not the jaw line's."""
        rows = people[:, None]
        points, carried, share = (value[rows, index] for value in (self.points, self.carried, self.share))
        joints, absolute = self.joints[people], self.absolute[people]
        return Posed(points, joints, absolute, carried, share, self.joint[index], self.directions[index])


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
        everything = join([_padded(part, slots) for part in (_joint_riders(model), surface, face)])
        self.riders = everything[list(self.fixed)]
        self.contour_riders = _padded(contour, slots) if self.contour else None
        self.moves = tree(JOINTS, model.v_template.dtype, model.v_template.device).chain.mT > 0  # [j, k]: k hangs on j

    def __call__(self, params: BodyParams) -> Posed:
        """The keypoints of B bodies."""
        pose = params.full_pose()
        coefficients = torch.cat([params.betas, params.expression], -1)
        rest_joints = self.model.rest_joints(params)
        absolute, joints = pose_joints(pose, rest_joints)
        shift = joints - (absolute @ rest_joints[..., None])[..., 0] + params.transl[:, None]
        joints = joints + params.transl[:, None]
        joint, share, rest, line = self._rest(pose, coefficients)
        carried = (absolute[:, joint] @ rest[..., None])[..., 0] + share[..., None] * shift[:, joint]
        return Posed(carried.sum(2), joints, absolute, carried, share, joint, self.riders.directions, line)

    def _rest(
        self, pose: Tensor, coefficients: Float[Tensor, "B C"]
    ) -> tuple[Int[Tensor, "N K"], Float[Tensor, "B N K"], Float[Tensor, "B N K 3"], Float[Tensor, "B L K 3 C"] | None]:
        """What carries the points, how much, where they rest in B shapes; and the directions of the jaw line's."""
        fixed = self.riders
        moved = (coefficients @ fixed.directions.flatten(0, 2).mT).unflatten(1, fixed.rest.shape)
        share, rest = fixed.share.expand(len(pose), -1, -1), fixed.rest + moved
        if fixed.correctives is not None:
            feature = (pose[:, 1:] - torch.eye(3, dtype=pose.dtype, device=pose.device)).flatten(1)
            rest = rest + torch.einsum("bf,nkcf->bnkc", feature, fixed.correctives)
        if self.contour_riders is None:
            return fixed.joint, share, rest, None
        row = contour_row(absolute_rotation(pose, chain_to_root("neck")))
        index = row[:, None] * CONTOUR + torch.tensor(self.contour, device=row.device)
        rows = self.contour_riders
        own = rows.directions[index]
        moved = (own.flatten(1, 3) @ coefficients[..., None]).view(own.shape[:-1])
        joint = torch.cat([fixed.joint, rows.joint[: index.shape[1]]])  # the jaw line hangs on the same in all rows
        share, rest = torch.cat([share, rows.share[index]], 1), torch.cat([rest, rows.rest[index] + moved], 1)
        return joint, share, rest, own

    def along(self, posed: Posed, unknowns: Unknowns, axes: Float[Tensor, "B N D 3"]) -> Float[Tensor, "B N D C"]:
        """How fast each point moves along given axes (D a point) with each of the unknowns."""
        slope = axes.new_zeros(*axes.shape[:3], unknowns.count)
        first = 0
        for _, run in groupby(unknowns.joints, key=_PART_OF_JOINT.__getitem__):
            joints = list(run)
            mask = self.moves[joints][:, posed.joint]  # J N K
            points = mask.any(0).any(1).nonzero()[:, 0]  # fingers move no feet
            turns = _along_turns(posed, joints, points, mask[:, points].to(axes), axes[:, points])
            slope[..., first : first + 3 * len(joints)].index_copy_(1, points, turns)
            first += 3 * len(joints)
        if unknowns.num_betas or unknowns.num_expression:
            slope[..., first:-3] = self._along_coefficients(posed, unknowns, axes)
        slope[..., -3:] = axes
        return slope

    def _along_coefficients(self, posed: Posed, unknowns: Unknowns, axes: Tensor) -> Float[Tensor, "B N D C"]:
        """How the points move with betas and expression: skinning and kinematics are linear in the rest body."""
        wanted = self._wanted(unknowns)
        directions = self.model.joint_directions[wanted]  # C 55 3
        frame = posed.absolute[:, [max(p, 0) for p in PARENTS]]
        frame[:, 0] = torch.eye(3, dtype=frame.dtype, device=frame.device)  # the root stays where it rests
        by_bone = frame @ bones_of(directions).permute(1, 2, 0)  # B 55 3 C
        by_joint = torch.einsum("jk,bjcs->bkcs", self.moves.to(by_bone), by_bone)
        shift = by_joint - posed.absolute @ directions.permute(1, 2, 0)
        hung = axes @ torch.einsum("bnj,bjcs->bncs", _share_of_joint(posed), shift)
        turned = torch.einsum("bndi,bnkij->bndkj", axes, posed.absolute[:, posed.joint]).flatten(3)
        fixed = len(posed.directions)
        hung[:, :fixed] += torch.einsum(
            "bndr,nrc->bndc", turned[:, :fixed], posed.directions[..., wanted].flatten(1, 2)
        )
        if posed.line is not None:
            hung[:, fixed:] += turned[:, fixed:] @ posed.line[..., wanted].flatten(2, 3)
        return hung

    def _wanted(self, unknowns: Unknowns) -> slice | list[int]:
        """Which of the model's coefficients move; a slice where they are neighbours, which saves a copy."""
        first, last = self.model.num_betas, self.model.num_betas + unknowns.num_expression
        if unknowns.num_betas in (0, first) or not unknowns.num_expression:
            return slice(0 if unknowns.num_betas else first, last if unknowns.num_expression else unknowns.num_betas)
        return [*range(unknowns.num_betas), *range(first, last)]


def _along_turns(
    posed: Posed, joints: list[int], points: Tensor, mask: Float[Tensor, "J n K"], axes: Float[Tensor, "B n D 3"]
) -> Float[Tensor, "B n D T"]:
    """How some points move with some joints' turns. mask: which of a point's carriers hang on a joint.

    Turning joint j about its own axis a moves what hangs on it by a x (x - joint); what hangs on it only in part moves
    in that part.
    """
    hanging = torch.einsum("jnk,bnkc->bnjc", mask, posed.carried[:, points])
    share = torch.einsum("jnk,bnk->bnj", mask, posed.share[:, points])
    arm = hanging - share[..., None] * posed.joints[:, None, joints]
    # axis . (a x arm) = a . (arm x axis), for all three a of a joint at once
    x, y, z = arm[:, :, None].unbind(-1)  # B n 1 J
    gx, gy, gz = axes[..., None, :].unbind(-1)  # B n D 1
    swept = torch.stack([y * gz - z * gy, z * gx - x * gz, x * gy - y * gx], 0)  # 3 B n D J
    frame = posed.absolute[:, joints].permute(2, 3, 0, 1)[..., None, None, :]  # c m B 1 1 J
    return torch.stack([(swept * frame[:, m]).sum(0) for m in range(3)], -1).flatten(3)


def _share_of_joint(posed: Posed) -> Float[Tensor, "B N 55"]:
    dense = posed.share.new_zeros(*posed.share.shape[:2], JOINTS)
    return dense.scatter_add(2, posed.joint.expand(len(dense), -1, -1), posed.share)


def _joint_riders(model: BodyModel) -> Riders:
    correctives = model.pose_directions
    return Riders(
        torch.arange(JOINTS, device=model.v_template.device)[:, None],
        torch.ones_like(model.joint_template[:, :1]),
        model.joint_template[:, None],
        model.joint_directions.permute(1, 2, 0)[:, None],
        None if correctives is None else correctives.new_zeros(JOINTS, 1, 3, len(correctives)),
    )


def _surface_riders(model: BodyModel) -> tuple[Riders, Riders, Riders]:
    """Surface points, inner face, and all rows of the jaw line."""
    ones = model.v_template.new_ones(len(model.vertex_ids), 1)
    return (
        _mixtures(model, model.vertex_ids[:, None], ones),
        _mixtures(model, model.landmark_vertices, model.landmark_barycentric),
        _on_same_joints(
            _mixtures(model, model.contour_vertices.flatten(0, 1), model.contour_barycentric.flatten(0, 1))
        ),
    )


def _padded(riders: Riders, slots: int) -> Riders:
    """With room for so many joints a point."""
    missing = slots - riders.joint.shape[1]
    return replace(riders, **{k: pad(v, (0, 0) * (v.ndim - 2) + (0, missing)) for k, v in riders.rows().items()})


def _carriers(model: BodyModel, vertices: Int[Tensor, "N M"], mixture: Float[Tensor, "N M"]) -> tuple[Tensor, Tensor]:
    """Joints that carry a mixture of vertices "N K", and each vertex's weighted part of it "N K M"."""
    part = model.weights[vertices] * mixture[..., None]  # N M 55
    total = part.sum(1)
    slots = int((total > 0).sum(-1).max())
    most = total.topk(slots, dim=-1)
    joint = torch.where(most.values > 0, most.indices, torch.zeros_like(most.indices))
    return joint, part.gather(2, joint[:, None].expand(-1, part.shape[1], -1)).transpose(1, 2) * (most.values > 0)[
        ..., None
    ]


def _mixtures(model: BodyModel, vertices: Int[Tensor, "N M"], mixture: Float[Tensor, "N M"]) -> Riders:
    joint, part = _carriers(model, vertices, mixture)
    rest = part @ model.v_template[vertices]  # N K 3
    directions = torch.einsum("nkm,cnmd->nkdc", part, model.directions[:, vertices])
    correctives = model.pose_directions
    if correctives is not None:
        correctives = torch.einsum("nkm,fnmd->nkdf", part, correctives.unflatten(1, (-1, 3))[:, vertices])
    return Riders(joint, part.sum(2), rest, directions, correctives)


def _on_same_joints(riders: Riders) -> Riders:
    """The same points with one list of joints for all of them."""
    joints = riders.joint[riders.share > 0].unique()
    belongs = (riders.joint[..., None] == joints).to(riders.share) * (riders.share[..., None] > 0)  # N K U
    return Riders(
        joints.expand(len(riders.joint), -1),
        torch.einsum("nku,nk->nu", belongs, riders.share),
        torch.einsum("nku,nkd->nud", belongs, riders.rest),
        torch.einsum("nku,nkdc->nudc", belongs, riders.directions),
    )
