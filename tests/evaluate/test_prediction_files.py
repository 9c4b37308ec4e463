"""Other systems' output files, written here in their layouts, give the same person."""

import json
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.body.keypoints import KEYPOINT_NAMES, hand21
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.data.sources.agora import Submitted, write_submission_files
from limner.evaluate.benchmarks.record import Case
from limner.evaluate.person_points import PersonPoints, points_of_params
from limner.evaluate.prediction_files import (
    Z_UP_TO_CAMERA,
    FilePrediction,
    PredictionFileError,
    PredictionFiles,
    keys_of,
    people_of,
    read_predictions,
)
from limner.geometry.rotation import rotation_to_axis_angle
from limner.io.motion_file import Motion, write_params
from tests.conftest import random_people, smplx_arrays


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    path = tmp_path_factory.mktemp("answers") / "SMPLX_NEUTRAL.npz"
    np.savez(path, **smplx_arrays())
    return BodyModel.load(path)


@pytest.fixture(scope="module")
def params() -> BodyParams:
    return random_people(1, 10, 10, seed=3).to(torch.float32)


@pytest.fixture(scope="module")
def person(model: BodyModel, params: BodyParams) -> PersonPoints:
    return points_of_params(model, params)


def vectors(params: BodyParams) -> dict[str, np.ndarray]:
    """Axis-angle by SMPL-X's names, as SMPLer-X shapes them."""
    names = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose")
    rotations = {name: rotation_to_axis_angle(getattr(params, name)[0]).numpy() for name in names}
    return {name: np.atleast_2d(value) for name, value in rotations.items()}


def numbers(params: BodyParams) -> dict[str, np.ndarray]:
    return {name: getattr(params, name).numpy() for name in ("betas", "expression", "transl")}


def only(found: list[FilePrediction]) -> PersonPoints:
    assert len(found) == 1
    return found[0].prediction


def same(a: PersonPoints, b: PersonPoints, tolerance: float = 1e-4) -> bool:
    assert a.vertices is not None and b.vertices is not None
    return torch.allclose(a.vertices, b.vertices, atol=tolerance)


def with_offsets(pose: dict[str, np.ndarray], model: BodyModel) -> dict[str, np.ndarray]:
    """Fingers as offsets from the mean hands."""
    means = model.hand_means.numpy().reshape(2, 15, 3)
    return pose | {f"{s}_hand_pose": pose[f"{s}_hand_pose"] - means[i] for i, s in enumerate(("left", "right"))}


def test_smplerx_npz_has_fingers_relative_to_the_mean_hand(tmp_path: Path, model: BodyModel, params, person):
    np.savez(tmp_path / "00001_0.npz", **with_offsets(vectors(params), model), **numbers(params))
    assert same(only(people_of(tmp_path / "00001_0.npz", model)), person)
    np.savez(tmp_path / "flat.npz", **vectors(params), **numbers(params), flat_hand_mean=np.array(True))
    assert same(only(people_of(tmp_path / "flat.npz", model)), person)
    with pytest.raises(PredictionFileError, match="--body-model"):
        only(people_of(tmp_path / "flat.npz"))


def test_osx_and_hand4whole_json(tmp_path: Path, model: BodyModel, params, person):
    pose, rest = with_offsets(vectors(params), model), numbers(params)
    content = {
        "root_pose": pose["global_orient"],
        "body_pose": pose["body_pose"],
        "lhand_pose": pose["left_hand_pose"],
        "rhand_pose": pose["right_hand_pose"],
        "jaw_pose": pose["jaw_pose"],
        "leye_pose": pose["leye_pose"],
        "reye_pose": pose["reye_pose"],
        "shape": rest["betas"],
        "expr": rest["expression"],
        "cam_trans": rest["transl"],
    }
    text = json.dumps({key: value.reshape(-1).tolist() for key, value in content.items()})
    (tmp_path / "a.json").write_text(text)
    assert same(only(people_of(tmp_path / "a.json", model)), person)


def test_matrices_are_whole_rotations(tmp_path: Path, model: BodyModel, params, person):
    content = {name: getattr(params, name).numpy() for name in vectors(params)} | numbers(params)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=2))
    assert same(only(people_of(tmp_path / "a.pkl", model)), person)


def test_expose_npz_adds_its_translation_and_needs_no_model(tmp_path: Path, params, person):
    file = tmp_path / "01_img.jpg_000" / "01_img.jpg_params.npz"
    file.parent.mkdir()
    np.savez(
        file,
        vertices=person.vertices - params.transl,
        joints=person.joints - params.transl,
        transl=params.transl[0].double().numpy(),
        full_pose=None,
        v_shaped=None,
    )
    found = read_predictions(tmp_path)
    assert same(only(found), person) and {"01_img#0", "01_img", "01"} <= set(found[0].keys)
    assert found[0].prediction.joint_names == KEYPOINT_NAMES
    assert torch.allclose(found[0].prediction.named(("neck",)), person.named(("neck",)), atol=1e-5)


def test_multi_hmr_npy_has_everybody(tmp_path: Path, person):
    np.save(tmp_path / "photo.npy", np.stack([person.vertices, person.vertices + 1]))
    first, second = read_predictions(tmp_path)
    assert same(first.prediction, person) and "photo" in first.keys and "photo#1" in second.keys
    assert "photo" not in second.keys


def test_pixie_predictions(tmp_path: Path, person):
    content = {"vertices": person.vertices.numpy()[None], "transformed_vertices": np.zeros((1, 4, 3))}
    (tmp_path / "01_prediction.pkl").write_bytes(pickle.dumps(content, protocol=2))
    found = read_predictions(tmp_path)
    assert same(only(found), person) and "01" in found[0].keys


def test_pixie_parameters(tmp_path: Path, model: BodyModel, params, person):
    standing = params.replace(transl=torch.zeros(1, 3), leye_pose=torch.eye(3)[None], reye_pose=torch.eye(3)[None])
    content = {
        "global_pose": standing.global_orient.numpy()[None],
        "shape": np.concatenate([standing.betas.numpy(), np.zeros((1, 190))], 1),
        "exp": np.concatenate([standing.expression.numpy(), np.zeros((1, 40))], 1),
        "body_cam": np.ones((1, 3)),
        "name": "01",
        **{
            key: getattr(standing, key).numpy()
            for key in ("body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose")
        },
    }
    file = tmp_path / "01_param.pkl"
    file.write_bytes(pickle.dumps(content, protocol=2))
    (found,) = people_of(file, model)
    assert same(found.prediction, points_of_params(model, standing)) and "01" in found.keys
    file.write_bytes(pickle.dumps({"global_pose": np.zeros((1, 6)), "partbody_pose": np.zeros((1, 102))}, protocol=2))
    with pytest.raises(PredictionFileError, match="before its decoder"):
        only(people_of(file, model))


def test_amass_npz_stands_before_a_level_camera(tmp_path: Path, model: BodyModel, params, person):
    pose = vectors(params)
    upright = rotation_to_axis_angle(Z_UP_TO_CAMERA.mT @ params.global_orient)
    poses = np.concatenate([upright.numpy(), *list(pose.values())[1:]]).reshape(1, 165)
    pelvis = model.rest_joints(params)[0, 0]
    trans = Z_UP_TO_CAMERA.mT @ (params.transl[0] + pelvis) - pelvis
    np.savez(
        tmp_path / "walk.npz",
        poses=poses,
        trans=trans.numpy()[None],
        betas=params.betas[0].numpy(),
        expressions=params.expression.numpy(),
    )
    found = people_of(tmp_path / "walk.npz", model)
    assert same(only(found), person) and "walk#0" in found[0].keys
    np.savez(tmp_path / "walk.npz", poses=np.zeros((1, 156)), trans=np.zeros((1, 3)))
    with pytest.raises(PredictionFileError, match=r"SMPL\+H"):
        only(people_of(tmp_path / "walk.npz", model))


def test_agora_submissions_come_back(tmp_path: Path, model: BodyModel, params, person):
    points = torch.rand(24, 2) * 100
    write_submission_files(tmp_path / "predictions", [Submitted("ag_1", params, points)], model.hand_means)
    found = read_predictions(tmp_path / "predictions", model)
    assert same(only(found), person) and "ag_1#0" in found[0].keys
    assert torch.allclose(found[0].prediction.points_px, points)
    content = {"verts": person.vertices.numpy(), "allSmplJoints3d": person.joints[:127].numpy(), "joints": points}
    (tmp_path / "ag_2_personId_1.pkl").write_bytes(pickle.dumps({k: np.asarray(v) for k, v in content.items()}))
    found = people_of(tmp_path / "ag_2_personId_1.pkl")
    assert same(only(found), person) and "ag_2#1" in found[0].keys


def test_limners_own_folder(tmp_path: Path, model: BodyModel, params, person):
    folder = tmp_path / "out" / "party" / "person_1"
    motion = Motion(
        params.full_pose(), params.transl, params.betas[0], params.expression, torch.zeros(3), body_model="smplx"
    )
    write_params(folder / "params.npz", motion)
    (folder / "mesh.obj").write_text("v 0 0 0\n")
    (tmp_path / "out" / "party" / "keypoints.json").write_text("{}")
    found = read_predictions(tmp_path / "out", model)
    assert same(only(found), person) and "party#1" in found[0].keys


def test_limners_own_body_in_new_and_older_files(tmp_path: Path):
    """Its numbers are found under their own names, and in older files under SMPL-X's; the mesh is the same."""
    body = BodyModel.load()
    own = body.rest(1).replace(betas=torch.randn(1, 40), expression=torch.randn(1, 20))
    motion = Motion(own.full_pose(), own.transl, own.betas[0], own.expression, torch.zeros(3), body_model="limner")
    write_params(tmp_path / "new.npz", motion)
    with np.load(tmp_path / "new.npz") as file:
        arrays = {key: file[key] for key in file.files if not key.startswith("limner_")}
    np.savez(tmp_path / "old.npz", **arrays | {"betas": motion.betas.numpy(), "expression": motion.expression.numpy()})
    expected = points_of_params(body, own)
    for name in ("new", "old"):
        assert same(only(people_of(tmp_path / f"{name}.npz")), expected), name


def test_joints_alone(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps({"joints": [[1, 2, 3]], "joint_names": ["neck"]}))
    assert only(people_of(tmp_path / "a.json")).named(("neck",)).tolist() == [[1, 2, 3]]
    np.savez(tmp_path / "b.npz", joints=np.zeros((2, 3)), joint_names=np.array(["neck"]))
    with pytest.raises(PredictionFileError, match="2 joints have 1"):
        only(people_of(tmp_path / "b.npz"))


def test_freihands_own_format(tmp_path: Path):
    joints, vertices = np.random.rand(2, 21, 3), np.random.rand(2, 778, 3)
    (tmp_path / "pred.json").write_text(json.dumps([joints.tolist(), vertices.tolist()]))
    _, second = read_predictions(tmp_path / "pred.json")
    assert second.keys == ("00000001",) and second.prediction.joint_names == hand21("right")
    assert np.allclose(second.prediction.vertices, vertices[1], atol=1e-6)
    (tmp_path / "pred.json").write_text("[[1], [1, 2]]")
    with pytest.raises(PredictionFileError, match="two lists of equal length"):
        people_of(tmp_path / "pred.json")


def test_meshes_with_the_seven_landmarks_beside_them(tmp_path: Path):
    folder = tmp_path / "subject" / "selfie"
    folder.mkdir(parents=True)
    (folder / "IMG_1.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    np.save(folder / "IMG_1.npy", np.ones((7, 3)))
    found = read_predictions(tmp_path)
    assert len(found) == 1 and "subject/selfie/IMG_1" in found[0].keys
    assert found[0].prediction.landmarks is not None and found[0].prediction.faces is not None


def test_what_is_no_prediction_is_named(tmp_path: Path):
    with pytest.raises(PredictionFileError, match="does not exist"):
        read_predictions(tmp_path / "no.npz")
    with pytest.raises(PredictionFileError, match="no predictions in it"):
        read_predictions(tmp_path)
    (tmp_path / "a.json").write_text('{"cats": 3}')
    with pytest.raises(PredictionFileError, match=r"its keys \(cats\) are no system's"):
        only(read_predictions(tmp_path))
    np.savez(tmp_path / "pca.npz", global_orient=np.zeros(3), left_hand_pose=np.zeros(12))
    with pytest.raises(PredictionFileError, match="PCA"):
        only(people_of(tmp_path / "pca.npz", BodyModel.load()))


def test_the_book_finds_the_most_exact_name_and_refuses_to_guess():
    blank = PersonPoints()
    predictions = [
        FilePrediction(keys_of(Path(f"a/{name}.npz")), partial(replace, blank, joint_names=(str(k),)), Path(name))
        for k, name in enumerate(("yard_00/image_00001_0", "yard_00/image_00001_1", "barn_00/image_00001_0"))
    ]
    files = PredictionFiles(predictions)

    def asked(name: str) -> PersonPoints | None:
        return files.prediction(Case(name, "", "person", Path(name.split("#")[0]), PersonPoints))

    found = asked("yard_00/image_00001#1")
    assert found is not None and found.joint_names == ("1",)
    assert asked("yard_00/image_00007#0") is None
    with pytest.raises(PredictionFileError, match="several predictions could be image_00001#0"):
        asked("image_00001#0")
