"""How does a person leave as a rigged, animation-ready GLB? Skeleton, skin, expression morphs, pose, animation.

Bodies come in limner's frames (body: y up, z forward; camera: x right, y down, z into the scene) and leave in glTF's:
y up, right-handed, metres; the camera is at the origin and looks along -z. Only roots need turning for that, since all
else in a skeleton is relative. The mesh that viewers show is v = sum_j w_j A_j (v_rest + morphs - j_rest) + j, linear
blend skinning: with `max_joints` as large as the skin needs, exactly the body model's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.geometry.mesh import vertex_normals
from limner.geometry.rotation import rotation_to_quaternion
from limner.io.atomic import atomic_write, check_finite
from limner.io.frames import Y_UP_FROM_CAMERA, turn_points, turn_rotations
from limner.io.glb_buffer import GlbBuffer

PLAIN_COLOR = (0.56, 0.39, 0.31)
"""Linear RGB of a mesh without colours of its own."""


@dataclass(frozen=True)
class SkinMotion:
    """Local rotations "T J 3 3", root translation "T 3" (camera frame, metres), expression "T E" over T frames."""

    rotations: Float[Tensor, "T J 3 3"]
    transl: Float[Tensor, "T 3"]
    morph_weights: Float[Tensor, "T E"]
    fps: float


@dataclass(frozen=True)
class SkinnedMesh:
    """One person as a skeleton, a skin and expression morphs.

    vertices_rest "V 3", joints_rest "J 3": the shaped T-pose without expression, body frame, metres (where expression
    moves joints, give those of the person's own face). rotations "J 3 3": relative to the parent, roots turn the body
    into camera axes. transl "3": camera frame, metres. morphs "E V 3": metres per unit of morph_weights "E"; pose
    correctives of this one pose may be one more. vertex_colors "V 3": sRGB in [0, 1]. uv "U 2": origin at the bottom
    left (OBJ); uv_faces "F 3" name the uv of every corner and may be left out where U = V.
    """

    vertices_rest: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]
    joints_rest: Float[Tensor, "J 3"]
    parents: Sequence[int]
    joint_names: Sequence[str]
    weights: Float[Tensor, "V J"]
    rotations: Float[Tensor, "J 3 3"]
    transl: Float[Tensor, "3"]
    morphs: Float[Tensor, "E V 3"]
    morph_weights: Float[Tensor, "E"]
    morph_names: Sequence[str]
    vertex_colors: Float[Tensor, "V 3"] | None = None
    uv: Float[Tensor, "U 2"] | None = None
    uv_faces: Int[Tensor, "F 3"] | None = None
    motion: SkinMotion | None = None
    name: str = "person"


def write_glb(path: str | Path, people: SkinnedMesh | Sequence[SkinnedMesh], max_joints: Literal[4, 8] = 4) -> None:
    """Write people as one binary glTF: skeletons in their pose, skins, smooth normals, named expression morphs.

    The rest pose of the skeleton is the shaped T-pose, so animations can be put on it; `motion` becomes an animation.
    Every vertex keeps its `max_joints` strongest joints, renormalised; 8 adds a second set of joints and weights where
    any vertex needs it, which Blender uses and three.js ignores.

    Raises OutputError for numbers that are not finite and for what `atomic_write` names.
    """
    buffer = GlbBuffer()
    roots: list[int] = []
    for person in [people] if isinstance(people, SkinnedMesh) else people:
        check_finite(
            path, vertices=person.vertices_rest, joints=person.joints_rest, rotations=person.rotations,
            transl=person.transl, morphs=person.morphs, morph_weights=person.morph_weights,
        )  # fmt: skip
        joints = _add_skeleton(buffer, person)
        skin = _add_skin(buffer, person, joints)
        mesh = _add_mesh(buffer, person, max_joints)
        node = buffer.add("nodes", name=f"{person.name}_mesh", mesh=mesh, skin=skin)
        # one node above each skeleton, so that Blender makes one armature a person; the mesh stands beside it, for
        # glTF ignores where the node of a skinned mesh stands
        above = buffer.add("nodes", name=person.name, children=[joints[j] for j in _roots(person.parents)])
        roots += [above, node]
        if person.motion is not None:
            _add_animation(buffer, person, person.motion, node, joints)
    buffer.gltf["scene"] = buffer.add("scenes", name="limner", nodes=roots)
    with atomic_write(path) as file:
        file.write(buffer.to_bytes())


def strongest_joints(weights: Float[Tensor, "V J"], limit: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sets of four joints (V 4) and weights (V 4): a vertex's `limit` strongest ones, renormalised to sum to one.

    As many sets as some vertex needs; unused places hold joint 0 with weight 0.
    """
    needed = int((weights > 0).sum(-1).max())
    sets = -(-min(needed, limit) // 4)
    top = weights.double().cpu().topk(min(4 * sets, weights.shape[1]), dim=-1)
    missing = (0, 4 * sets - top.values.shape[1])
    weight = torch.nn.functional.pad(top.values / top.values.sum(-1, keepdim=True), missing)
    joint = torch.nn.functional.pad(top.indices, missing) * (weight > 0)
    kind = np.uint8 if weights.shape[1] <= 256 else np.uint16
    joint_sets = np.split(joint.numpy().astype(kind), sets, axis=1)
    weight_sets = np.split(weight.numpy().astype(np.float32), sets, axis=1)
    return list(zip(joint_sets, weight_sets, strict=True))


def _roots(parents: Sequence[int]) -> list[int]:
    return [j for j, parent in enumerate(parents) if parent < 0]


def _quaternions(rotations: Float[Tensor, "T J 3 3"], parents: Sequence[int]) -> Float[Tensor, "T J 4"]:
    """Local rotations as glTF's x y z w, roots turned to y-up, float64.

    A rotation has two quaternions: signs are chosen so that none jumps from one frame to the next.
    """
    local = rotations.double().clone()
    local[:, _roots(parents)] = turn_rotations(Y_UP_FROM_CAMERA, local[:, _roots(parents)])
    quaternions = rotation_to_quaternion(local)
    turned_over = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True) < 0
    sign = torch.where(turned_over, -1.0, 1.0).to(quaternions).cumprod(0)
    return torch.cat([quaternions[:1], quaternions[1:] * sign])


def _add_skeleton(buffer: GlbBuffer, person: SkinnedMesh) -> list[int]:
    """Add one posed node a joint; their indices."""
    first = len(buffer.gltf.get("nodes", []))
    rest = person.joints_rest.double()
    rooted = turn_points(Y_UP_FROM_CAMERA, rest + person.transl)
    quaternions = _quaternions(person.rotations[None], person.parents)[0]
    for j, parent in enumerate(person.parents):
        place = rooted[j] if parent < 0 else rest[j] - rest[parent]
        children = [first + child for child, p in enumerate(person.parents) if p == j]
        below = {"children": children} if children else {}  # an empty list is not allowed
        turn = quaternions[j].tolist()
        buffer.add("nodes", name=person.joint_names[j], translation=place.tolist(), rotation=turn, **below)
    return list(range(first, first + len(person.parents)))


def _add_skin(buffer: GlbBuffer, person: SkinnedMesh, joints: list[int]) -> int:
    """Add the skin that binds the mesh to the joints in the T-pose, where no joint is turned; its index."""
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    inverse_bind[:, 3, :3] = -person.joints_rest.cpu().numpy()  # glTF stores columns, so this is the translation
    accessor = buffer.values(inverse_bind.reshape(-1, 16))
    return buffer.add("skins", name=person.name, joints=joints, inverseBindMatrices=accessor)


def _add_mesh(buffer: GlbBuffer, person: SkinnedMesh, max_joints: int) -> int:
    """Add the mesh in its rest pose with its morphs at the person's weights; its index."""
    source, faces, uv = _cut_at_seams(person)
    normals = vertex_normals(person.vertices_rest[None], person.faces)[0].cpu().numpy()
    normals[np.linalg.norm(normals, axis=1) < 0.5] = (0, 1, 0)  # of vertices without a triangle: glTF wants length 1
    attributes = {
        "POSITION": buffer.vertices(person.vertices_rest.cpu().numpy()[source], bounds=True),
        "NORMAL": buffer.vertices(normals[source]),
    }
    for k, (joint, weight) in enumerate(strongest_joints(person.weights, max_joints)):
        attributes[f"JOINTS_{k}"] = buffer.vertices(joint[source])
        attributes[f"WEIGHTS_{k}"] = buffer.vertices(weight[source])
    if uv is not None:
        attributes["TEXCOORD_0"] = buffer.vertices(uv)
    if person.vertex_colors is not None:
        attributes["COLOR_0"] = buffer.vertices(_linear_rgb(person.vertex_colors)[source])
    morphs = person.morphs.cpu().numpy().astype(np.float32)
    primitive = {
        "attributes": attributes,
        "indices": buffer.indices(faces),
        "material": _material(buffer, colored=person.vertex_colors is not None),
    }
    if not len(morphs):
        return buffer.add("meshes", name=person.name, primitives=[primitive])
    primitive["targets"] = [{"POSITION": buffer.vertices(morph[source], bounds=True)} for morph in morphs]
    weights, names = person.morph_weights.tolist(), {"targetNames": list(person.morph_names)}
    return buffer.add("meshes", name=person.name, primitives=[primitive], weights=weights, extras=names)


def _cut_at_seams(person: SkinnedMesh) -> tuple[np.ndarray | slice, np.ndarray, np.ndarray | None]:
    """glTF has one uv a vertex: repeat vertices that have several.

    Returns the body's vertex that each written vertex repeats, the faces, and the uv with glTF's origin (top left).
    """
    faces = person.faces.cpu().numpy()
    if person.uv is None:
        return slice(None), faces, None
    uv = person.uv.cpu().numpy().astype(np.float32) * (1, -1) + (0, 1)
    if person.uv_faces is None:
        return slice(None), faces, uv.astype(np.float32)
    corners = np.stack([faces.reshape(-1), person.uv_faces.cpu().numpy().reshape(-1)], -1)
    pairs, corner_pair = np.unique(corners, axis=0, return_inverse=True)
    return pairs[:, 0], corner_pair.reshape(-1, 3), uv[pairs[:, 1]].astype(np.float32)


def _linear_rgb(srgb: Float[Tensor, "V 3"]) -> np.ndarray:
    """glTF's vertex colours are linear (IEC 61966-2-1 decoding)."""
    value = srgb.double().clamp(0, 1)
    linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear.float().cpu().numpy()


def _material(buffer: GlbBuffer, colored: bool) -> int:
    """Index of the material for coloured or plain meshes, added at its first use."""
    name = "vertex_colors" if colored else "plain"
    names = [material["name"] for material in buffer.gltf.get("materials", [])]
    if name in names:
        return names.index(name)
    color = [1.0, 1.0, 1.0, 1.0] if colored else [*PLAIN_COLOR, 1.0]
    surface = {"baseColorFactor": color, "metallicFactor": 0.0, "roughnessFactor": 0.7}
    # double-sided: one can look into an open mouth
    return buffer.add("materials", name=name, pbrMetallicRoughness=surface, doubleSided=True)


def _add_animation(
    buffer: GlbBuffer, person: SkinnedMesh, motion: SkinMotion, mesh_node: int, joints: list[int]
) -> None:
    """Add the motion as one animation: every joint's turn, the roots' way, the expression."""
    frames = len(motion.rotations)
    times = buffer.values((np.arange(frames) / motion.fps).astype(np.float32)[:, None], bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def channel(node: int, what: str, values: Tensor) -> None:
        output = buffer.values(values.float().cpu().numpy().reshape(-1, values.shape[-1]))
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": what}})
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})

    quaternions = _quaternions(motion.rotations, person.parents)
    for j, node in enumerate(joints):
        channel(node, "rotation", quaternions[:, j])
    for j in _roots(person.parents):
        channel(joints[j], "translation", turn_points(Y_UP_FROM_CAMERA, motion.transl + person.joints_rest[j]))
    if motion.morph_weights.shape[1]:
        channel(mesh_node, "weights", motion.morph_weights[..., None])
    buffer.add("animations", name=person.name, samplers=samplers, channels=channels)
