"""EHF's protocol: 100 frames, against SMPL-X registrations and, where they are there, the scans."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from limner.data.sources.ehf import CENTER_PX, FOCAL_PX, EhfFrame, read_ehf
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.scan_metrics import BodyScanError
from limner.evaluate.benchmarks.whole_body import OWN_BODY, joint14_metrics, named_joint_metrics, v2v_metrics
from limner.evaluate.person_points import PersonPoints
from limner.evaluate.topology import SmplxFiles
from limner.geometry.box import box_of_points
from limner.geometry.camera import Camera

SOURCE = (
    "EHF: Pavlakos et al., CVPR 2019. Metrics: ExPose, ECCV 2020; alignments as in Hand4Whole's "
    "data/EHF/EHF.py: V2V from the pelvis, hands from their wrists, face from the neck; PA- after Procrustes of each "
    "part's own vertices (MANO's and FLAME's vertices)."
)
BOX_ROOM = 1.1


def ehf_benchmark(folder: Path, files: SmplxFiles, complete: bool = True) -> Benchmark:
    """EHF with everything that the files allow. Raises DataSetError for missing or half data."""
    frames = read_ehf(folder, complete)
    vertex_count = len(frames[0].registration()[0])
    camera = Camera(torch.tensor([FOCAL_PX]), torch.tensor([CENTER_PX]))

    def box(frame: EhfFrame) -> Tensor:
        """The target's box in the photo, as other systems take it from the target or OpenPose."""
        return box_of_points(camera.project(frame.registration()[0][None])[0], margin=BOX_ROOM)

    cases = tuple(Case(f.name, f.name, "person", f.photo, partial(_target, f), box(f)) for f in frames)
    metrics = (
        *v2v_metrics(files, vertex_count),
        *joint14_metrics(files),
        *named_joint_metrics(files),
        BodyScanError("PA-P2S from the scan", vertex_count),
    )
    notes = (OWN_BODY, "boxes for limner: about the projected registration, a tenth larger", "intervals: over frames")
    return Benchmark("EHF", cases, metrics, SOURCE, notes)


def _target(frame: EhfFrame) -> PersonPoints:
    vertices, faces = frame.registration()
    scan = frame.scan()
    return PersonPoints(vertices=vertices, faces=faces, scan=None if scan is None else scan[0])
