"""AGORA, parsed; and the submission that its server takes."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.sources.agora import (
    Submitted,
    read_agora,
    write_submission_files,
    zip_submission,
)
from limner.errors import DataSetError
from limner.geometry.rotation import rotation_from_axis_angle
from tests.conftest import random_people
from tests.data.sources.tiny_sets import write_agora

G = np.random.default_rng(0)
PERSON = {
    "global_orient": G.normal(size=(1, 3)),
    "body_pose": G.normal(size=(1, 63)),
    "left_hand_pose": G.normal(size=(1, 45)),
    "right_hand_pose": G.normal(size=(1, 45)),
    "jaw_pose": G.normal(size=(1, 3)),
    "betas": G.normal(size=(1, 10)),
    "expression": G.normal(size=(1, 10)),
    "transl": G.normal(size=(1, 3)),
}
MEANS = torch.tensor(G.normal(size=(2, 45)) * 0.1).float()


def test_people_are_read_in_the_pixels_of_the_photo_that_is_there(tmp_path: Path):
    write_agora(tmp_path, [PERSON, PERSON])
    people = list(read_agora(tmp_path))
    assert [person.name for person in people] == ["ag_validationset_1_5_10#0", "ag_validationset_1_5_10#1"]
    assert people[1].box.tolist() == pytest.approx([100, 200, 200, 500])
    assert people[0].K[0].tolist() == pytest.approx([5000 / 3, 0, 640])
    params = people[0].params(MEANS)
    fingers = torch.tensor(PERSON["left_hand_pose"]).float().reshape(15, 3) + MEANS[0].reshape(15, 3)
    assert torch.allclose(params.left_hand_pose[0], rotation_from_axis_angle(fingers), atol=1e-6)
    assert torch.allclose(params.reye_pose[0], torch.eye(3))


def test_a_submission_holds_what_was_given(tmp_path: Path):
    people = [random_people(1, 10, 10, seed=i).to(torch.float32) for i in range(3)]
    points = torch.rand(24, 2)
    given = [Submitted(name, person, points) for name, person in zip(("a", "a", "b"), people, strict=True)]
    write_submission_files(tmp_path / "parts", given[2:], MEANS)
    write_submission_files(tmp_path / "parts", given[:2], MEANS)
    zip_submission(tmp_path / "predictions.zip", tmp_path / "parts")
    with zipfile.ZipFile(tmp_path / "predictions.zip") as archive:
        assert archive.namelist() == [f"predictions/{n}.pkl" for n in ("a_personId_0", "a_personId_1", "b_personId_0")]
        content = pickle.loads(archive.read("predictions/a_personId_1.pkl"))  # our own file
    assert content["joints"].shape == (24, 2) and content["params"]["body_pose"].shape == (1, 63)
    right = torch.tensor(content["params"]["right_hand_pose"]).reshape(15, 3) + MEANS[1].reshape(15, 3)
    assert torch.allclose(rotation_from_axis_angle(right), people[1].right_hand_pose[0], atol=1e-4)
    assert np.allclose(content["params"]["transl"], people[1].transl)


def test_half_a_download(tmp_path: Path):
    with pytest.raises(DataSetError, match="AGORA_validation_SMPLX.json"):
        list(read_agora(tmp_path))
    write_agora(tmp_path, [PERSON])
    (tmp_path / "cam_params" / "0.json").write_text('{"focal": [1, 1]}')
    with pytest.raises(DataSetError, match=r"cannot be used \('princpt' is missing\)"):
        list(read_agora(tmp_path))
    (tmp_path / "cam_params" / "0.json").unlink()
    with pytest.raises(DataSetError, match="the annotations name it"):
        list(read_agora(tmp_path))
