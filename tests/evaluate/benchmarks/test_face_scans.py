"""NoW and Stirling as benchmarks."""

from pathlib import Path

import torch

from limner.evaluate.benchmarks.face_scans import facing_the_camera, now_benchmark, stirling_benchmark
from limner.geometry.rotation import rotation_from_axis_angle
from tests.data.sources.tiny_sets import write_now, write_stirling
from tests.evaluate.benchmarks.test_scan_metrics import LANDMARKS, bowl


def test_scans_in_any_axes_face_the_camera(tmp_path: Path):
    vertices, faces = bowl(9)
    turn = rotation_from_axis_angle(torch.tensor([0.4, 2.1, -0.7]))
    scan, points = 1000 * vertices @ turn.mT, 1000 * LANDMARKS @ turn.mT + 0.0
    write_now(tmp_path, scan.numpy(), faces.numpy(), points.numpy())
    benchmark = now_benchmark(tmp_path)
    assert [case.group for case in benchmark.cases] == ["FaMoS_180424_03335_TA"] * 2
    target = benchmark.cases[0].target()
    assert target.landmarks is not None and target.vertices is not None
    right, left, mouth = target.landmarks[0], target.landmarks[3], target.landmarks[5:].mean(0)
    assert torch.allclose(left - right, torch.tensor([0.09, 0, 0]), atol=1e-5)
    assert mouth[1] > left[1] and abs(float(mouth[2] - left[2])) < 1e-5
    assert torch.allclose(torch.cdist(target.vertices, target.landmarks), torch.cdist(vertices, LANDMARKS), atol=1e-5)
    rotation = facing_the_camera(points)
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3), atol=1e-5) and torch.linalg.det(rotation) > 0


def test_stirling_counts_people_without_a_scan(tmp_path: Path):
    vertices, faces = bowl(9)
    write_stirling(tmp_path, 1000 * vertices.numpy(), faces.numpy(), 1000 * LANDMARKS.numpy())
    benchmark = stirling_benchmark(tmp_path, "HQ")
    assert len(benchmark.cases) == 2 and any("left out: 1" in note for note in benchmark.notes)
