"""The official network as an estimator: cameras and places in both modes, several photos at once.

A stand-in speaks in place of the network: known people, seen by known weak cameras. The network itself is checked in
test_network.py, and through the command line in test_command.py.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from limner.body.model import BodyModel
from limner.errors import BoxError
from limner.expose.crops import CLEAN_CROPS, OFFICIAL_CROPS, Cropping
from limner.expose.estimator import OfficialEstimator
from limner.expose.network import ExposeNetwork, ExposePeople, Regression
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import WeakCamera, weak_from_translation
from limner.io.image import Photo
from tests.conftest import random_people
from tests.networks.figures import as_photo, blank, draw_person

NOTHING = Regression(torch.zeros(0, 1), ())


class Standin(ExposeNetwork):
    """Says the same of whoever is in the boxes; a body of height 1 fills its crop."""

    def __init__(self, body_model: BodyModel):
        nn.Module.__init__(self)
        self.body_model, self.cropping = body_model, None

    def people(self, photos: list[Tensor], boxes: list[Tensor], cropping: Cropping = OFFICIAL_CROPS) -> ExposePeople:
        self.cropping = cropping
        together = torch.cat(boxes)
        count, squares = len(together), squares_around(together, 1.2)
        params = random_people(count, 10, 10).to(torch.float32).replace(transl=torch.zeros(count, 3))
        mesh = self.body_model(params)
        keypoints = self.body_model.keypoints144(mesh, params)
        camera = WeakCamera(torch.linspace(0.5, 0.9, count), torch.linspace(-0.2, 0.3, 2 * count).reshape(-1, 2))
        return ExposePeople(
            params=params,
            vertices=mesh.vertices,
            keypoints=keypoints,
            keypoints_px=squares.photo_from_unit(camera.project(keypoints)),
            camera=camera,
            squares=squares,
            right_hand=squares,
            left_hand=squares,
            head=squares,
            coarse=params,
            coarse_keypoints=keypoints,
            body_regression=NOTHING,
            hand_regression=NOTHING,
            head_regression=NOTHING,
        )


@pytest.fixture(scope="module")
def standin(smplx_file) -> Standin:
    return Standin(BodyModel.load(smplx_file, 10, 10))


BOXES = torch.tensor([[40.0, 20, 240, 420], [300, 100, 420, 390]])


def photo(width: int = 640, height: int = 480, focal_px: float | None = None) -> Photo:
    return Photo(torch.zeros(3, height, width, dtype=torch.uint8), focal_px, Path("photo.png"))


def test_the_official_mode_has_the_demos_cameras(standin):
    people = OfficialEstimator(standin)(photo(focal_px=900.0), BOXES)
    said = standin.people([], [BOXES])
    assert standin.cropping is OFFICIAL_CROPS and len(people) == 2
    assert people.camera.focal_px.tolist() == [5000, 5000]
    assert torch.allclose(people.camera.center_px, said.squares.center_px)
    depth = 2 * 5000 / (said.camera.scale * said.squares.size_px)
    assert torch.allclose(people.params.transl, torch.cat([said.camera.translation, depth[:, None]], -1))
    assert torch.allclose(people.keypoints_px, said.keypoints_px, atol=1e-2)  # weak perspective, as the network says
    assert torch.allclose(people.vertices - people.params.transl[:, None], said.vertices, atol=1e-4)
    back = weak_from_translation(people.params.transl, people.body_square, people.camera)
    assert torch.allclose(back.scale, said.camera.scale)
    assert torch.allclose(back.translation, said.camera.translation, atol=1e-5)


def test_the_clean_mode_has_one_camera_that_sees_what_the_network_saw(standin):
    estimator = OfficialEstimator(standin, "clean")
    people = estimator(photo(), BOXES, focal_px=8000.0)
    assert standin.cropping is CLEAN_CROPS
    assert people.camera.focal_px.tolist() == [8000, 8000]
    assert people.camera.center_px.tolist() == [[320, 240]] * 2
    said = standin.people([], [BOXES])
    # this far away perspective is weak: turned and moved, the body looks as it did in its crop
    assert (people.keypoints_px - said.keypoints_px).abs()[:, :22].mean() < 2
    assert torch.allclose(people.keypoints_px, people.camera.project(people.keypoints), atol=1e-2)
    again = standin.body_model(people.params)
    assert torch.allclose(again.vertices, people.vertices, atol=1e-4)
    assert estimator(photo(focal_px=900.0), BOXES).camera.focal_px.tolist() == [900, 900]  # of EXIF


@pytest.mark.parametrize("mode", ["official", "clean"])
def test_several_photos_at_once(standin, mode):
    estimator = OfficialEstimator(standin, mode)
    photos = [photo(), photo(800, 800), photo(500, 600)]
    people = estimator.together(photos, [BOXES[:1], torch.zeros(0, 4), BOXES[1:]])
    assert [len(own) for own in people] == [1, 0, 1]
    assert torch.equal(people[2].boxes, BOXES[1:]) and people[2].scores.tolist() == [1]
    if mode == "clean":
        assert people[2].camera.center_px.tolist() == [[250, 300]]
    assert people[0].coarse is not None and len(people[0].coarse) == 1
    assert [len(own) for own in estimator.together(photos[:2], [torch.zeros(0, 4)] * 2)] == [0, 0]


def test_bad_boxes_are_refused(standin):
    with pytest.raises(BoxError, match="outside the photo"):
        OfficialEstimator(standin)(photo(), BOXES + 1000)


def test_people_are_found_where_no_boxes_are_given(standin):
    image = blank(480, 640)
    bounds = draw_person(image, 240, 60, 500)
    people = OfficialEstimator(standin)(as_photo(image))
    assert len(people) == 1 and float(people.scores[0]) < 1
    assert (people.boxes[0] - bounds).abs().max() < 150
    assert isinstance(people.body_square, Squares)
