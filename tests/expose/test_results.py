"""What the demo's files say of official people: exactly the network's numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limner.body.model import BodyModel
from limner.expose.demo_file import read_demo_params
from limner.expose.estimator import OfficialEstimator
from limner.expose.results import demo_person, save_demo_results
from limner.io.image import Photo
from tests.expose.test_estimator import BOXES, Standin


@pytest.fixture(scope="module")
def standin(smplx_file: Path) -> Standin:
    return Standin(BodyModel.load(smplx_file, 10, 10))


@pytest.fixture
def photo() -> Photo:
    return Photo(torch.zeros(3, 480, 640, dtype=torch.uint8), None, Path("some/where/tea.jpg"))


def test_numbers_are_the_networks(standin, photo):
    people = OfficialEstimator(standin)(photo, BOXES)
    said = standin.people([], [BOXES])
    for i in range(2):
        person = demo_person(people[i : i + 1], photo, standin.body_model, "tea")
        assert torch.allclose(person.vertices, said.vertices[i], atol=1e-5)
        assert torch.allclose(person.joints, said.keypoints[i], atol=1e-5)
        assert torch.allclose(person.proj_joints, said.camera.project(said.keypoints)[i], atol=1e-5)
        assert torch.allclose(person.weak.scale, said.camera.scale[i])
        assert torch.allclose(person.weak.translation, said.camera.translation[i], atol=1e-5)
        assert torch.allclose(person.crop.size_px, said.squares.size_px[i : i + 1])


def test_files_and_numbering(standin, tmp_path):
    photo = Photo(torch.zeros(3, 48, 64, dtype=torch.uint8), None, Path("some/where/tea.jpg"))
    people = OfficialEstimator(standin)(photo, BOXES / 10)
    folders = save_demo_results(people, photo, standin.body_model, tmp_path, 7)
    assert [folder.name for folder in folders] == ["tea.jpg_007", "tea.jpg_008"]
    for folder in folders:
        expected = {f"{folder.name}_params.npz", f"{folder.name}.ply", f"body_{folder.name}.ply", "hd_imgs.png"}
        assert {path.name for path in folder.iterdir()} == expected | {"hd_overlay.png", "hd_orig_overlay.png"}
    assert read_demo_params(folders[1] / "tea.jpg_008_params.npz").photo_size_px == (64, 48)
    assert save_demo_results(people[:0], photo, standin.body_model, tmp_path, 9) == []
    without = save_demo_results(replace(people, coarse=None)[:1], photo, standin.body_model, tmp_path, 7)
    assert {path.name for path in without[0].iterdir()} == {
        "tea.jpg_007_params.npz", "tea.jpg_007.ply", "hd_imgs.png", "hd_overlay.png",
    }  # fmt: skip
