"""Scan errors against hand-computed ones."""

import math
from dataclasses import replace

import pytest
import torch

from limner.evaluate.benchmarks.point_metrics import SelfCheckError
from limner.evaluate.benchmarks.scan_metrics import (
    BodyScanError,
    FaceScanError,
    carried,
    face_region,
    refine_onto,
)
from limner.evaluate.person_points import NotComparable, PersonPoints, shifted
from limner.geometry.rotation import rotation_about_z

LANDMARKS = torch.tensor(
    [[-0.045, 0.03, 0], [-0.015, 0.03, 0], [0.015, 0.03, 0], [0.045, 0.03, 0], [0, -0.01, 0]]
    + [[-0.03, -0.04, 0], [0.03, -0.04, 0]]
)  # fmt: skip


def bowl(n: int = 25, half: float = 0.08) -> tuple[torch.Tensor, torch.Tensor]:
    """A paraboloid patch over a grid, metres, and its triangles."""
    line = torch.linspace(-half, half, n)
    y, x = torch.meshgrid(line, line, indexing="ij")
    vertices = torch.stack([x, y, -4 * (x * x + 0.6 * y * y) + x * y], -1).reshape(-1, 3)
    corner = (torch.arange(n - 1)[:, None] * n + torch.arange(n - 1)).flatten()
    faces = torch.cat(
        [torch.stack([corner, corner + 1, corner + n], 1), torch.stack([corner + 1, corner + n + 1, corner + n], 1)]
    )
    return vertices, faces


def face() -> PersonPoints:
    vertices, faces = bowl()
    return PersonPoints(vertices=vertices, faces=faces, landmarks=LANDMARKS)


def test_the_region_is_the_challenges_ball():
    # bridge (0, .03, 0), bottom (0, -.01, 0): centre (0, .002, 0), nose 40 mm, outer eyes 90 mm: radius 1.2 * 65 mm
    reach = 1.2 * 0.065
    points = torch.tensor([[0, 0.002 + reach * 0.999, 0], [0, 0.002 + reach * 1.001, 0], [0, 0.002, reach * 0.999]])
    assert face_region(points, LANDMARKS, 1.2).tolist() == points[[0, 2]].tolist()


def test_a_plane_off_by_two_millimetres_scores_two():
    # a flat face scanned; a flat mesh 2 mm behind it whose landmarks were wrongly picked on the scan's plane
    vertices, faces = bowl(9, 0.2)
    flat = vertices * torch.tensor([1.0, 1, 0])
    true = PersonPoints(vertices=flat, faces=faces, landmarks=LANDMARKS)
    prediction = replace(true, vertices=flat + torch.tensor([0.0, 0, -0.002]))
    scores = FaceScanError("s", 1.2, refined=False)(prediction, true)
    assert scores.values["s median, mm"] == pytest.approx(2, abs=1e-4)
    assert scores.values["s RMSE, mm"] == pytest.approx(2, abs=1e-4)
    assert scores.values["s std, mm"] == pytest.approx(0, abs=1e-4)
    assert scores.distances_mm is not None and len(scores.distances_mm) == len(face_region(flat, LANDMARKS, 1.2))
    refined = FaceScanError("s", 1.2, refined=True)(prediction, true)
    assert refined.values["s mean, mm"] < 1e-3


def test_both_face_protocols_pass_their_check_on_any_mesh():
    for refined in (False, True):
        FaceScanError("s", 1.4, refined).check(face())


def test_the_check_catches_a_distance_that_is_no_distance(monkeypatch: pytest.MonkeyPatch):
    module = "limner.evaluate.benchmarks.scan_metrics.distance_to_mesh"
    monkeypatch.setattr(module, lambda points, vertices, faces: torch.zeros(len(points)))
    with pytest.raises(SelfCheckError, match="a plate 10 mm above a plate"):
        FaceScanError("s", 1.4, False).check(face())


def test_refinement_finds_a_mesh_that_stands_a_little_off():
    vertices, faces = bowl()
    turn = rotation_about_z(torch.tensor(0.03))
    off = (1.02 * vertices @ turn.mT + torch.tensor([0.002, -0.001, 0.003])).double()
    inner = vertices[vertices[:, :2].norm(dim=-1) < 0.05].double()
    found = refine_onto(inner, off, faces)
    distance = (found - vertices.double()).norm(dim=-1).mean()
    assert float((off - vertices.double()).norm(dim=-1).mean()) > 3e-3
    assert float(distance) < 1e-6


def test_points_are_carried_along():
    source = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    other = torch.eye(3)
    turn = rotation_about_z(torch.tensor(math.pi / 2))
    assert torch.allclose(carried(other, source, 2 * source @ turn.mT + 1), 2 * other @ turn.mT + 1, atol=1e-5)


def test_a_body_scan_by_hand():
    vertices, faces = bowl(9)
    scan = vertices[faces].mean(1) + torch.tensor([0.0, 0, 0.005])
    flat = replace(PersonPoints(vertices=vertices, faces=faces), vertices=vertices * torch.tensor([1.0, 1, 0]))
    true = replace(flat, scan=scan * torch.tensor([1.0, 1, 0]) + torch.tensor([0.0, 0, 0.005]))
    metric = BodyScanError("P2S", len(vertices))
    assert metric(shifted(flat, 300.0), true).values == {
        "P2S mean, mm": pytest.approx(5, abs=1e-3),
        "P2S median, mm": pytest.approx(5, abs=1e-3),
    }
    metric.check(true)
    with pytest.raises(NotComparable, match="no scans"):
        metric(flat, flat)
