"""The body layer: SMPL-X parameters in, posed mesh, joints and keypoints out."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from limner.body.assets import BodyAssets, read_body_assets
from limner.body.keypoints import keypoint_indices
from limner.body.params import BodyParams, rest_params
from limner.body.skeleton import PARENTS, chain_to_root
from limner.body.skinning import absolute_rotation, blend, pose_joints
from limner.errors import BodyModelError


@dataclass(frozen=True)
class BodyMesh:
    """Posed people: vertices "B V 3" and joints "B 55 3" in the camera frame, metres."""

    vertices: Float[Tensor, "B V 3"]
    joints: Float[Tensor, "B 55 3"]

    def __len__(self) -> int:
        return len(self.vertices)


USUAL_BETAS, USUAL_EXPRESSIONS = 16, 10
"""So many coefficients of a user's file are used unless asked otherwise; of the embedded body all."""
PERSON_BETAS = 16
"""Of the embedded body, the betas from here on shape the head alone."""


class BodyModel(nn.Module):
    """SMPL-X as a differentiable, batched layer (Pavlakos et al., CVPR 2019).

    v = template + shape + expression (+ pose correctives where the file has them), joints regressed from v, then linear
    blend skinning. Joints are linear in betas and expression, so `joints` alone never builds the mesh.
    """

    parents = PARENTS
    v_template: Tensor  # V 3
    directions: Tensor  # S+E V 3
    joint_template: Tensor  # 55 3
    joint_directions: Tensor  # S+E 55 3
    weights: Tensor  # V 55
    skin_weights: Tensor  # V K
    skin_joints: Tensor  # V K
    faces: Tensor  # F 3
    hand_means: Tensor  # 2 45
    vertex_ids: Tensor  # 21
    landmark_vertices: Tensor  # 51 3
    landmark_barycentric: Tensor  # 51 3
    contour_vertices: Tensor  # 79 17 3
    contour_barycentric: Tensor  # 79 17 3
    pose_directions: Tensor | None  # 486 V*3

    def __init__(
        self,
        assets: BodyAssets,
        num_betas: int | None = None,
        num_expression: int | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.num_betas = _limit("betas", num_betas, assets.shape_directions.shape[-1], assets, USUAL_BETAS)
        self.num_expression = _limit(
            "expression coefficients", num_expression, assets.expression_directions.shape[-1], assets, USUAL_EXPRESSIONS
        )

        def constant(name: str, array: object, kind: torch.dtype = dtype) -> None:
            self.register_buffer(name, torch.as_tensor(array).to(kind), persistent=False)

        shape = torch.as_tensor(assets.shape_directions)[..., : self.num_betas]
        expression = torch.as_tensor(assets.expression_directions)[..., : self.num_expression]
        template = torch.as_tensor(assets.v_template)
        directions = torch.cat([shape, expression], -1)
        regressor = torch.as_tensor(assets.joint_regressor)
        constant("v_template", template)
        constant("directions", directions.permute(2, 0, 1).contiguous())  # S+E V 3
        constant("joint_template", regressor @ template)
        constant("joint_directions", torch.einsum("jv,vcs->sjc", regressor, directions))
        constant("weights", assets.weights)
        count = max(1, int((assets.weights > 0).sum(-1).max()))
        top = torch.as_tensor(assets.weights).topk(count, dim=-1)
        constant("skin_weights", top.values)
        constant("skin_joints", top.indices, torch.int64)
        constant("faces", assets.faces, torch.int64)
        constant("hand_means", assets.hand_means)
        constant("vertex_ids", assets.vertex_ids, torch.int64)
        constant("landmark_vertices", assets.faces[assets.landmark_faces], torch.int64)  # 51 3
        constant("landmark_barycentric", assets.landmark_barycentric)
        constant("contour_vertices", assets.faces[assets.contour_faces], torch.int64)  # 79 17 3
        constant("contour_barycentric", assets.contour_barycentric)
        if assets.pose_directions is None:
            self.pose_directions = None
        else:
            constant("pose_directions", torch.as_tensor(assets.pose_directions).permute(2, 0, 1).flatten(1))
        self.assets = assets

    def __repr__(self) -> str:
        sizes = (
            f"{len(self.v_template)} vertices, {self.num_betas} betas, {self.num_expression} expression coefficients"
        )
        return f"BodyModel({self.assets.path.name}: {sizes})"

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        num_betas: int | None = None,
        num_expression: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "BodyModel":
        """The embedded body, or the user's SMPL-X file; see `read_body_assets` for errors.

        Defaults: all directions of the embedded body; of other files up to 16 for shape and 10 for expression.
        """
        return cls(read_body_assets(path), num_betas, num_expression, dtype)

    @property
    def is_limners(self) -> bool:
        """Whether this is limner's own body, which the networks speak of."""
        return self.assets.is_limners

    @property
    def name(self) -> str:
        """Whose `betas` and `expression` these are, as files say it: `limner` or `smplx`."""
        return "limner" if self.is_limners else "smplx"

    def keypoints_only(self, contour: bool = True) -> "BodyModel":
        """The same model with no more vertices than `keypoints144` reads: a tenth of the work, no mesh.

        Without `contour` a hundredth; the 17 jaw-line points are then void.
        """
        names = ("vertex_ids", "landmark_vertices", "contour_vertices")[: 3 if contour else 2]
        used = torch.cat([getattr(self, name).flatten() for name in names]).unique()
        small = self.restricted(used)
        small.contour_vertices = torch.zeros_like(self.contour_vertices)
        for name in names:
            setattr(small, name, torch.searchsorted(used, getattr(self, name)))
        return small

    def restricted(self, used: Int[Tensor, "N"]) -> "BodyModel":
        """The same people with only some vertices (ascending indices); `faces` and keypoint indices are void."""
        small = copy.copy(self)
        small._buffers = dict(self._buffers)
        small.v_template, small.weights = self.v_template[used], self.weights[used]
        small.skin_weights, small.skin_joints = self.skin_weights[used], self.skin_joints[used]
        small.directions = self.directions[:, used]
        small.faces = self.faces[:0]
        if self.pose_directions is not None:
            small.pose_directions = self.pose_directions.unflatten(1, (-1, 3))[:, used].flatten(1)
        return small

    def rest(self, count: int = 1) -> BodyParams:
        """T-pose and mean shape in this model's sizes."""
        return rest_params(count, self.num_betas, self.num_expression, self.v_template.dtype, self.v_template.device)

    def _coefficients(self, params: BodyParams) -> Float[Tensor, "B C"]:
        """Betas and expression side by side; shorter ones are padded with zeros, longer ones are an error."""
        parts = []
        for name, have, want in (
            ("betas", params.betas, self.num_betas),
            ("expression", params.expression, self.num_expression),
        ):
            if have.shape[-1] > want:
                raise BodyModelError(
                    f"got {have.shape[-1]} {name}, the body model {self.assets.path.name} was loaded with {want}: "
                    f"load it with more, or cut the parameters."
                )
            parts.append(nn.functional.pad(have, (0, want - have.shape[-1])))
        return torch.cat(parts, -1)

    def rest_joints(self, params: BodyParams) -> Float[Tensor, "B 55 3"]:
        """Joints of the shaped T-pose, body frame, metres."""
        return self.joint_template + torch.einsum("bs,sjc->bjc", self._coefficients(params), self.joint_directions)

    def rest_vertices(self, params: BodyParams) -> Float[Tensor, "B V 3"]:
        """Vertices of the shaped T-pose with expression, body frame, metres."""
        coefficients = self._coefficients(params)
        offsets = coefficients @ self.directions.flatten(1)
        return self.v_template + offsets.unflatten(-1, (-1, 3))

    def forward(self, params: BodyParams) -> BodyMesh:
        """Posed mesh and joints in the camera frame (metres), `transl` added."""
        rotations = params.full_pose()
        rest_joints = self.rest_joints(params)
        absolute, posed = pose_joints(rotations, rest_joints)
        vertices = self.rest_vertices(params)
        if self.pose_directions is not None:
            eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = (rotations[:, 1:] - eye).flatten(1)
            vertices = vertices + (feature @ self.pose_directions).unflatten(-1, (-1, 3))
        vertices = blend(vertices, rest_joints, absolute, posed, self.skin_weights, self.skin_joints)
        shift = params.transl[:, None]
        return BodyMesh(vertices + shift, posed + shift)

    def joints(self, params: BodyParams) -> Float[Tensor, "B 55 3"]:
        """Posed joints only, camera frame, metres: far cheaper than the mesh."""
        return pose_joints(params.full_pose(), self.rest_joints(params))[1] + params.transl[:, None]

    def keypoints144(self, mesh: BodyMesh, params: BodyParams) -> Float[Tensor, "B 144 3"]:
        """ExPose's 144 keypoints of posed people: joints, surface points, face landmarks, jaw contour."""
        face = (mesh.vertices[:, self.landmark_vertices] * self.landmark_barycentric[..., None]).sum(2)
        row = contour_row(absolute_rotation(params.full_pose(), chain_to_root("neck")))
        people = torch.arange(len(mesh), device=row.device)[:, None, None]
        corners = mesh.vertices[people, self.contour_vertices[row]]
        contour = (corners * self.contour_barycentric[row][..., None]).sum(2)
        return torch.cat([mesh.joints, mesh.vertices[:, self.vertex_ids], face, contour], 1)

    def keypoints(self, mesh: BodyMesh, params: BodyParams, name: str) -> Float[Tensor, "B K 3"]:
        """A named set of `limner.body.keypoints.KEYPOINT_SETS`, camera frame, metres."""
        return self.keypoints144(mesh, params)[:, list(keypoint_indices(name))]


def contour_row(neck: Float[Tensor, "B 3 3"]) -> Int[Tensor, "B"]:
    """Row of the contour table for an absolute neck rotation: the head's yaw, one row a degree (expose-facts 9).

    Rows 0..39 are yaws of 0..-39 degrees, 40..78 those of 1..39 degrees.
    """
    yaw = torch.atan2(-neck[:, 2, 0], (neck[:, 0, 0].square() + neck[:, 1, 0].square()).sqrt())
    degrees = torch.round((-torch.rad2deg(yaw)).clamp(max=39)).long()
    return torch.where(degrees >= 0, degrees, torch.where(degrees < -39, 78, 39 - degrees))


def _limit(what: str, asked: int | None, available: int, assets: BodyAssets, usual: int) -> int:
    if asked is None:
        return available if assets.is_limners else min(usual, available)
    if asked > available:
        raise BodyModelError(
            f"asked for {asked} {what}, {assets.path} has {available}: ask for fewer, or use a larger file."
        )
    return asked
