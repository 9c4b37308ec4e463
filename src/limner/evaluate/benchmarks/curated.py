"""The protocol on the validation split of ExPose's curated fits, or of a set that limner exported."""

from functools import partial
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.data.sources.curated_fits import CuratedFits, read_curated_fits
from limner.data.sources.threedpw import J14_NAMES
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.whole_body import OWN_BODY, joint14_metrics, named_joint_metrics, v2v_metrics
from limner.evaluate.person_points import PersonPoints
from limner.evaluate.topology import SmplxFiles
from limner.geometry.box import box_of_points

EXPORTED = "curated_fits"
"""Folder of ExPose's layout in an exported set."""
SOURCE = (
    "ExPose's curated fits, validation split: Choutas et al., ECCV 2020. No published table scores them; metrics as on "
    "EHF. The truth is a fit to 2D points, checked by people, so it is not exact."
)


def curated_benchmark(folder: Path, files: SmplxFiles, model: BodyModel | None) -> Benchmark:
    """The validation split; meshes from the file, else made by `model` (SMPL-X) from the fitted parameters.

    `folder` holds ExPose's files, or is what `limner curate-export` wrote. Raises DataSetError for missing or damaged
    files.
    """
    if (folder / EXPORTED / "val.npz").is_file():
        folder = folder / EXPORTED
    fits = read_curated_fits(folder, "val")
    vertex_count = files.vertex_count if fits.vertices is None else fits.vertices.shape[1]
    metrics = (*joint14_metrics(files), *named_joint_metrics(files))
    if vertex_count is not None:
        metrics = (*v2v_metrics(files, vertex_count), *metrics)
    names = [str(Path(name).with_suffix("")) for name in fits.names]
    if len(set(names)) < len(names):  # several people of one photo: told apart by their number
        names = [f"{name}#{names[:row].count(name)}" for row, name in enumerate(names)]
    cases = tuple(
        Case(
            name=name,
            group=fits.names[row],
            kind="person",
            photo=fits.photos[row],
            target=partial(_target, fits, row, model),
            box=box_of_points(fits.points[row, :, :2], fits.points[row, :, 2]),
        )
        for row, name in enumerate(names)
    )
    return Benchmark("curated fits, val", cases, metrics, SOURCE, (OWN_BODY, "intervals: over photos"))


@torch.no_grad()
def _target(fits: CuratedFits, row: int, model: BodyModel | None) -> PersonPoints:
    vertices = None if fits.vertices is None else fits.vertices[row]
    if vertices is None and model is not None:
        vertices = model(fits.params(row)).vertices[0]
    if fits.joints is None:
        return PersonPoints(vertices=vertices)
    return PersonPoints(vertices=vertices, joints=fits.joints[row, :14], joint_names=J14_NAMES)
