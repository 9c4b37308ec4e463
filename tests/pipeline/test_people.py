"""The record of a photo's people, and one person of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from limner.body.model import BodyModel
from limner.geometry.box import Squares
from limner.geometry.camera import photo_camera
from limner.pipeline.people import People, Person, nobody


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    """Three people, each a metre farther away than the one before."""
    transl = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 4.0]])
    params = body.rest(3).replace(transl=transl)
    mesh = body(params)
    camera = photo_camera(400, 300, None, 3)
    keypoints = body.keypoints144(mesh, params)
    square = Squares(torch.full((3, 2), 50.0), torch.tensor([10.0, 20.0, 30.0]), torch.zeros(3))
    return People(
        params=params,
        vertices=mesh.vertices,
        faces=body.faces,
        joints=mesh.joints,
        keypoints=keypoints,
        keypoints_px=camera.project(keypoints),
        confidence=torch.rand(3, 144, generator=torch.Generator().manual_seed(0)),
        camera=camera,
        boxes=torch.tensor([[0.0, 0.0, 90.0, 200.0], [100.0, 0.0, 190.0, 200.0], [200.0, 0.0, 290.0, 200.0]]),
        scores=torch.tensor([0.9, 0.7, 0.5]),
        body_square=square,
        left_hand_square=square,
        right_hand_square=square,
        face_square=square,
        left_hand_trusted=torch.tensor([True, False, False]),
        right_hand_trusted=torch.tensor([True, True, False]),
        face_trusted=torch.tensor([True, False, False]),
    )


@pytest.mark.parametrize("index", [1, -2, np.int64(1), torch.tensor(1)])
def test_a_whole_number_is_one_person(people: People, index: int):
    person = people[index]
    assert isinstance(person, Person)
    assert torch.equal(person.vertices, people.vertices[1]) and torch.equal(person.joints, people.joints[1])
    assert person.keypoints.shape == (144, 3) and person.keypoints_px.shape == (144, 2)
    assert torch.equal(person.confidence, people.confidence[1]) and torch.equal(person.box, people.boxes[1])
    assert person.score == pytest.approx(0.7) and torch.equal(person.camera_K, people.camera.K[1])
    assert (person.face_trusted, person.left_hand_trusted, person.right_hand_trusted) == (False, False, True)
    assert person.faces is people.faces and len(person.alone) == 1
    for own, all_ in zip(person.keypoint_set("coco17"), people.keypoint_set("coco17"), strict=True):
        assert torch.equal(own, all_[1])


def test_a_person_poses_the_body(people: People, body: BodyModel):
    assert torch.equal(body(people[2].params).vertices[0], people[2].vertices)


def test_iteration_yields_everybody_in_order(people: People):
    assert [round(float(person.params.transl[0, 2])) for person in people] == [2, 3, 4]
    assert [person.score for person in people] == people.scores.tolist()


@pytest.mark.parametrize("index", [3, -4, np.int64(9)])
def test_nobody_is_out_of_range(people: People, index: int):
    with pytest.raises(IndexError, match="of 3"):
        people[index]


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, None), [1, 2]),
        (slice(0, 0), []),
        ([2, 0], [2, 0]),
        (np.array([2, -3]), [2, 0]),
        (torch.tensor([1]), [1]),
        (torch.tensor([True, False, True]), [0, 2]),
        ([True, False, True], [0, 2]),
        ([], []),
    ],
)
def test_several_are_people_again(people: People, index: list[int], rows: list[int]):
    some = people[index]
    assert isinstance(some, People) and len(some) == len(rows) == len(some.params) == len(some.camera)
    assert torch.equal(some.vertices, people.vertices[rows]) and torch.equal(some.boxes, people.boxes[rows])
    assert torch.equal(some.face_square.size_px, people.face_square.size_px[rows])


def test_parameters_keep_their_rows(people: People):
    assert people.params[1].body_pose.shape == (1, 21, 3, 3)
    assert torch.equal(people.params[-1].transl, people.params.transl[2:])


def test_each_prints_as_one_line(people: People, body: BodyModel):
    assert repr(people) == "People(3 people, scores 0.90 0.70 0.50, 1 face and 3 hands seen)"
    assert repr(people[:1]) == "People(1 person, score 0.90, 1 face and 2 hands seen)"
    assert repr(people[[0] * 9]).count("0.90") == 6 and " ... " not in repr(people) and "..." in repr(people[[0] * 9])
    assert repr(people[1]) == "Person(score 0.70, box 100 0 190 200 px, right hand seen)"
    assert repr(people[2]) == "Person(score 0.50, box 200 0 290 200 px, neither face nor hands seen)"
    assert repr(people.params) == "BodyParams(3 people, 40 betas, 20 expression coefficients)"
    assert repr(body) == "BodyModel(body.npz: 14194 vertices, 40 betas, 20 expression coefficients)"
    assert repr(nobody(body, photo_camera(400, 300, None, 0))) == "People(nobody)"


def test_numbers_go_to_a_file(people: People, tmp_path):
    known = replace(people, coarse=people.params)
    np.savez(tmp_path / "people.npz", **known.numpy())
    with np.load(tmp_path / "people.npz") as file:
        found = dict(file)
    assert {array.dtype.name for array in found.values()} == {"float32", "int32", "bool"}
    assert np.array_equal(found["vertices"], people.vertices.numpy())
    assert np.array_equal(found["camera_K"], people.camera.K.numpy())
    assert found["body_pose"].shape == found["coarse_body_pose"].shape == (3, 21, 3, 3)
    assert found["face_square_px"][1].tolist() == [50, 50, 20, 0]


def test_numbers_of_one_person(people: People):
    one, everybody = people[1].numpy(), people.numpy()
    assert "box" in one and "score" in one and "boxes" not in one
    assert np.array_equal(one["vertices"], everybody["vertices"][1])
    assert np.array_equal(one["faces"], everybody["faces"]) and one["betas"].shape == (40,)
    assert one["camera_K"].shape == (3, 3) and one["face_square_px"].shape == (4,)


def test_numbers_of_people_with_gradients(people: People):
    assert replace(people, vertices=people.vertices.clone().requires_grad_()).numpy()["vertices"].shape[0] == 3
