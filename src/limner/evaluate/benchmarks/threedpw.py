"""3DPW's protocol: 14 joints against the published 3D joints, frame by frame."""

from functools import partial
from pathlib import Path

import torch

from limner.data.sources.pickled import read_npy
from limner.data.sources.threedpw import J14_NAMES, Person3DPW, read_threedpw
from limner.evaluate.benchmarks.point_metrics import PointError
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.whole_body import joint14_metrics, named_joint_metrics, part_of
from limner.evaluate.person_points import PersonPoints
from limner.evaluate.topology import SmplxFiles

SOURCE = "3DPW: von Marcard et al., ECCV 2018; MPJPE and PA-MPJPE as ExPose, ECCV 2020."
NOTES = (
    "MPJPE-14 is the published number: it needs truth regressed from SMPL's vertices, which only ExPose's npz holds",
    "12 named joints: limb joints of SMPL's skeleton (jointPositions) against the joints of like name; needs no mesh",
    "every frame with a valid camera pose; intervals: over sequences",
)


def threedpw_benchmark(folder: Path, files: SmplxFiles) -> Benchmark:
    """3DPW's test split: the sequence files, or ExPose's npz. Raises DataSetError for missing or half data."""
    people = list(read_threedpw(folder, "test"))
    metrics = [*named_joint_metrics(files)]
    if people[0].joint_names == J14_NAMES:
        metrics = [*joint14_metrics(files)]
    first = people[0].vertices_file
    if first is not None:
        everything = part_of(files, len(read_npy(first)), "all")
        metrics.append(PointError("PA-V2V all, mm", everything, "similarity"))
    cases = tuple(Case(p.name, p.sequence, "person", p.photo, partial(_target, p), p.box) for p in people)
    return Benchmark("3DPW test", cases, tuple(metrics), SOURCE, NOTES)


def _target(person: Person3DPW) -> PersonPoints:
    vertices = None
    if person.vertices_file is not None:
        vertices = torch.as_tensor(read_npy(person.vertices_file)).float()
    return PersonPoints(vertices=vertices, joints=person.joints, joint_names=person.joint_names)
