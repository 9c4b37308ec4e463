"""The auxiliary files of SMPL-X."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.errors import DataSetError
from limner.evaluate.person_points import NotComparable, PersonPoints
from limner.evaluate.topology import HANDS_FILE, J14_FILE, find_smplx_files
from tests.evaluate.tiny_smplx import HEAD, LEFT, RIGHT, VERTICES, posed, smplx_and_files, write_smplx


def test_parts_and_joints(tmp_path: Path):
    model, files = smplx_and_files(tmp_path)
    assert files.missing == () and files.vertex_count == VERTICES
    assert files.part("left_hand").tolist() == LEFT.tolist() and files.part("right_hand").tolist() == RIGHT.tolist()
    body = set(files.part("body").tolist())
    assert len(body) == VERTICES - 140 and not body & {*LEFT, *RIGHT, *HEAD}
    person = posed(model, 1)[0]
    by_hand = files.joint_regressor[7] @ person.mesh().double()
    assert torch.allclose(files.joint(person, "left_ankle"), by_hand)
    assert files.fourteen(person).shape == (14, 3)


def test_files_lie_beside_the_model_or_in_other_folders(tmp_path: Path):
    model = write_smplx(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / HANDS_FILE).rename(tmp_path / "b" / HANDS_FILE)
    assert find_smplx_files([tmp_path / "b"], model).missing == ()
    assert find_smplx_files([tmp_path / "nowhere"], model).missing == (HANDS_FILE,)


def test_joints_of_other_bodies_are_their_own(tmp_path: Path):
    _, files = smplx_and_files(tmp_path)
    other = PersonPoints(vertices=torch.zeros(7, 3), joints=torch.tensor([[1.0, 2, 3]]), joint_names=("neck",))
    assert files.joint(other, "neck").tolist() == [1, 2, 3]
    with pytest.raises(NotComparable, match="no joint called pelvis"):
        files.joint(other, "pelvis")
    with pytest.raises(NotComparable, match="7 vertices"):
        files.fourteen(other)


def test_files_of_another_kind_are_refused(tmp_path: Path):
    write_smplx(tmp_path)
    (tmp_path / HANDS_FILE).write_bytes(pickle.dumps({"hands": np.arange(3)}))
    with pytest.raises(DataSetError, match="expected left_hand"):
        find_smplx_files([tmp_path])
    (tmp_path / HANDS_FILE).unlink()
    (tmp_path / J14_FILE).write_bytes(pickle.dumps(np.zeros((17, 5))))
    with pytest.raises(DataSetError, match="expected \\(14, 10475\\)"):
        find_smplx_files([tmp_path])
