"""Human3.6M, parsed."""

import json
from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.h36m import read_h36m
from limner.errors import DataSetError

WORLD = np.random.default_rng(0).normal(size=(17, 3)) * 1000


def write(folder: Path) -> None:
    image = {
        "id": 0,
        "file_name": "s_09_act_02_subact_01_ca_01/s_09_act_02_subact_01_ca_01_000001.jpg",
        "action_idx": 2,
        "subaction_idx": 1,
        "cam_idx": 1,
        "frame_idx": 0,
    }
    contents = {
        "data": {"images": [image], "annotations": [{"image_id": 0, "bbox": [10, 20, 30, 40]}]},
        "camera": {
            "1": {
                "R": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
                "t": [100.0, 200.0, 3000.0],
                "f": [1145.0, 1144.0],
                "c": [512.5, 515.4],
            }
        },
        "joint_3d": {"2": {"1": {"0": WORLD.tolist()}}},
        "SMPLX_NeuralAnnot": {"2": {"1": {"0": {"root_pose": [0, 0, 0]}}}},
    }
    (folder / "annotations").mkdir()
    for name, content in contents.items():
        (folder / "annotations" / f"Human36M_subject9_{name}.json").write_text(json.dumps(content))


def test_joints_are_in_the_camera_in_metres(tmp_path: Path):
    write(tmp_path)
    (frame,) = read_h36m(tmp_path, 9)
    assert np.allclose(frame.joints, (WORLD[:, [1, 2, 0]] + [100, 200, 3000]) / 1000, atol=1e-5)
    assert frame.box.tolist() == [10, 20, 40, 60] and frame.K[1].tolist() == pytest.approx([0, 1144, 515.4])
    assert frame.world_fit == {"root_pose": [0, 0, 0]} and frame.photo.name.endswith("000001.jpg")


def test_half_a_download(tmp_path: Path):
    write(tmp_path)
    (tmp_path / "annotations" / "Human36M_subject9_SMPLX_NeuralAnnot.json").unlink()
    assert next(read_h36m(tmp_path, 9)).world_fit is None
    (tmp_path / "annotations" / "Human36M_subject9_joint_3d.json").write_text('{"2": {"1": {}}}')  # without frame 0
    with pytest.raises(DataSetError, match=r"subject9_data.json[\s\S]*'0' is missing[\s\S]*vision.imar.ro"):
        next(read_h36m(tmp_path, 9))
    (tmp_path / "annotations" / "Human36M_subject9_camera.json").write_text("[]")
    with pytest.raises(DataSetError, match="expected a dict"):
        next(read_h36m(tmp_path, 9))
    with pytest.raises(DataSetError, match=r"Human36M_subject11_data.json[\s\S]*vision.imar.ro"):
        next(read_h36m(tmp_path, 11))
