"""Bodies that stand for a user's SMPL-X files: limner's own in their layouts, and one of another make."""

from functools import cache

import numpy as np

from limner.body.assets import embedded_body_path
from limner.body.skeleton import JOINT, PARENTS

Arrays = dict[str, np.ndarray]
KEPT = (
    "v_template", "J_regressor", "weights", "kintree_table", "f", "vertex_ids", "lmk_faces_idx", "lmk_bary_coords",
    "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords", "hands_meanl", "hands_meanr", "hands_componentsl",
    "hands_componentsr",
)  # fmt: skip
PERSON = 16


@cache
def _embedded() -> Arrays:
    with np.load(embedded_body_path()) as file:
        return {key: file[key] for key in file.files}


def smplx_like(shapes: int = 300, expressions: int = 100) -> Arrays:
    """limner's body in SMPL-X's layout: the person's shapes (no head's), expressions; zeros where it has no more."""
    raw = _embedded()
    directions = raw["shapedirs"].astype(np.float32)
    own = int(raw["num_betas"])
    full = np.zeros((*directions.shape[:2], shapes + expressions), np.float32)
    count, faces = min(PERSON, shapes), min(expressions, int(raw["num_expression"]))
    full[..., :count] = directions[..., :count]
    full[..., shapes : shapes + faces] = directions[..., own : own + faces]
    return {"shapedirs": full} | {key: raw[key] for key in KEPT}


@cache
def other_make(seed: int = 0) -> Arrays:
    """A body of another topology (fewer vertices, in another order), rest pose (arms, legs, thumbs some degrees
    off), origin (as SMPL-X's, above the pelvis), mean and shape space (mixed directions); 16 + 10 directions."""
    g = np.random.default_rng(seed)
    like = smplx_like(PERSON, 20)
    weights = like["weights"].astype(np.float64)
    directions = like["shapedirs"].astype(np.float64)
    template = like["v_template"] + directions[..., :PERSON] @ (0.5 * g.normal(size=PERSON))
    mixed = directions[..., :PERSON] @ np.linalg.qr(g.normal(size=(PERSON, PERSON)))[0]
    directions = np.concatenate([mixed, directions[..., PERSON : PERSON + 10]], -1)

    joints = like["J_regressor"] @ template
    matrices, shifts = _rest_turns(joints)
    blended = (weights @ matrices.reshape(55, 9)).reshape(-1, 3, 3)
    template = np.einsum("vab,vb->va", blended, template) + weights @ shifts + np.array([0.003, -0.35, 0.01])
    directions = np.einsum("vab,vbc->vac", blended, directions)
    return _collapsed(like, template, directions, g)


def in_layout(arrays: Arrays, shapes: int, expressions: int) -> Arrays:
    """A body of 16 + 10 directions in the layout of a file with more or fewer: zeros for more."""
    directions, full = arrays["shapedirs"], np.zeros((*arrays["shapedirs"].shape[:2], shapes + expressions), np.float32)
    count = min(PERSON, shapes)
    full[..., :count] = directions[..., :count]
    full[..., shapes : shapes + 10] = directions[..., PERSON : PERSON + 10]
    return arrays | {"shapedirs": full}


def _rest_turns(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every bone's turn and shift from limner's rest pose."""
    degrees = {"shoulder": (0, 0, 4), "elbow": (0, 3, 0), "hip": (0, 0, 3), "knee": (4, 0, 0), "index1": (0, 0, -6)}
    matrices, shifts = np.zeros((55, 3, 3)), np.zeros((55, 3))
    for name, joint in JOINT.items():
        parent = PARENTS[joint]
        above = np.eye(3) if parent < 0 else matrices[parent]
        angles = np.radians(degrees.get(name.split("_", 1)[-1], (0, 0, 0)))
        if name.startswith("right_"):
            angles = angles * np.array([1, -1, -1])
        matrices[joint] = above @ _rotation(angles)
        place = joints[joint] if parent < 0 else above @ joints[joint] + shifts[parent]
        shifts[joint] = place - matrices[joint] @ joints[joint]
    return matrices, shifts


def _rotation(vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    x, y, z = vector / max(angle, 1e-12)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def _collapsed(like: Arrays, template: np.ndarray, directions: np.ndarray, g: np.random.Generator) -> Arrays:
    """The same surface after a third of the vertices was merged with a neighbour, and all were shuffled."""
    faces = like["f"].astype(np.int64)
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1), axis=0)
    length = np.linalg.norm(template[edges[:, 0]] - template[edges[:, 1]], axis=1)
    count = len(template)
    to, free = np.arange(count), np.ones(count, bool)
    for a, b in edges[np.lexsort((g.random(len(edges)), length > np.median(length)))]:
        if free[a] and free[b]:
            to[b] = a
            free[a] = free[b] = False
    kept = np.unique(to)
    order = g.permutation(len(kept))
    number = np.empty(count, np.int64)
    number[kept] = order
    new = number[to]
    share = 1 / np.bincount(new)[new]

    def averaged(values: np.ndarray) -> np.ndarray:
        flat = np.zeros((len(kept), values[0].size))
        np.add.at(flat, new, values.reshape(count, -1) * share[:, None])
        return flat.reshape(len(kept), *values.shape[1:])

    triangles = new[faces]
    whole = (triangles[:, [0, 1, 2]] != triangles[:, [1, 2, 0]]).all(1)
    regressor = np.zeros((55, len(kept)))
    np.add.at(regressor.T, new, like["J_regressor"].T)
    triangles = triangles[whole]
    a_triangle = np.zeros(len(kept), np.int64)
    a_triangle[triangles.reshape(-1)] = np.repeat(np.arange(len(triangles)), 3)
    landmarks = {}
    for prefix in ("", "dynamic_"):
        corners, shares = faces[like[f"{prefix}lmk_faces_idx"]], like[f"{prefix}lmk_bary_coords"]
        nearest = new[np.take_along_axis(corners, shares.argmax(-1)[..., None], -1)[..., 0]]
        landmarks[f"{prefix}lmk_faces_idx"] = a_triangle[nearest]
        landmarks[f"{prefix}lmk_bary_coords"] = (triangles[a_triangle[nearest]] == nearest[..., None]).astype(float)
    return {
        "v_template": averaged(template),
        "shapedirs": averaged(directions),
        "weights": averaged(like["weights"].astype(np.float64)),
        "J_regressor": regressor,
        "kintree_table": like["kintree_table"],
        "f": triangles.astype(np.uint32),
        "vertex_ids": new[like["vertex_ids"]],
    } | landmarks
