"""Does BlazeFace fill its record as documented, and is the iBUG table well formed?"""

import pytest
import torch

from limner.networks.blaze.face import IBUG68_FROM_MESH, BlazeFace


@pytest.fixture(scope="module")
def face():
    return BlazeFace.load()


def test_ibug_table_names_68_different_mesh_points():
    assert len(IBUG68_FROM_MESH) == len(set(IBUG68_FROM_MESH)) == 68
    assert min(IBUG68_FROM_MESH) >= 0 and max(IBUG68_FROM_MESH) < 468


def test_ibug_points_lie_as_in_a_face(face):
    """Even without a face the network draws its mean face: eyes above mouth, right eye at the image's left."""
    with torch.inference_mode():
        points = face(torch.full((1, 3, 192, 192), 0.5)).landmarks[0, list(IBUG68_FROM_MESH)]
    right_eye, left_eye, mouth, jaw = points[36:42], points[42:48], points[48:], points[:17]
    assert right_eye[:, 0].max() < left_eye[:, 0].min()
    assert points[36:48, 1].max() < mouth[:, 1].min() and mouth[:, 1].max() < jaw[8, 1]
    assert (jaw[3:15, 0] > jaw[2:14, 0]).all(), "the jaw runs from the image's left to its right"
    assert points[30, 2] < jaw[0, 2], "the tip of the nose is nearer to the camera than the ear"


def test_empty_batch_is_empty(face):
    with torch.inference_mode():
        assert len(face(torch.zeros(0, 3, 192, 192))) == 0
