"""Tiny public data sets in their published layouts, written by the tests: numbers are noise, files are real."""

import json
import pickle
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image


def write_photo(path: Path, width: int = 16, height: int = 12) -> None:
    """A grey photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (120, 120, 120)).save(path)


def write_ehf(folder: Path, vertices: np.ndarray, faces: np.ndarray, scan: bool = True) -> None:
    """EHF with as many frames as there are meshes "N V 3" (world axes, metres); scans are the meshes, refined."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, mesh in enumerate(vertices, start=1):
        write_photo(folder / f"{i:02d}_img.jpg", 160, 120)
        trimesh.Trimesh(mesh, faces, process=False).export(folder / f"{i:02d}_align.ply")
        if scan:
            write_obj(folder / f"{i:02d}_scan.obj", mesh, faces)


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """An OBJ with texture seams and comments, as scanners write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# a scan", "vt 0.1 0.2", "vt 0.3 0.4"]
    lines += [f"v {x:.8f} {y:.8f} {z:.8f}" for x, y, z in vertices]
    lines += [f"f {a + 1}/1 {b + 1}/2 {c + 1}/1" for a, b, c in faces]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_threedpw(folder: Path, joints: np.ndarray, sequence: str = "yard_00") -> np.ndarray:
    """3DPW with one sequence of joints "P T 24 3" (world, metres); the camera pose of the last frame is not valid for
    person 0. Returns the camera poses "T 4 4"."""
    people, frames = joints.shape[:2]
    g = np.random.default_rng(0)
    cameras = np.tile(np.eye(4), (frames, 1, 1))
    cameras[:, :3, :3] = np.diag([1.0, -1.0, -1.0])
    cameras[:, :3, 3] = [0.1, 0.2, 3.0]
    valid = np.ones((people, frames), int)
    valid[0, -1] = 0
    content = {
        "sequence": sequence,
        "poses": [g.normal(size=(frames, 72)) for _ in range(people)],
        "betas": [g.normal(size=10) for _ in range(people)],
        "trans": [g.normal(size=(frames, 3)) for _ in range(people)],
        "poses2d": [g.uniform(1, 9, size=(frames, 3, 18)) for _ in range(people)],
        "jointPositions": [joints[p].reshape(frames, 72) for p in range(people)],
        "cam_poses": cameras,
        "campose_valid": [valid[p] for p in range(people)],
        "cam_intrinsics": np.array([[1962.0, 0, 540], [0, 1969.0, 960], [0, 0, 1]]),
        "genders": ["m", "f"][:people],
        "img_frame_ids": np.arange(frames),
    }
    file = folder / "sequenceFiles" / "test" / f"{sequence}.pkl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(content, protocol=2))
    for frame in range(frames):
        write_photo(folder / "imageFiles" / sequence / f"image_{frame:05d}.jpg")
    return cameras


def write_freihand(folder: Path, joints: np.ndarray, vertices: np.ndarray, split: str = "evaluation") -> None:
    """FreiHAND with hands of joints "N 21 3" and vertices "N 778 3", metres."""
    count = len(joints)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "K": np.tile(np.array([[480.0, 0, 112], [0, 480.0, 112], [0, 0, 1]]), (count, 1, 1)).tolist(),
        "xyz": joints.tolist(),
        "verts": vertices.tolist(),
        "mano": [[np.zeros(61).tolist()] for _ in range(count)],
        "scale": [0.03] * count,
    }
    for what, content in contents.items():
        (folder / f"{split}_{what}.json").write_text(json.dumps(content))
    for i in range(count):
        write_photo(folder / split / "rgb" / f"{i:08d}.jpg", 224, 224)


PICKED = "<!DOCTYPE PickedPoints>\n<PickedPoints>\n <DocumentData/>\n{points}</PickedPoints>\n"


def write_now(folder: Path, vertices: np.ndarray, faces: np.ndarray, landmarks: np.ndarray) -> None:
    """NoW with one person: scan "V 3" and landmarks "7 3" in millimetres, two photos."""
    person = "FaMoS_180424_03335_TA"
    names = [f"{person}/multiview_neutral/IMG_0001.jpg", f"{person}/selfie/IMG_0002.jpg"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "imagepathsvalidation.txt").write_text("\n".join(names) + "\n")
    for name in names:
        write_photo(folder / "final_release_version" / "iphone_pictures" / name)
    write_obj(folder / "scans" / person / "natural_head_rotation.000001.obj", vertices, faces)
    points = "".join(
        f' <point x="{x}" y="{y}" z="{z}" active="1" name="{i}"/>\n' for i, (x, y, z) in enumerate(landmarks)
    )
    picked = folder / "scans_lmks_onlypp" / person / "natural_head_rotation.000001_picked_points.pp"
    picked.parent.mkdir(parents=True)
    picked.write_text(PICKED.format(points=points))


def write_stirling(folder: Path, vertices: np.ndarray, faces: np.ndarray, landmarks: np.ndarray) -> None:
    """Stirling/ESRC with one woman who has a scan (two photos) and one man without."""
    for name in ("F1001_a.jpg", "F1001_b.jpg", "M1002_a.jpg"):
        write_photo(folder / "Subset_2D_FG2018" / "HQ" / name)
    write_obj(folder / "F_3D_N" / "f1001_N.obj", vertices, faces)
    file = folder / "annotations" / "F_3D_N" / "F1001_N.lnd"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"P{i} {x} {y} {z}\n" for i, (x, y, z) in enumerate(landmarks)))


def write_agora(folder: Path, people: list[dict[str, np.ndarray]]) -> None:
    """AGORA, parsed, with one photo of 1280 x 720 and these people (SMPL-X parameters, camera axes)."""
    photo = "validation/ag_validationset_1_5_10_1280x720.png"
    write_photo(folder / photo, 1280, 720)
    annotations = []
    for i, person in enumerate(people):
        smplx, camera = f"smplx_params_cam/{i}.json", f"cam_params/{i}.json"
        for name, content in (
            (smplx, {key: np.asarray(value).tolist() for key, value in person.items()}),
            (camera, {"focal": [5000.0, 5000.0], "princpt": [1920.0, 1080.0]}),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(content))
        annotations.append(
            {
                "id": i,
                "image_id": 7,
                "person_id": i,
                "is_valid": True,
                "bbox": [300.0 * i, 600.0, 300.0, 900.0],
                "smplx_param_path": smplx,
                "cam_param_path": camera,
            }
        )
    annotations.append(annotations[0] | {"id": 99, "is_valid": False})
    content = {"images": [{"id": 7, "file_name_1280x720": photo}], "annotations": annotations}
    (folder / "AGORA_validation_SMPLX.json").write_text(json.dumps(content))


def write_curated(folder: Path, split: str, pose: np.ndarray, **more: np.ndarray) -> None:
    """ExPose's curated fits with pose "N 53 3" or "N 55 3"."""
    count = len(pose)
    folder.mkdir(parents=True, exist_ok=True)
    g = np.random.default_rng(1)
    arrays = {
        "betas": g.normal(size=(count, 10)),
        "expression": g.normal(size=(count, 10)),
        "keypoints2D": g.uniform(1, 9, size=(count, 135, 3)),
        "pose": pose,
        "img_fns": np.array([f"lsp/im{i:04d}.jpg" for i in range(count)]),
    }
    np.savez(folder / f"{split}.npz", **(arrays | more))
    for i in range(count):
        write_photo(folder / "images" / "lsp" / f"im{i:04d}.jpg")
