"""The protocols of faces against scans: NoW (validation) and Stirling/ESRC (the FG 2018 challenge)."""

from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.now import FacePhoto, read_now
from limner.data.sources.stirling import Quality, read_stirling
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.scan_metrics import FaceScanError
from limner.evaluate.person_points import PersonPoints

NOW_SOURCE = (
    "NoW: Sanyal et al., CVPR 2019 (RingNet). Similarity by seven landmarks, then by the scan-to-mesh distances; "
    "median, mean and standard deviation over all scan points of all photos. limner minimises their squares "
    "over every n-th scan point; the authors' own program has another solver, so expect small differences. The radius "
    "factor 1.4 is from memory of that program."
)
STIRLING_SOURCE = (
    "Stirling/ESRC: Feng et al., FG 2018. Similarity by seven landmarks only; 3DRMSE over the scan points of the inner "
    "face (radius factor 1.2), here averaged over photos."
)
NOW_RADIUS, STIRLING_RADIUS = 1.4, 1.2


def now_benchmark(folder: Path) -> Benchmark:
    """NoW's validation photos. Raises DataSetError for missing or half data."""
    metric = FaceScanError("scan to mesh", NOW_RADIUS, refined=True)
    cases = tuple(map(_case, read_now(folder)))
    notes = ("limner: the shape of the head network with a neutral face", "intervals: over people")
    return Benchmark("NoW validation", cases, (metric,), NOW_SOURCE, notes, checked=1)


def stirling_benchmark(folder: Path, quality: Quality) -> Benchmark:
    """The photos of one quality that have a scan. Raises DataSetError for missing or half data."""
    found = read_stirling(folder, quality)
    metric = FaceScanError("scan to mesh", STIRLING_RADIUS, refined=False)
    notes = (f"photos of people without a published scan, left out: {found.without_scan}", "intervals: over people")
    cases = tuple(map(_case, found.photos))
    return Benchmark(f"Stirling {quality}", cases, (metric,), STIRLING_SOURCE, notes, checked=1)


def _case(photo: FacePhoto) -> Case:
    return Case(photo.name, photo.subject, "head", photo.photo, partial(_target, photo))


def _target(photo: FacePhoto) -> PersonPoints:
    vertices, faces = photo.scan()
    landmarks = photo.landmarks()
    camera_from_scan = facing_the_camera(landmarks)
    return PersonPoints(
        vertices=vertices @ camera_from_scan.mT / 1000,
        faces=faces,
        landmarks=landmarks @ camera_from_scan.mT / 1000,
    )


def facing_the_camera(landmarks: Float[Tensor, "7 3"]) -> Float[Tensor, "3 3"]:
    """The rotation that turns a face in any axes to look upright into the camera; scores do not depend on it."""
    right, left = landmarks[0], landmarks[3]
    mouth = landmarks[5:7].mean(0)
    x = torch.nn.functional.normalize(left - right, dim=0)
    down = mouth - (left + right) / 2
    y = torch.nn.functional.normalize(down - (down @ x) * x, dim=0)
    return torch.stack([x, y, torch.linalg.cross(x, y)])
