"""The body layer against an independent implementation and its own laws."""

import numpy as np
import pytest
import torch
from body_models.smplx.torch import SMPLX

from limner.body.model import BodyModel, contour_row
from limner.body.skeleton import PARENTS
from limner.errors import BodyModelError
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle
from tests.conftest import random_people, smplx_arrays


def test_equals_body_models(smplx_file):
    ours = BodyModel.load(smplx_file, num_betas=300, num_expression=10, dtype=torch.float64)
    oracle = SMPLX(model_path=smplx_file, flat_hand_mean=True)
    people = random_people(3, 300, 10)
    args = {
        "body_pose": rotation_to_axis_angle(people.body_pose),
        "head_pose": rotation_to_axis_angle(torch.stack([people.jaw_pose, people.leye_pose, people.reye_pose], 1)),
        "hand_pose": rotation_to_axis_angle(torch.cat([people.left_hand_pose, people.right_hand_pose], 1)),
        "shape": people.betas,
        "expression": people.expression,
        "pelvis_rotation": rotation_to_axis_angle(people.global_orient),
        "global_translation": people.transl,
    }
    expected = oracle.forward_vertices(**{k: v.float() for k, v in args.items()})
    mesh = ours(people)
    assert (mesh.vertices - expected).abs().max() < 1e-5
    assert (ours.joints(people) - mesh.joints).abs().max() < 1e-12


def test_float32_is_close_to_float64(smplx_file):
    people = random_people(2, 10, 10)
    single, double = (BodyModel.load(smplx_file, 10, 10, dtype=d) for d in (torch.float32, torch.float64))
    assert (single(people.to(torch.float32)).vertices - double(people).vertices).abs().max() < 1e-5


def test_gradients_match_finite_differences(smplx_file):
    model = BodyModel.load(smplx_file, 4, 4, dtype=torch.float64)
    people = random_people(1, 4, 4)

    def vertices_of(betas, pose):
        turned = people.replace(betas=betas, body_pose=rotation_from_axis_angle(pose))
        return model(turned).vertices[:, ::50]

    pose = rotation_to_axis_angle(people.body_pose).requires_grad_()
    assert torch.autograd.gradcheck(vertices_of, (people.betas.clone().requires_grad_(), pose), atol=1e-5)


def test_rest_pose_is_the_template(body):
    rest = body.rest().replace(global_orient=torch.eye(3)[None])
    assert (body(rest).vertices[0] - body.v_template).abs().max() < 1e-5


def test_mirrored_people_are_mirror_images(body):
    mirror_vertex = torch.as_tensor(body.assets.extra["mirror_vertex"].astype(np.int64))
    mirror_expression = torch.as_tensor(body.assets.extra["mirror_expression"]).float()[
        : body.num_expression, : body.num_expression
    ]
    people = random_people(2, body.num_betas, body.num_expression, size=0.3).to(torch.float32)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    expected = (body(people).vertices * flip)[:, mirror_vertex]
    assert (body(people.mirrored(mirror_expression)).vertices - expected).abs().max() < 2e-3


def test_keypoints_are_on_the_right_side(body):
    people = body.rest(1)
    points = body.keypoints(body(people), people, "coco17")[0]
    nose, left_shoulder, right_shoulder, left_ankle = points[0], points[5], points[6], points[15]
    assert left_shoulder[0] > 0 > right_shoulder[0]  # facing the camera, x right: the person's left is at +x
    assert nose[1] < left_shoulder[1] < left_ankle[1]  # y down
    assert nose[2] < left_shoulder[2]  # nose towards the camera


@pytest.mark.parametrize(("yaw_deg", "row"), [(0, 0), (-20, 20), (-80, 39), (20, 59), (80, 78)])
def test_contour_row_follows_head_yaw(yaw_deg, row):
    neck = rotation_from_axis_angle(torch.tensor([[0.0, np.deg2rad(yaw_deg), 0.0]]))
    assert contour_row(neck).tolist() == [row]


def test_version_1_0_and_more_betas_than_there_are(tmp_path):
    path = tmp_path / "SMPLX_MALE.npz"
    np.savez(path, **smplx_arrays(directions=20))
    model = BodyModel.load(path)
    assert (model.num_betas, model.num_expression) == (10, 10)
    with pytest.raises(BodyModelError, match="has 10"):
        BodyModel.load(path, num_betas=16)
    with pytest.raises(BodyModelError, match="12 betas"):
        model(random_people(1, 12, 10).to(torch.float32))


def test_parents_come_before_children():
    assert all(parent < joint for joint, parent in enumerate(PARENTS))


def test_exports_as_a_graph(smplx_file):
    model = BodyModel.load(smplx_file, 4, 4)
    people = random_people(1, 4, 4).to(torch.float32)

    class Vertices(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, betas, body_pose):
            return self.model(people.replace(betas=betas, body_pose=body_pose)).vertices

    program = torch.export.export(Vertices(), (people.betas, people.body_pose))
    again = program.module()(people.betas * 2, people.body_pose)
    assert torch.allclose(again, model(people.replace(betas=people.betas * 2)).vertices, atol=1e-5)


def test_keypoints_without_the_mesh(smplx_file):
    model = BodyModel.load(smplx_file, 10, 10, dtype=torch.float64)
    people = random_people(2, 10, 10)
    small = model.keypoints_only()
    expected = model.keypoints144(model(people), people)
    assert torch.allclose(small.keypoints144(small(people), people), expected)
