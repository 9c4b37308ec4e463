"""Does the embedded body model keep what it promises: shapes, symmetry, sensible people, landmarks in place?"""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from limner.body.assets import embedded_body_path
from limner.body.keypoints import FACE68, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import FINGERS, JOINT_NAMES, PARENTS, mirrored_name
from limner.geometry.rotation import rotation_from_axis_angle

FLIP = np.array([-1.0, 1.0, 1.0])
AXIAL_FLIP = -FLIP  # what mirroring does to a rotation axis
MIRRORED_JOINTS = [JOINT_NAMES.index(mirrored_name(name)) for name in JOINT_NAMES]


@pytest.fixture(scope="module")
def raw() -> Mapping[str, np.ndarray]:
    with np.load(embedded_body_path(), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


@pytest.fixture(scope="module")
def template(raw) -> np.ndarray:
    return raw["v_template"].astype(np.float64)


@pytest.fixture(scope="module")
def joints(raw, template) -> dict[str, np.ndarray]:
    return dict(zip(JOINT_NAMES, raw["J_regressor"].astype(np.float64) @ template, strict=True))


def test_shapes_and_keys(raw):
    count = len(raw["v_template"])
    betas, expressions = int(raw["num_betas"]), int(raw["num_expression"])
    assert betas == 40 and expressions == 20
    shapes = {
        "v_template": (count, 3), "shapedirs": (count, 3, betas + expressions), "J_regressor": (55, count),
        "weights": (count, 55), "kintree_table": (2, 55), "lmk_faces_idx": (51,), "lmk_bary_coords": (51, 3),
        "dynamic_lmk_faces_idx": (79, 17), "dynamic_lmk_bary_coords": (79, 17, 3), "vertex_ids": (21,),
        "hands_meanl": (45,), "hands_meanr": (45,), "hands_componentsl": (45, 45), "hands_componentsr": (45, 45),
        "finger_flexion_axis": (30, 3), "finger_spread_axis": (30, 3), "mirror_vertex": (count,),
        "mirror_expression": (expressions, expressions), "region": (count,), "limb_coordinate": (count,),
        "arkit_expression": (52, expressions), "arkit_names": (52,), "ft": raw["f"].shape,
    }  # fmt: skip
    assert {key: raw[key].shape for key in shapes} == shapes
    assert raw["f"].max() < count and raw["ft"].max() < len(raw["vt"])
    assert raw["kintree_table"][0, 1:].tolist() == list(PARENTS[1:])
    assert all(np.isfinite(raw[k]).all() for k in shapes if raw[k].dtype.kind == "f")


def test_file_is_small():
    assert embedded_body_path().stat().st_size < 12e6


def test_template_is_exactly_symmetric(raw, template):
    mirror = raw["mirror_vertex"]
    assert np.array_equal(mirror[mirror], np.arange(len(mirror)))
    assert np.array_equal(template[mirror] * FLIP, template)


def test_triangles_are_symmetric_and_face_outwards(raw, template):
    faces = raw["f"]
    assert {frozenset(t) for t in faces.tolist()} == {frozenset(t) for t in raw["mirror_vertex"][faces].tolist()}
    corners = template[faces]
    volume = np.einsum("fc,fc->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.045 < volume < 0.1  # cubic metres; negative if the triangles faced inwards


def test_weights_are_sound(raw):
    weights = raw["weights"].astype(np.float64)
    assert np.abs(weights.sum(1) - 1).max() < 1e-5
    assert (weights >= 0).all() and (weights > 0).sum(1).max() <= 8
    assert np.abs(weights[raw["mirror_vertex"]][:, MIRRORED_JOINTS] - weights).max() < 1e-5


def test_shape_directions_are_symmetric(raw):
    directions = raw["shapedirs"][..., : int(raw["num_betas"])].astype(np.float64)
    assert np.abs(directions[raw["mirror_vertex"]] * FLIP[:, None] - directions).max() < 1e-4


def test_expressions_are_closed_under_mirroring(raw):
    directions = raw["shapedirs"][..., int(raw["num_betas"]) :].astype(np.float64)
    mirrored = directions[raw["mirror_vertex"]] * FLIP[:, None]
    assert np.abs(mirrored - directions @ raw["mirror_expression"]).max() < 1e-4
    smile = {n: raw["arkit_expression"][i] for i, n in enumerate(raw["arkit_names"]) if n.startswith("mouthSmile")}
    assert np.abs(raw["mirror_expression"] @ smile["mouthSmileLeft"] - smile["mouthSmileRight"]).max() < 0.1


def test_expression_moves_the_face_only(raw, joints, template):
    directions = raw["shapedirs"][..., int(raw["num_betas"]) :].astype(np.float64)
    moved = np.linalg.norm(directions, axis=1).max(1) > 1e-3
    assert template[moved, 1].min() > joints["neck"][1]
    assert np.abs(raw["J_regressor"].astype(np.float64) @ directions.reshape(len(moved), -1)).max() < 5e-4


def test_joints_lie_where_they_should(raw, joints, template):
    assert np.abs(raw["J_regressor"].sum(1) - 1).max() < 1e-5 and (raw["J_regressor"] >= 0).all()
    assert np.abs(joints["pelvis"]).max() < 0.02
    for name, place in joints.items():  # inside the body's box, and symmetric
        assert (place > template.min(0)).all() and (place < template.max(0)).all()
        assert np.abs(joints[mirrored_name(name)] * FLIP - place).max() < 1e-5
    eyeball = template[np.isin(raw["region"], [_region(raw, n) for n in ("sclera", "iris", "pupil")])]
    left = eyeball[eyeball[:, 0] > 0]
    assert np.linalg.norm(0.5 * (left.min(0) + left.max(0)) - joints["left_eye_smplx"]) < 0.002


def test_rest_pose_is_a_t_pose(joints):
    for a, b in (("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("left_wrist", "left_middle1")):
        along = joints[b] - joints[a]
        assert along[0] / np.linalg.norm(along) > 0.99
    thigh = joints["left_knee"] - joints["left_hip"]
    assert thigh[1] / np.linalg.norm(thigh) < -0.98
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.05  # toes forward
    assert joints["left_index1"][2] > joints["left_pinky1"][2]  # palms down, thumbs forward


def _statures(raw, betas: np.ndarray) -> np.ndarray:
    height = raw["v_template"][:, 1] + betas @ raw["shapedirs"][:, 1, :16].T.astype(np.float64)
    return height.max(1) - height.min(1)


def test_statures_are_human(raw):
    stature = _statures(raw, np.random.default_rng(0).normal(size=(400, 16)))
    assert 1.62 < stature.mean() < 1.75
    assert np.mean((stature > 1.45) & (stature < 2.0)) > 0.9
    assert stature.min() > 1.0 and stature.max() < 2.3
    tall = _statures(raw, np.eye(16)[:1] * [[2.0]]) - _statures(raw, np.eye(16)[:1] * [[-2.0]])
    assert tall[0] > 0.35  # the first beta is stature


def _region(raw, name: str) -> int:
    return raw["region_names"].tolist().index(name)


def test_regions_are_symmetric_and_complete(raw):
    assert np.array_equal(raw["region"][raw["mirror_vertex"]], raw["region"])
    assert set(np.unique(raw["region"])) == set(range(len(raw["region_names"])))


def _points(raw, template, face_key: str, bary_key: str) -> np.ndarray:
    return np.einsum("...kc,...k->...c", template[raw["f"][raw[face_key]]], raw[bary_key].astype(np.float64))


def test_face_landmarks(raw, template, joints):
    inner = _points(raw, template, "lmk_faces_idx", "lmk_bary_coords")
    face = dict(zip(range(17, 68), inner, strict=True))
    pairs = {17: 26, 21: 22, 31: 35, 36: 45, 37: 44, 39: 42, 40: 47, 48: 54, 50: 52, 59: 55, 60: 64, 67: 65}
    for right, left in pairs.items():
        assert face[right][0] < 0 < face[left][0]
        assert np.abs(face[right] * FLIP - face[left]).max() < 1e-3
    for middle in (27, 28, 29, 30, 33, 51, 57, 62, 66):
        assert abs(face[middle][0]) < 1e-4
    down = [face[k][1] for k in (19, 37, 41, 29, 30, 33, 51, 62, 66, 57)]  # brow, eye, nose, mouth, top to bottom
    assert down == sorted(down, reverse=True)
    assert face[30][2] == max(p[2] for p in face.values())  # the tip of the nose
    assert face[42][0] < joints["left_eye_smplx"][0] < face[45][0]
    assert np.linalg.norm(face[36] - face[45]) == pytest.approx(0.09, abs=0.015)  # outer eye corners


def test_contour_rows_mirror_each_other(raw, template):
    rows = _points(raw, template, "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
    for turn in range(1, 40):
        assert np.abs(rows[turn][::-1] * FLIP - rows[39 + turn]).max() < 2e-3


@pytest.mark.parametrize("turn_deg", [-35, -15, 0, 15, 35])
def test_contour_is_the_outline_in_the_picture(body: BodyModel, raw, turn_deg: int):
    """A person facing the camera, turned to the side: the far cheek's points lie on its outline."""
    people = body.rest()
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turn = rotation_from_axis_angle(torch.tensor([[0.0, math.radians(turn_deg), 0.0]]))
    people = BodyParams(**{**vars(people), "global_orient": flip @ turn})
    mesh = body(people)
    contour = body.keypoints144(mesh, people)[0, list(indices_of(FACE68))][:17]
    assert contour[0, 0] < contour[16, 0]  # the person's right is the picture's left
    far = contour[2:6] if turn_deg < 0 else contour[11:15]
    skin = mesh.vertices[0, torch.as_tensor(raw["region"] == _region(raw, "face"))]
    for point in far:
        level = skin[(skin[:, 1] - point[1]).abs() < 0.003, 0]
        outermost = level.min() if turn_deg < 0 else level.max()
        assert abs(float(outermost - point[0])) < 0.006


def test_extra_points(raw, template, joints):
    points = template[raw["vertex_ids"]]
    nose, right_eye, left_eye, right_ear, left_ear, toe, small_toe, heel = points[:8]
    assert nose[2] > joints["head"][2] + 0.05 and abs(nose[0]) < 1e-6
    assert left_eye[2] > joints["left_eye_smplx"][2] + 0.01 and left_ear[0] > 0.05
    assert toe[2] > small_toe[2] > heel[2] and small_toe[0] > toe[0] and max(toe[1], heel[1]) < joints["left_ankle"][1]
    for k, finger in enumerate(("thumb", "index", "middle", "ring", "pinky")):
        tip, last = points[11 + k], joints[f"left_{finger}3"]
        assert 0.012 < np.linalg.norm(tip - last) < 0.035
        assert np.array_equal(points[16 + k], tip * FLIP)
    assert np.array_equal(right_eye, left_eye * FLIP) and np.array_equal(right_ear, left_ear * FLIP)
    assert np.array_equal(points[8:11], points[5:8] * FLIP)


def test_fingers_bend_towards_the_palm(raw, joints):
    flexion, spread = raw["finger_flexion_axis"].astype(np.float64), raw["finger_spread_axis"].astype(np.float64)
    assert np.abs(np.linalg.norm(flexion, axis=1) - 1).max() < 1e-5
    assert np.abs(flexion[15:] - flexion[:15] * AXIAL_FLIP).max() < 1e-5
    assert np.abs(spread[15:] - spread[:15] * AXIAL_FLIP).max() < 1e-5
    for number, finger in enumerate(FINGERS[:4]):
        along = joints[f"left_{finger}2"] - joints[f"left_{finger}1"]
        assert np.cross(flexion[3 * number], along)[1] < 0  # the palm faces down
        away = np.cross(spread[3 * number], along)[2]
        assert away < 0 if finger in ("ring", "pinky") else away > 0
    assert np.abs(raw["hands_meanr"].reshape(15, 3) - raw["hands_meanl"].reshape(15, 3) * AXIAL_FLIP).max() < 1e-5
    bend = np.einsum("jc,jc->j", raw["hands_meanl"].reshape(15, 3), flexion[:15])
    assert (bend > 0).all() and (bend < np.deg2rad(35)).all()


def test_hand_components_are_orthonormal(raw):
    for side in "lr":
        basis = raw[f"hands_components{side}"].astype(np.float64)
        assert np.abs(basis @ basis.T - np.eye(45)).max() < 1e-5


def test_jaw_opens_downwards(body: BodyModel, raw):
    open_mouth = body.rest()
    angle = float(raw["arkit_jaw_open_angle"])
    assert 0.2 < angle < 0.5
    open_mouth = BodyParams(
        **{**vars(open_mouth), "jaw_pose": rotation_from_axis_angle(torch.tensor([[angle, 0.0, 0.0]]))}
    )
    lips = [body.keypoints(body(p), p, "face68")[0, [62, 66], 1] for p in (body.rest(), open_mouth)]
    gap = [float(lower - upper) for upper, lower in lips]  # camera axes: y points down
    assert gap[0] < 0.004 and 0.015 < gap[1] < 0.06


def test_the_later_betas_shape_the_head_alone(raw):
    """16 betas of the person, then 24 that move nothing below the neck; no vertex has more than four bones."""
    heads = raw["shapedirs"][..., 16:40].astype(np.float64)
    moved = np.abs(heads).max((1, 2))
    below = (
        raw["weights"][
            :, [JOINT_NAMES.index(n) for n in ("neck", "head", "jaw", "left_eye_smplx", "right_eye_smplx")]
        ].sum(1)
        < 0.05
    )
    assert moved[below].max() < 1e-3 < moved[~below].max()
    assert (raw["weights"] > 0).sum(1).max() <= 4


def test_knuckles_divide_fingers_as_in_anatomy(joints):
    """First finger bones of 39.8, 44.6, 41.4 and 32.7 mm (Buryanov and Kotiuk, 2010), within two millimetres."""
    for finger, length in (("index", 0.0398), ("middle", 0.0446), ("ring", 0.0414), ("pinky", 0.0327)):
        bone = np.linalg.norm(joints[f"left_{finger}2"] - joints[f"left_{finger}1"])
        assert abs(bone - length) < 0.002, finger
