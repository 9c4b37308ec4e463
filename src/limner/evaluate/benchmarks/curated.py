"""How are estimates scored on the validation split of ExPose's curated fits, or of a set that limner exported?"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.data.sources.curated_fits import read_curated_fits, read_curated_truth
from limner.data.sources.fits import Fits, box_of_points
from limner.data.sources.threedpw import J14_NAMES
from limner.evaluate.answer import Answer
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.whole_body import OWN_BODY, joint14_metrics, named_joint_metrics, v2v_metrics
from limner.evaluate.topology import SmplxFiles

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
    given = read_curated_truth(folder)
    vertex_count = given["vertices"].shape[1] if "vertices" in given else files.vertex_count
    metrics = (*joint14_metrics(files), *named_joint_metrics(files))
    if vertex_count is not None:
        metrics = (*v2v_metrics(files, vertex_count), *metrics)
    cases = tuple(_case(fits, row, given, model) for row in range(len(fits)))
    if len({case.name for case in cases}) < len(cases):  # several people of one photo: told apart by their number
        cases = tuple(replace(case, name=f"{case.name}#{_before(fits, row)}") for row, case in enumerate(cases))
    return Benchmark("curated fits, val", cases, metrics, SOURCE, (OWN_BODY, "intervals: over photos"))


def _case(fits: Fits, row: int, given: dict[str, Float[Tensor, "N _ 3"]], model: BodyModel | None) -> Case:
    points = fits.points[row]
    return Case(
        name=str(Path(fits.names[row]).with_suffix("")),
        group=fits.names[row],
        kind="person",
        photo=fits.photos[row],
        truth=partial(_truth, fits, row, given, model),
        box=box_of_points(points[:, :2], points[:, 2]),
    )


def _before(fits: Fits, row: int) -> int:
    return fits.names[:row].count(fits.names[row])


@torch.no_grad()
def _truth(fits: Fits, row: int, given: dict[str, Float[Tensor, "N _ 3"]], model: BodyModel | None) -> Answer:
    vertices = given["vertices"][row] if "vertices" in given else None
    if vertices is None and model is not None:
        vertices = model(fits[row].params).vertices[0]
    joints = given.get("joints")
    names = () if joints is None else J14_NAMES
    return Answer(vertices=vertices, joints=None if joints is None else joints[row, :14], joint_names=names)
