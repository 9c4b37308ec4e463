"""The same places on two bodies: bones that lie otherwise at rest, and surfaces of other triangles."""

import numpy as np
import pytest
import torch

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT
from limner.geometry.rotation import rotation_to_axis_angle
from limner.pipeline.match_bodies import match_surfaces, rest_turns, skin_vertices
from tests.pipeline.bodies import other_make


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    path = tmp_path_factory.mktemp("bodies") / "other.npz"
    np.savez(path, **other_make())
    return BodyModel.load(path)


def test_bones_turn_from_one_rest_pose_to_the_other(body, other):
    assert torch.allclose(rest_turns(body, body), torch.eye(3, dtype=torch.float64), atol=1e-6)
    degrees = torch.rad2deg(rotation_to_axis_angle(rest_turns(body, other)))
    made = {"left_shoulder": (0, 0, 4), "right_elbow": (0, -3, -4), "left_hip": (0, 0, 3), "left_knee": (4, 0, 3)}
    for name, expected in made.items():
        assert torch.allclose(degrees[JOINT[name]], torch.tensor(expected).double(), atol=1.0), name
    for name in ("pelvis", "spine2", "head", "left_collar"):
        assert not degrees[JOINT[name]].any(), name


def test_a_mesh_matches_itself(body):
    used = skin_vertices(body)[::50]
    match = match_surfaces(body, body, rest_turns(body, body), used)
    assert torch.equal(match.vertex, used) and torch.equal(match.corners[:, 0], used)
    names = body.assets.extra["region_names"].tolist()
    regions = {names[int(k)] for k in body.assets.extra["region"][used.numpy()]}
    assert "face" in regions and not regions & {"teeth", "tongue", "pupil", "mouth_inside"}


def test_another_mesh_is_matched_place_by_place(body, other):
    """Hands to hands, finger by finger: the joint that carries a place is the same on both bodies."""
    used = skin_vertices(body)[::10]
    match = match_surfaces(body, other, rest_turns(body, other), used)
    assert len(match) > 0.95 * len(used)
    there = (other.weights[match.corners] * match.barycentric[..., None]).sum(1)
    # how much of the skinning weights is the same; joints of neighbouring bones blend
    agreed = torch.minimum(body.weights[match.vertex].double(), there).sum(1)
    assert float((agreed > 0.7).double().mean()) > 0.95 and float(agreed.mean()) > 0.9


def test_noise_is_no_surface(body, smplx_file):
    noise = BodyModel.load(smplx_file)
    assert match_surfaces(body, noise, rest_turns(body, noise), skin_vertices(body)[::10]) is None
