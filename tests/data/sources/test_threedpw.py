"""3DPW's sequence files, and ExPose's npz of them."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.threedpw import J14_NAMES, SMPL_JOINTS, read_threedpw
from limner.errors import DataSetError
from tests.data.sources.tiny_sets import write_threedpw

JOINTS = np.random.default_rng(0).normal(size=(2, 3, 24, 3))


def test_joints_are_in_the_camera_and_invalid_frames_are_left_out(tmp_path: Path):
    cameras = write_threedpw(tmp_path, JOINTS)
    people = list(read_threedpw(tmp_path))
    assert [person.name for person in people] == [
        "yard_00/image_00000#0",
        "yard_00/image_00001#0",
        "yard_00/image_00000#1",
        "yard_00/image_00001#1",
        "yard_00/image_00002#1",
    ]
    last = people[-1]
    assert np.allclose(last.joints, JOINTS[1, 2] @ cameras[2, :3, :3].T + cameras[2, :3, 3], atol=1e-5)
    assert last.joint_names == SMPL_JOINTS and last.photo.exists()
    assert 1 < (last.box[2] - last.box[0]) < 1.2 * 8 + 0.1


def test_the_private_layout_of_expose(tmp_path: Path):
    g = np.random.default_rng(0)
    np.savez(
        tmp_path / "3dpw_test.npz",
        img_paths=np.array(["imageFiles/a/image_00003.jpg", "imageFiles/a/image_00004.jpg"]),
        keypoints2d=g.uniform(1, 9, size=(2, 18, 3)),
        joints3d=JOINTS[0, :2],
        pid=np.array([1, 0]),
    )
    (tmp_path / "smplx_vertices" / "test").mkdir(parents=True)
    np.save(tmp_path / "smplx_vertices" / "test" / "000001.npy", np.zeros((5, 3)))
    first, second = read_threedpw(tmp_path)
    assert first.name == "imageFiles/a/image_00003#1" and first.sequence == "a"
    assert np.allclose(first.joints, JOINTS[0, 0, :14]) and first.joint_names == J14_NAMES
    assert first.vertices_file is None and second.vertices_file is not None


def test_half_a_download(tmp_path: Path):
    write_threedpw(tmp_path, JOINTS)
    for photo in (tmp_path / "imageFiles" / "yard_00").iterdir():
        photo.unlink()
    (tmp_path / "imageFiles" / "yard_00").rmdir()
    with pytest.raises(DataSetError, match="has no photos"):
        list(read_threedpw(tmp_path))
    with pytest.raises(DataSetError, match="sequenceFiles"):
        list(read_threedpw(tmp_path / "imageFiles"))
    with pytest.raises(DataSetError, match=r"nothing in it|no such folder"):
        list(read_threedpw(tmp_path, "train"))
