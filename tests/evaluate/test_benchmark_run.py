"""`limner evaluate` on small sets of every kind, with predictions of known errors: golden tables."""

import csv
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.body.keypoints import LSP12
from limner.body.model import BodyModel
from limner.body.skeleton import JOINT_NAMES
from limner.data.sources import agora_frames, ehf
from limner.data.sources.agora import Submitted, write_submission_files
from limner.data.sources.threedpw import SMPL_JOINTS
from limner.errors import DataSetError
from limner.evaluate import benchmark_run
from limner.evaluate.benchmark_run import evaluate_benchmark, open_benchmarks, pooled_statistics
from limner.evaluate.benchmarks import point_metrics
from limner.evaluate.benchmarks.agora import Found, match_people
from limner.evaluate.benchmarks.point_metrics import SelfCheckError
from limner.evaluate.benchmarks.record import Case
from limner.evaluate.person_points import PersonPoints, points_of_params
from limner.evaluate.prediction_files import PredictionFileError, PredictionFiles
from limner.evaluate.topology import HANDS_FILE, HEAD_FILE, J14_FILE, find_smplx_files
from limner.expose.estimator import OfficialEstimator
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle
from tests.conftest import random_people
from tests.data.sources.tiny_sets import (
    write_agora,
    write_curated,
    write_ehf,
    write_freihand,
    write_now,
    write_photo,
    write_stirling,
    write_threedpw,
)
from tests.evaluate.benchmarks.test_scan_metrics import LANDMARKS, bowl
from tests.evaluate.tiny_smplx import posed, write_smplx
from tests.expose.test_estimator import Standin

G = np.random.default_rng(0)


def read_table(out: Path) -> dict[str, float | None]:
    """Values by metric."""
    (table,) = json.loads((out / "results.json").read_text())["tables"]
    values = {}
    for row in table["rows"]:
        (column,) = table["columns"]
        values[row["metric"]] = row["values"][column]["value"] if column in row["values"] else None
    return values


def note(out: Path) -> str:
    return str(json.loads((out / "results.json").read_text())["tables"][0]["note"])


@pytest.fixture(autouse=True)
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing noise takes seconds; test_case_sheets.py looks at pictures."""
    blank = torch.zeros(3, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(benchmark_run, "draw_case", lambda case, prediction, true: blank)
    monkeypatch.setattr(benchmark_run, "error_curves", lambda errors, title: blank)


@pytest.fixture
def ehf_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """EHF of two frames with SMPL-X's files beside it."""
    monkeypatch.setattr(ehf, "FRAMES", 2)
    folder = tmp_path / "EHF"
    model = BodyModel.load(write_smplx(folder / "models"))
    R = rotation_from_axis_angle(torch.tensor(ehf.ORIENTATION))
    world = [(p.mesh() - torch.tensor(ehf.TRANSLATION)) @ R for p in posed(model)]
    write_ehf(folder, torch.stack(world).numpy(), model.faces.numpy(), scan=False)
    return folder


def save(folder: Path, name: str, vertices: torch.Tensor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", vertices=vertices.numpy())


def test_ehf_with_known_predictions(tmp_path: Path, ehf_set: Path):
    frames = [frame.registration()[0] for frame in ehf.read_ehf(ehf_set)]
    prediction = tmp_path / "mine"
    save(prediction, "01_img", frames[0] + 0.5)  # only aside: no error but where it stands
    files = find_smplx_files([ehf_set / "models"])
    left = files.part("left_hand")
    bent = frames[1].clone()
    bent[left] += torch.tensor([0.1, 0, 0])
    save(prediction, "02_img", bent)
    evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=prediction)
    table = read_table(tmp_path / "out")
    assert table["PA-V2V left hand, mm"] == pytest.approx(0, abs=1e-3)  # the hand moved as a whole
    assert table["PA-V2V face, mm"] == pytest.approx(0, abs=1e-3)
    pelvis = files.joint_regressor[0, left].sum() * 0.1
    off = 0.1 * len(left) / 400  # mean over vertices: a tenth of a metre for 40 of 400, less what the pelvis moved
    by_hand = (len(left) * abs(0.1 - pelvis) + (400 - len(left)) * pelvis) / 400
    assert abs(float(by_hand) - off) < 0.05
    assert table["V2V all, mm"] == pytest.approx(1000 * float(by_hand) / 2, abs=0.01)
    assert table.get("PA-P2S from the scan mean, mm") is None and "the data set has no scans" in note(tmp_path / "out")
    with open(tmp_path / "out" / "people.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["01", "02"] and float(rows[0]["V2V all, mm"]) < 1e-3
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"results.json", "results.md", "people.csv", "errors_EHF.png", "worst_EHF.png"}


def test_ehf_with_the_official_network(tmp_path: Path, ehf_set: Path, monkeypatch: pytest.MonkeyPatch):
    def load(weights: str, body_model: Path | None) -> OfficialEstimator:
        assert weights == "model.ckpt"
        return OfficialEstimator(Standin(BodyModel.load(ehf_set / "models/SMPLX_NEUTRAL.npz", 10, 10)))

    monkeypatch.setattr(OfficialEstimator, "load", load)
    assert evaluate_benchmark("ehf", ehf_set, tmp_path / "out", "expose:model.ckpt") == 0
    table = read_table(tmp_path / "out")
    assert all(1 < table[f"{metric}, mm"] < 5000 for metric in ("PA-V2V all", "MPJPE-14"))  # people of chance
    assert "ExPose" in (tmp_path / "out" / "results.md").read_text()


def test_the_table_is_golden(tmp_path: Path, ehf_set: Path):
    g = torch.Generator().manual_seed(7)
    for frame in ehf.read_ehf(ehf_set):
        vertices = frame.registration()[0]
        save(tmp_path / "mine", frame.name, vertices * 1.2 + 0.03 * torch.randn(vertices.shape, generator=g))
    evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "mine")
    table = read_table(tmp_path / "out")
    assert {name: round(value, 1) for name, value in table.items() if value is not None} == GOLDEN


GOLDEN = {
    "PA-V2V all, mm": 40.1,
    "PA-V2V body, mm": 40.4,
    "PA-V2V left hand, mm": 39.5,
    "PA-V2V right hand, mm": 36.2,
    "PA-V2V hands, mm": 37.8,
    "PA-V2V face, mm": 38.6,
    "V2V all, mm": 274.0,
    "V2V left hand, mm": 256.1,
    "V2V right hand, mm": 247.3,
    "V2V hands, mm": 251.7,
    "V2V face, mm": 261.9,
    "MPJPE-14, mm": 73.4,
    "PA-MPJPE-14, mm": 8.3,
    "MPJPE of 12 named joints, mm": 28.5,
    "PA-MPJPE of 12 named joints, mm": 3.1,
}


def test_other_topologies_are_scored_by_named_joints_only(tmp_path: Path, ehf_set: Path):
    files = find_smplx_files([ehf_set / "models"])
    for frame in ehf.read_ehf(ehf_set):
        vertices = frame.registration()[0]
        joints = files.joint_regressor @ vertices.double()
        np.savez(tmp_path / f"{frame.name}.npz", joints=joints.numpy(), joint_names=np.array(JOINT_NAMES))
    evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "01.npz", limit=None)
    table = read_table(tmp_path / "out")
    assert table["PA-MPJPE of 12 named joints, mm"] == pytest.approx(0, abs=1e-3)
    assert table["V2V all, mm"] is None and table["MPJPE-14, mm"] is None
    text = note(tmp_path / "out")
    assert "1 of 2 cases, 02, ...; published numbers count all" in text
    assert "Not comparable: PA-V2V all" in text and "no mesh, only joints" in text


def test_without_side_files_the_note_says_where_to_get_them(tmp_path: Path, ehf_set: Path):
    (ehf_set / "models" / J14_FILE).unlink()
    for frame in ehf.read_ehf(ehf_set):
        save(tmp_path / "mine", frame.name, frame.registration()[0])
    evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "mine")
    assert read_table(tmp_path / "out")["PA-V2V all, mm"] == pytest.approx(0, abs=1e-3)
    assert read_table(tmp_path / "out").get("MPJPE-14, mm") is None
    assert f"needs {J14_FILE}" in note(tmp_path / "out") and f"{J14_FILE} from https" in note(tmp_path / "out")


def test_a_broken_metric_stops_the_run(tmp_path: Path, ehf_set: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path / "mine", "01", torch.zeros(400, 3))
    monkeypatch.setattr(point_metrics, "procrustes", lambda a, b: a)
    with pytest.raises(SelfCheckError, match="10 mm aside scores 10.0000 in 'PA-V2V all, mm', expected 0"):
        evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "mine")
    assert not (tmp_path / "out").exists()


class CutOff(PredictionFiles):
    """Predicts twice in all, then the run is killed."""

    asked: list[str] = []

    def prediction(self, case: Case) -> PersonPoints | None:
        if len(self.asked) == 2:
            raise KeyboardInterrupt
        self.asked.append(case.name)
        return super().prediction(case)


def test_a_killed_run_goes_on_and_ends_with_the_same_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    joints = G.normal(size=(2, 3, 24, 3))
    cameras = write_threedpw(tmp_path / "3DPW", joints)
    mine = tmp_path / "mine" / "yard_00"
    mine.mkdir(parents=True)
    for person, frame in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)):
        points = joints[person, frame] @ cameras[frame, :3, :3].T + G.normal(size=(24, 3)) * 0.02
        content = {"joints": points.tolist(), "joint_names": SMPL_JOINTS}
        (mine / f"image_{frame:05d}_{person}.json").write_text(json.dumps(content))
    evaluate_benchmark("3dpw", tmp_path / "3DPW", tmp_path / "whole", predictions=tmp_path / "mine")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(benchmark_run, "PredictionFiles", CutOff)
        evaluate_benchmark("3dpw", tmp_path / "3DPW", tmp_path / "out", predictions=tmp_path / "mine")
    assert len(CutOff.asked) == 2 and not (tmp_path / "out" / "results.json").exists()
    later: list[str] = []
    prediction = PredictionFiles.prediction
    monkeypatch.setattr(
        PredictionFiles, "prediction", lambda self, case: later.append(case.name) or prediction(self, case)
    )
    assert evaluate_benchmark("3dpw", tmp_path / "3DPW", tmp_path / "out", predictions=tmp_path / "mine") == 0
    # the other three are scored; the two known ones are asked again for the picture of the worst only
    assert len(later) == 5 and later[:3] == [name for name in sorted(later) if name not in CutOff.asked]
    for name in ("results.json", "results.md", "people.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "out" / "progress").exists()


def test_a_damaged_file_is_named_and_the_rest_goes_on(tmp_path: Path, ehf_set: Path):
    frames = list(ehf.read_ehf(ehf_set))
    for frame in frames:
        save(tmp_path / "mine", frame.name, frame.registration()[0])
    whole = (tmp_path / "mine" / "02.npz").read_bytes()
    (tmp_path / "mine" / "02.npz").write_bytes(whole[:200])
    assert evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "mine") == 1
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    (left_out,) = content["left_out"]
    assert left_out["name"] == "02" and "02.npz" in left_out["why"]
    assert "LEFT OUT, a file cannot be read: 1, 02" in note(tmp_path / "out")
    assert content["tables"][0]["rows"][0]["people"] == 1
    assert (tmp_path / "out" / "progress").exists()  # when the file is mended, the rest need not be scored again


def test_predictions_of_other_photos(tmp_path: Path, ehf_set: Path):
    save(tmp_path / "mine", "holiday", torch.zeros(400, 3))
    with pytest.raises(PredictionFileError, match="none of 2 cases of EHF has a prediction.*01, 01#0, 01_img"):
        evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "mine")


def test_missing_data_says_where_to_get_it(tmp_path: Path):
    for what in ("ehf", "3dpw", "freihand", "now", "stirling", "curated"):
        with pytest.raises(DataSetError, match=r"Get it from|Download"):
            evaluate_benchmark(what, tmp_path / "nowhere", tmp_path / "out", predictions=tmp_path)
    with pytest.raises(DataSetError, match=r"(?s)validation_0_withjv.pkl.*Get it from"):
        evaluate_benchmark("agora", tmp_path, tmp_path / "out", predictions=tmp_path)
    write_agora(tmp_path, agora_people(1))
    with pytest.raises(DataSetError, match="--body-model SMPLX_NEUTRAL.npz"):
        evaluate_benchmark("agora", tmp_path, tmp_path / "out", predictions=tmp_path)


def test_3dpw_of_joints(tmp_path: Path):
    joints = G.normal(size=(2, 2, 24, 3))
    cameras = write_threedpw(tmp_path / "3DPW", joints)
    mine = tmp_path / "mine" / "yard_00"
    mine.mkdir(parents=True)
    for person, frame in ((0, 0), (1, 0), (1, 1)):
        points = joints[person, frame] @ cameras[frame, :3, :3].T + 7
        points[SMPL_JOINTS.index("right_knee")] += [0, 0.06 * person, 0]
        content = {"joints": points.tolist(), "joint_names": SMPL_JOINTS}
        (mine / f"image_{frame:05d}_{person}.json").write_text(json.dumps(content))
    evaluate_benchmark("3dpw", tmp_path / "3DPW", tmp_path / "out", predictions=tmp_path / "mine")
    table = read_table(tmp_path / "out")
    assert table["MPJPE of 12 named joints, mm"] == pytest.approx((0 + 60 + 60) / 12 / 3, abs=1e-3)
    assert 0 < (table["PA-MPJPE of 12 named joints, mm"] or 0) < 20
    assert len(LSP12) == 12


def test_freihand_from_its_own_format(tmp_path: Path):
    joints, vertices = G.normal(size=(2, 21, 3)) * 0.05, G.normal(size=(2, 778, 3)) * 0.05
    write_freihand(tmp_path / "F", joints, vertices)
    (tmp_path / "pred.json").write_text(json.dumps([(joints * 3 + 1).tolist(), (vertices * 3 + 1).tolist()]))
    evaluate_benchmark("freihand", tmp_path / "F", tmp_path / "out", predictions=tmp_path / "pred.json")
    table = read_table(tmp_path / "out")
    assert table["PA-MPJPE, mm"] == pytest.approx(0, abs=1e-3) and table["PA-V2V, mm"] == pytest.approx(0, abs=1e-3)
    assert table["F@5 mm"] == 1 and table["F@15 mm"] == 1 and table["AUC joints"] == pytest.approx(1, abs=0.006)
    from_wrist = np.linalg.norm((joints - joints[:, :1]) * 2, axis=-1).mean() * 1000
    assert table["MPJPE from the wrist, mm"] == pytest.approx(from_wrist, rel=1e-4)


@pytest.mark.parametrize("what", ["now", "stirling"])
def test_faces_against_scans(tmp_path: Path, what: str):
    vertices, faces = bowl(17)
    scan = (vertices * 1000).numpy()
    {"now": write_now, "stirling": write_stirling}[what](
        tmp_path / "set", scan, faces.numpy(), LANDMARKS.numpy() * 1000
    )
    # a dent of 3 mm in a ring of the surface, where no landmark lies: scaled and turned as a whole
    dented = vertices.clone()
    ring = (vertices[:, :2].norm(dim=-1) > 0.055) & (vertices[:, :2].norm(dim=-1) < 0.06)
    dented[ring] += torch.tensor([0.0, 0, 0.003])
    names = (
        ["FaMoS_180424_03335_TA/multiview_neutral/IMG_0001", "FaMoS_180424_03335_TA/selfie/IMG_0002"]
        if what == "now"
        else ["F1001_a", "F1001_b"]
    )
    for name, mesh in zip(names, (vertices, dented), strict=True):
        file = tmp_path / "mine" / f"{name}.obj"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in (mesh * 2 + 1).tolist()]
        lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces.tolist()]
        file.write_text("\n".join(lines))
        np.save(file.with_suffix(".npy"), LANDMARKS.numpy() * 2 + 1)
    evaluate_benchmark(what, tmp_path / "set", tmp_path / "out", predictions=tmp_path / "mine")
    table = read_table(tmp_path / "out")
    assert table["all points: median, mm"] == pytest.approx(0, abs=0.05)
    assert 0.01 < (table["scan to mesh mean, mm"] or 0) < 0.4
    assert table["all points: mean, mm"] == pytest.approx(table["scan to mesh mean, mm"], rel=1e-3)


def test_curated_fits(tmp_path: Path):
    model = BodyModel.load(write_smplx(tmp_path / "set"))
    people = posed(model)
    meshes = torch.stack([person.mesh() for person in people])
    write_curated(tmp_path / "set", "val", G.normal(size=(2, 53, 3)), vertices=meshes.numpy())
    for i in range(2):
        save(tmp_path / "mine", f"im000{i}", meshes[i] * 1.1)
    evaluate_benchmark("curated", tmp_path / "set", tmp_path / "out", predictions=tmp_path / "mine")
    table = read_table(tmp_path / "out")
    assert table["PA-V2V body, mm"] == pytest.approx(0, abs=1e-3) and table["V2V all, mm"] > 10
    assert table["PA-MPJPE-14, mm"] == pytest.approx(0, abs=1e-3)


def agora_people(count: int) -> list[dict[str, np.ndarray]]:
    params = random_people(count, 10, 10, seed=2, size=0.2).to(torch.float32)
    vectors = rotation_to_axis_angle(params.full_pose()).numpy()
    parts = {"global_orient": (0, 1), "body_pose": (1, 22), "jaw_pose": (22, 23), "left_hand_pose": (25, 40)}
    parts |= {"leye_pose": (23, 24), "reye_pose": (24, 25), "right_hand_pose": (40, 55)}
    people = []
    for i in range(count):
        person = {name: vectors[i, a:b].reshape(1, -1) for name, (a, b) in parts.items()}
        person |= {"betas": params.betas[i : i + 1].numpy(), "expression": params.expression[i : i + 1].numpy()}
        people.append(person | {"transl": np.array([[3.0 * i - 3.0, 0.0, 40.0]], np.float32)})
    return people


def test_agora_divides_by_f1(tmp_path: Path):
    from limner.data.sources.agora import read_agora

    model_file = write_smplx(tmp_path / "set")
    model = BodyModel.load(model_file)
    write_agora(tmp_path / "set", agora_people(3))
    given = []
    for person in list(read_agora(tmp_path / "set"))[:2]:  # the third person is missed
        params = person.params(model.hand_means)
        with torch.no_grad():
            pixels = model(params).joints[0, :24] @ person.K.mT
        points = pixels[:, :2] / pixels[:, 2:] * 3
        moved = params.replace(transl=params.transl + torch.tensor([0.0, 0.0, 1.0]))
        given.append(Submitted(person.image, moved, points))
    given.append(Submitted(given[0].image, given[0].params, given[0].joints_px + 9000))  # nobody is there
    write_submission_files(tmp_path / "predictions", given, model.hand_means)
    out = tmp_path / "out"
    evaluate_benchmark("agora", tmp_path / "set", out, predictions=tmp_path / "predictions", body_model=model_file)
    table = read_table(out)
    assert table["precision"] == pytest.approx(2 / 3) and table["recall"] == pytest.approx(2 / 3)
    assert table["F1"] == pytest.approx(2 / 3) and table["MVE all, mm"] == pytest.approx(0, abs=0.2)
    assert table["NMVE all, mm"] == pytest.approx((table["MVE all, mm"] or 0) * 1.5, rel=1e-6)


def test_agora_by_its_own_tables_needs_no_body_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = BodyModel.load(write_smplx(tmp_path / "files"))
    for file in (HANDS_FILE, HEAD_FILE):
        (tmp_path / "set").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "files" / file, tmp_path / "set")
    people = [points_of_params(model, p) for p in (random_people(1, 10, 10, seed=i).to(torch.float32) for i in (1, 2))]
    vertices, joints = ([getattr(person, name).numpy() for person in people] for name in ("vertices", "joints"))
    points = [G.uniform(0, 3000, size=(144, 2)) for _ in people]
    table = {"imgPath": ["ag_1.png"], "gt_joints_2d": [points], "gt_joints_3d": [joints], "gt_verts": [vertices]}
    monkeypatch.setattr(agora_frames, "read_frame", lambda file: table)
    (tmp_path / "set" / "validation_0_withjv.pkl").write_bytes(b"")  # test_frames.py reads real ones
    write_photo(tmp_path / "set" / "ag_1.png", 3840, 2160)
    prediction = tmp_path / "mine"
    prediction.mkdir()
    fingers = np.arange(40)  # tiny_smplx's left hand
    for k, shift in enumerate((0.0, 0.03)):
        moved = vertices[k].copy()
        moved[fingers] += [shift, 0, 0]
        content = {"verts": moved, "allSmplJoints3d": joints[k], "joints": points[k]}
        (prediction / f"ag_1_personId_{k}.pkl").write_bytes(pickle.dumps(content))
    evaluate_benchmark("agora", tmp_path / "set", tmp_path / "out", predictions=prediction)
    table_ = read_table(tmp_path / "out")
    assert table_["F1"] == 1 and table_["MVE body, mm"] == pytest.approx(0, abs=1e-2)
    assert table_["MVE left hand, mm"] == pytest.approx(
        15, abs=1e-2
    )  # 30 mm for one of two; wrists are the file's joints
    assert table_["MVE all, mm"] == pytest.approx(5, abs=1e-2) and table_["NMVE all, mm"] == pytest.approx(5, abs=1e-2)
    assert table_["MPJPE all, mm"] == pytest.approx(0, abs=1e-2)


def test_people_are_matched_nearest_first_and_once():
    person = torch.rand(24, 2, generator=torch.Generator().manual_seed(0)) * 100
    true = [person, person + 300]
    assert match_people([person + 299, person + 1, person + 2, person + 999], true) == [(1, 0), (0, 1)] or match_people(
        [person + 299, person + 1, person + 2, person + 999], true
    ) == [(0, 1), (1, 0)]
    assert match_people([], true) == [] and match_people(true, []) == []
    assert Found(2, 3, 3).f1 == pytest.approx(2 / 3) and Found(0, 3, 3).f1 == 0


def test_pooled_statistics_by_hand():
    distances = [("a", torch.tensor([1.0, 2.0, 3.0])), ("b", torch.tensor([10.0]))]
    pooled = pooled_statistics(distances)
    assert pooled["median, mm"].value == 2.5 and pooled["mean, mm"].value == 4
    assert pooled["std, mm"].value == pytest.approx(float(torch.tensor([1.0, 2, 3, 10]).std()))
    assert 1.9 < pooled["mean, mm"].low < 2.1 and 9.9 < pooled["mean, mm"].high < 10.1


def test_answers_that_are_not_finite_do_not_improve_the_mean(tmp_path: Path, ehf_set: Path):
    for frame in ehf.read_ehf(ehf_set):
        vertices = frame.registration()[0]
        vertices[3] = torch.nan if frame.name == "02" else 0.0
        save(tmp_path / "mine", frame.name, vertices)
    evaluate_benchmark("ehf", ehf_set, tmp_path / "out", predictions=tmp_path / "mine")
    assert "(or with numbers that are not finite): 1 of 2 cases, 02" in note(tmp_path / "out")


def test_a_limit_is_named_in_the_note(tmp_path: Path, ehf_set: Path):
    for frame in ehf.read_ehf(ehf_set):
        save(tmp_path / "mine", frame.name, frame.registration()[0])
    evaluate_benchmark("ehf", ehf_set, tmp_path / "out", limit=1, predictions=tmp_path / "mine")
    assert "Only 1 of 2 cases (--limit): not a published number" in note(tmp_path / "out")


def test_every_benchmark_names_its_source(ehf_set: Path):
    files = find_smplx_files([ehf_set / "models"])
    (benchmark,) = open_benchmarks("ehf", ehf_set, files, None)
    assert "Pavlakos" in benchmark.source and replace(benchmark, crowd=True).crowd
