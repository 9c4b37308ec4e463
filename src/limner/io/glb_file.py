"""GLB files: a person rigged and ready for animation. Skeleton, skin, expression morphs, pose.

Bodies come in limner's frames (body: y up, z forward; camera: x right, y down, z into the scene) and leave in glTF's:
y up, right-handed, metres; the camera is at the origin and looks along -z. Only roots need turning for that, since all
else in a skeleton is relative. The mesh that viewers show is v = sum_j w_j A_j (v_rest + morphs - j_rest) + j, linear
blend skinning: where no vertex hangs on more than four joints, exactly the body model's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from limner.geometry.mesh import vertex_normals
from limner.geometry.rotation import rotation_to_quaternion
from limner.io.atomic import atomic_write, check_finite
from limner.io.frames import Y_UP_FROM_CAMERA, turn_points, turn_rotations
from limner.io.glb_buffer import GlbBuffer

PLAIN_COLOR = (0.56, 0.39, 0.31)
"""Linear RGB."""


@dataclass(frozen=True)
class SkinnedMesh:
    """One person as a skeleton, a skin and expression morphs.

    vertices_rest "V 3", joints_rest "J 3": the shaped T-pose without expression, body frame, metres (where expression
    moves joints, give those of the person's own face). rotations "J 3 3": relative to the parent, roots turn the body
    into camera axes. transl "3": camera frame, metres. morphs "E V 3": metres per unit of morph_weights "E"; pose
    correctives of this one pose may be one more.
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
    name: str = "person"


def write_glb(path: str | Path, people: SkinnedMesh | Sequence[SkinnedMesh]) -> None:
    """Write people as one binary glTF: skeletons in their pose, skins, smooth normals, named expression morphs.

    The rest pose of the skeleton is the shaped T-pose, so animations can be put on it. Every vertex keeps its four
    strongest joints, renormalised: more of them three.js ignores.

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
        mesh = _add_mesh(buffer, person)
        node = buffer.add("nodes", name=f"{person.name}_mesh", mesh=mesh, skin=skin)
        # one node above each skeleton, so that Blender makes one armature a person; the mesh stands beside it, for
        # glTF ignores where the node of a skinned mesh stands
        above = buffer.add("nodes", name=person.name, children=[joints[j] for j in _roots(person.parents)])
        roots += [above, node]
    buffer.gltf["scene"] = buffer.add("scenes", name="limner", nodes=roots)
    with atomic_write(path) as file:
        file.write(buffer.to_bytes())


def strongest_joints(weights: Float[Tensor, "V J"]) -> tuple[np.ndarray, np.ndarray]:
    """A vertex's four strongest joints (V 4) and their weights (V 4), renormalised to sum to one.

    Unused places hold joint 0 with weight 0.
    """
    top = weights.double().cpu().topk(4, dim=-1)
    joint = (top.indices * (top.values > 0)).numpy().astype(np.uint8 if weights.shape[1] <= 256 else np.uint16)
    return joint, (top.values / top.values.sum(-1, keepdim=True)).float().numpy()


def _roots(parents: Sequence[int]) -> list[int]:
    return [j for j, parent in enumerate(parents) if parent < 0]


def _add_skeleton(buffer: GlbBuffer, person: SkinnedMesh) -> list[int]:
    """Add one posed node a joint; their indices."""
    first = len(buffer.gltf.get("nodes", []))
    rest = person.joints_rest.double()
    rooted = turn_points(Y_UP_FROM_CAMERA, rest + person.transl)
    local = person.rotations.double().clone()
    local[_roots(person.parents)] = turn_rotations(Y_UP_FROM_CAMERA, local[_roots(person.parents)])
    quaternions = rotation_to_quaternion(local)  # x y z w, as in glTF
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


def _add_mesh(buffer: GlbBuffer, person: SkinnedMesh) -> int:
    """Add the mesh in its rest pose with its morphs at the person's weights; its index."""
    normals = vertex_normals(person.vertices_rest[None], person.faces)[0].cpu().numpy()
    normals[np.linalg.norm(normals, axis=1) < 0.5] = (0, 1, 0)  # of vertices without a triangle: glTF wants length 1
    joint, weight = strongest_joints(person.weights)
    morphs = person.morphs.cpu().numpy().astype(np.float32)
    primitive: dict[str, Any] = {
        "attributes": {
            "POSITION": buffer.vertices(person.vertices_rest.cpu().numpy(), bounds=True),
            "NORMAL": buffer.vertices(normals),
            "JOINTS_0": buffer.vertices(joint),
            "WEIGHTS_0": buffer.vertices(weight),
        },
        "indices": buffer.indices(person.faces.cpu().numpy()),
        "material": _material(buffer),
    }
    if not len(morphs):
        return buffer.add("meshes", name=person.name, primitives=[primitive])
    primitive["targets"] = [{"POSITION": buffer.vertices(morph, bounds=True)} for morph in morphs]
    weights, names = person.morph_weights.tolist(), {"targetNames": list(person.morph_names)}
    return buffer.add("meshes", name=person.name, primitives=[primitive], weights=weights, extras=names)


def _material(buffer: GlbBuffer) -> int:
    """Index of the one material, added at its first use."""
    if "materials" in buffer.gltf:
        return 0
    surface = {"baseColorFactor": [*PLAIN_COLOR, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    # double-sided: one can look into an open mouth
    return buffer.add("materials", name="plain", pbrMetallicRoughness=surface, doubleSided=True)
