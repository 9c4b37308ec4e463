"""Distances to surfaces against hand-computed ones and against a plain twin."""

import pytest
import torch

from limner.evaluate.surface import area_under_pck, closest_on_triangles, distance_to_mesh, f_score

TRIANGLE = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])


@pytest.mark.parametrize(
    ("point", "nearest"),
    [
        ((1.0, 1, 5), (1, 1, 0)),  # above the inside
        ((-3.0, -4, 0), (0, 0, 0)),  # a corner
        ((2.0, -7, 1), (2, 0, 0)),  # an edge
        ((5.0, 5, 0), (2, 2, 0)),  # the long edge
        ((9.0, -1, 0), (4, 0, 0)),
    ],
)
def test_nearest_point_of_a_triangle(point: tuple[float, ...], nearest: tuple[float, ...]):
    found = closest_on_triangles(torch.tensor([point]), TRIANGLE[None])
    assert torch.allclose(found, torch.tensor([nearest]).float(), atol=1e-6)


def test_a_triangle_without_area_is_a_line():
    line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]])
    assert torch.allclose(closest_on_triangles(torch.tensor([[2.0, 2, 0]]), line), torch.tensor([[2.0, 0, 0]]))


def test_distance_to_a_mesh_is_the_least_over_all_triangles():
    g = torch.Generator().manual_seed(0)
    vertices = torch.randn(60, 3, generator=g)
    faces = torch.randint(0, 60, (150, 3), generator=g)  # among them large ones and ones without area
    points = torch.randn(40, 3, generator=g) * 2
    every = torch.stack(
        [(p - closest_on_triangles(p.expand(len(faces), 3), vertices[faces])).norm(dim=-1).min() for p in points]
    )
    assert torch.allclose(distance_to_mesh(points, vertices, faces), every, atol=1e-5)


def test_points_of_the_surface_have_no_distance():
    faces = torch.tensor([[0, 1, 2]])
    assert distance_to_mesh(torch.tensor([[1.0, 1, 0], [0, 0, 0]]), TRIANGLE, faces).abs().max() < 1e-7


def test_f_score_by_hand():
    target = torch.tensor([[0.0, 0, 0], [10, 0, 0], [20, 0, 0], [30, 0, 0]])
    prediction = torch.tensor([[1.0, 0, 0], [50, 0, 0]])  # one of two is right; one of four is found
    assert f_score(prediction, target, 2.0) == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert f_score(target, target, 0.1) == 1 and f_score(prediction + 500, target, 2.0) == 0


def test_area_under_pck_by_hand():
    assert area_under_pck(torch.zeros(5), 0.05) == pytest.approx(1)
    assert area_under_pck(torch.full((5,), 1.0), 0.05) == 0
    half = area_under_pck(torch.tensor([0.0, 0.025]), 0.05, steps=1001)
    assert half == pytest.approx(0.75, abs=1e-3)  # one is always right, the other from half way on
