"""The same places on two bodies. Two body models with SMPL-X's joints and keypoints, at rest."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import FINGERS, JOINT, JOINT_NAMES, PARENTS
from limner.geometry.align import similarity
from limner.geometry.mesh import barycentric_in, closest_on_triangles, face_vectors, vertex_normals

INNER_REGIONS = ("mouth_inside", "sclera", "iris", "pupil", "tongue", "teeth", "lash_line")
"""What lies under the skin, or is modelled differently from body to body."""
FACE_REGIONS = ("face", "lips", "eyebrow", "eyelid")
MAX_TURN = 0.6
"""Radians: rest poses of people differ by less; beyond it the two skeletons are not alike and stay unturned."""
MAX_DISTANCE, SAME_WAY = 0.03, 0.5
"""Places farther apart (metres), or that face another way (cosine), are not the same place."""
LEAST_MATCHED = 0.5
"""A surface of which less was found again is another kind of thing."""
NEAREST = 4
CHUNK = 1000
"""Points that are looked at together."""
CORNERS = 24
"""Triangles looked at about a vertex; no mesh of a body has more."""


@dataclass(frozen=True)
class SurfaceMatch:
    """N places that are the same on both surfaces.

    vertex "N" of the first body; corners "N 3" and barycentric "N 3": the place on the second; area "N" the share of
    the first body's skin that it stands for; face "N": whether it is in the face.
    """

    vertex: Int[Tensor, "N"]
    corners: Int[Tensor, "N 3"]
    barycentric: Float[Tensor, "N 3"]
    area: Float[Tensor, "N"]
    face: Bool[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.vertex)


def rest_keypoints(model: BodyModel) -> Float[Tensor, "127 3"]:
    """Joints, surface keypoints and the 51 fixed face landmarks of the mean body at rest, body frame, metres."""
    face = (model.v_template[model.landmark_vertices] * model.landmark_barycentric[..., None]).sum(1)
    return torch.cat([model.joint_template, model.v_template[model.vertex_ids], face])


def rest_turns(source: BodyModel, target: BodyModel) -> Float[Tensor, "55 3 3"]:
    """How bones of the first body's rest pose have to turn, in body axes, to lie as in the second's.

    T-poses differ by a few degrees: arms, legs, feet, fingers. The trunk and head are upright in all of them, and their
    joints, which lie inside, differ more between models than between poses: they are not turned.
    """
    here, there = rest_keypoints(source).double(), rest_keypoints(target).double()
    turns = torch.eye(3, dtype=torch.float64).repeat(len(JOINT_NAMES), 1, 1)
    for name, ends in _bones().items():
        index, to = JOINT[name], list(indices_of(ends))
        a = torch.nn.functional.normalize(here[to] - here[index], dim=-1)
        b = torch.nn.functional.normalize(there[to] - there[index], dim=-1)
        # the rotation nearest to all directions; a trace of identity decides what they leave open: the twist
        u, _, vt = torch.linalg.svd(b.mT @ a + 1e-4 * torch.eye(3, dtype=a.dtype))
        turn = u @ torch.diag(torch.tensor([1.0, 1.0, float(torch.linalg.det(u @ vt).sign())], dtype=a.dtype)) @ vt
        angle = torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1))
        if bool(torch.isfinite(angle)) and float(angle) < MAX_TURN:
            turns[index] = turn
    for side in ("left", "right"):
        turns[JOINT[f"{side}_foot"]] = turns[JOINT[f"{side}_ankle"]]
    return turns


def _bones() -> dict[str, tuple[str, ...]]:
    """Joints whose bones are compared, and where these lead."""
    bones: dict[str, tuple[str, ...]] = {}
    for side in ("left", "right"):
        chain = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")
        for names in chain:
            bones |= {f"{side}_{a}": (f"{side}_{b}",) for a, b in zip(names, names[1:], strict=False)}
        bones[f"{side}_ankle"] = tuple(f"{side}_{end}" for end in ("big_toe", "small_toe", "heel"))
        bones[f"{side}_wrist"] = tuple(f"{side}_{finger}1" for finger in FINGERS if finger != "thumb")
        for finger in FINGERS:
            along = [f"{side}_{finger}{end}" for end in ("1", "2", "3", "")]
            bones |= {a: (b,) for a, b in zip(along, along[1:], strict=False)}
    return bones


def turned(params: BodyParams, turns: Float[Tensor, "55 3 3"]) -> Float[Tensor, "B 55 3 3"]:
    """Local rotations of the second body that pose its bones as the first's are; `turns`: see `rest_turns`."""
    pose, turns = params.full_pose(), turns.to(params.betas)
    above = torch.stack(
        [
            turns[max(parent, 0)] if parent >= 0 else torch.eye(3, dtype=turns.dtype, device=turns.device)
            for parent in PARENTS
        ]
    )
    return above @ pose @ turns.mT


def match_surfaces(
    source: BodyModel, target: BodyModel, turns: Float[Tensor, "55 3 3"], used: Int[Tensor, "N"]
) -> SurfaceMatch | None:
    """The same places of two mean bodies at rest; None where the surfaces are too unlike.

    used: vertices of the first body to look for. Of equal meshes every vertex is itself. Otherwise the first body is
    laid over the second region by region (each bone turned, scaled and moved onto the other's, the head by its
    landmarks), and each vertex goes to the closest point of the surface that faces the same way.
    """
    area = _vertex_areas(source)[used]
    face = _in_regions(source, FACE_REGIONS)[used]
    if source.faces.shape == target.faces.shape and torch.equal(source.faces, target.faces):
        corners = used[:, None].expand(-1, 3)
        barycentric = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(len(used), 3)
        return SurfaceMatch(used, corners, barycentric, area, face)
    laid = _laid_over(source, target, turns)
    normals = vertex_normals(laid[None].float(), source.faces)[0, used]
    corners, barycentric, distance, facing = _closest(laid[used], normals, target)
    good = (distance < MAX_DISTANCE) & (facing > SAME_WAY)
    if float((area * good).sum() / area.sum().clamp_min(1e-12)) < LEAST_MATCHED:
        return None
    return SurfaceMatch(used[good], corners[good], barycentric[good], area[good], face[good])


def skin_vertices(model: BodyModel) -> Int[Tensor, "N"]:
    """The vertices of limner's body that anybody can see."""
    return (~_in_regions(model, INNER_REGIONS)).nonzero()[:, 0]


def _in_regions(model: BodyModel, names: tuple[str, ...]) -> Bool[Tensor, "V"]:
    extra = model.assets.extra
    numbers = [index for index, name in enumerate(extra["region_names"].tolist()) if name in names]
    return torch.isin(torch.as_tensor(extra["region"]).long(), torch.tensor(numbers))


def _vertex_areas(model: BodyModel) -> Float[Tensor, "V"]:
    """Square metres of the mean body that each vertex stands for."""
    third = face_vectors(model.v_template[None].double(), model.faces)[0].norm(dim=-1) / 6
    return torch.zeros(len(model.v_template), dtype=torch.float64).index_add_(
        0, model.faces.flatten(), third.repeat_interleave(3)
    )


def _laid_over(source: BodyModel, target: BodyModel, turns: Float[Tensor, "55 3 3"]) -> Float[Tensor, "V 3"]:
    """The first body's mean mesh, each bone turned, scaled and moved onto the second's, blended as its skin is."""
    here, there = rest_keypoints(source).double(), rest_keypoints(target).double()
    scales = torch.ones(len(JOINT_NAMES), dtype=torch.float64)
    trunk = (there[JOINT["neck"]] - there[0]).norm() / (here[JOINT["neck"]] - here[0]).norm()
    for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar"):
        scales[JOINT[name]] = trunk
    for name, ends in _bones().items():
        to = list(indices_of(ends))
        lengths = [(points[to] - points[JOINT[name]]).norm(dim=-1).mean() for points in (there, here)]
        scales[JOINT[name]] = (lengths[0] / lengths[1]).clamp(0.6, 1.6)
    for side in ("left", "right"):
        scales[JOINT[f"{side}_foot"]] = scales[JOINT[f"{side}_ankle"]]
    matrices = scales[:, None, None] * turns
    joints = len(JOINT_NAMES)
    shifts = there[:joints] - (matrices @ here[:joints, :, None])[..., 0]
    head = [JOINT[name] for name in ("head", "jaw", "left_eye_smplx", "right_eye_smplx")]
    marks = list(range(joints, joints + 5)) + list(range(joints + 21, len(here)))  # nose, eyes, ears, landmarks
    scale, rotation, shift = similarity(here[None, marks], there[None, marks])
    matrices[head], shifts[head] = scale * rotation[0], shift[0]
    weights = source.weights.double()
    blended = (weights @ matrices.flatten(1)).unflatten(1, (3, 3))
    return (blended @ source.v_template.double()[..., None])[..., 0] + weights @ shifts


def _closest(
    points: Float[Tensor, "N 3"], normals: Float[Tensor, "N 3"], target: BodyModel
) -> tuple[Int[Tensor, "N 3"], Float[Tensor, "N 3"], Float[Tensor, "N"], Float[Tensor, "N"]]:
    """The closest points on the triangles about the nearest vertices that face the same way: corners, barycentric
    coordinates, distance, and how much they face the same way (cosine)."""
    vertices, faces = target.v_template.double(), target.faces
    there = vertex_normals(vertices[None], faces)[0]
    # a normal counts as some centimetres: the far side of a finger or an ear is not near
    places = torch.cat([vertices, 0.03 * there], 1)
    looked_at = torch.cat([points, 0.03 * normals.double()], 1).split(CHUNK)
    nearest = torch.cat([torch.cdist(some, places).topk(NEAREST, largest=False).indices for some in looked_at])
    around = torch.as_tensor(_triangles_of_vertices(faces.numpy(), len(vertices)))[nearest].flatten(1)
    rows, columns = (around >= 0).nonzero(as_tuple=True)
    triangles = vertices[faces[around[rows, columns]]]
    found = closest_on_triangles(points[rows], triangles)
    gap = torch.full(around.shape, torch.inf, dtype=points.dtype)
    gap[rows, columns] = (found - points[rows]).norm(dim=-1)
    distance, best = gap.min(1)
    place = torch.zeros_like(around)
    place[rows, columns] = torch.arange(len(rows))
    pick = place[torch.arange(len(points)), best]
    corners = faces[around[torch.arange(len(points)), best]]
    # triangles without area: any of their corners will do
    shares = torch.nan_to_num(barycentric_in(found[pick], triangles[pick]), nan=1 / 3).clamp(0, 1)
    shares = shares / shares.sum(1, keepdim=True).clamp_min(1e-9)
    facing = (there[corners].mean(1) * normals.double()).sum(-1)
    return corners, shares, distance, facing


def _triangles_of_vertices(faces: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the triangles about each vertex, "V CORNERS", filled up with -1."""
    order = np.argsort(faces, axis=None, kind="stable")
    owner = faces.reshape(-1)[order]
    first = np.searchsorted(owner, np.arange(count))
    place = np.arange(len(owner)) - first[owner]
    table = np.full((count, CORNERS), -1)
    kept = place < CORNERS
    table[owner[kept], place[kept]] = order[kept] // 3
    return table
