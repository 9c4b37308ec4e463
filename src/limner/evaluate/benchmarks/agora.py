"""How is AGORA scored? Crowds: predictions are matched to people, errors divided by how well people were found."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT_NAMES
from limner.data.sources.agora import AgoraPerson, read_agora
from limner.errors import DataSetError
from limner.evaluate.answer import Answer
from limner.evaluate.benchmarks.point_metrics import PointError
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.whole_body import joint_of, part_of, v2v_metrics
from limner.evaluate.topology import MODEL_FILES, WHERE, SmplxFiles

SOURCE = (
    "AGORA: Patel et al., CVPR 2021. MVE and MPJPE from the pelvis (hands: wrists, face: neck) over matched people; "
    "NMVE = MVE / F1, NMJE = MPJPE / F1, F1 of people found. Matching here: pairs of nearest 24 joints in the photo, "
    "no farther apart than a quarter of the person's diagonal; the server's own rule may differ, and only it can score "
    "the test split."
)
MATCHED_JOINTS = 24
NEAR_ENOUGH = 0.25
MVE, MPJPE = "MVE all, mm", "MPJPE of 22 joints, mm"


@dataclass(frozen=True)
class Found:
    """How well the people of photos were found."""

    matched: int
    people: int
    predictions: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 when nobody was found."""
        return 2 * self.matched / (self.people + self.predictions) if self.matched else 0.0


def agora_benchmark(folder: Path, files: SmplxFiles, model: BodyModel | None) -> Benchmark:
    """The validation split in its parsed form; `model`: SMPL-X, which makes the true meshes from their parameters.

    Raises DataSetError for missing or damaged files and without SMPL-X.
    """
    if model is None or files.vertex_count is None:
        raise DataSetError(
            f"AGORA's truth is SMPL-X parameters: give --body-model {MODEL_FILES[0]} ({WHERE[MODEL_FILES[0]]})."
        )
    count = files.vertex_count

    def body_joints(answer: Answer) -> Tensor:
        return files.joints(answer, JOINT_NAMES[:22])

    pelvis = joint_of(files, "pelvis")
    metrics = (
        PointError(MVE, part_of(files, count, "all"), "root", pelvis),
        PointError(MPJPE, body_joints, "root", pelvis),
        *(metric for metric in v2v_metrics(files, count) if metric.names != ("V2V all, mm",)),
    )
    cases = tuple(_case(person, model) for person in read_agora(folder))
    return Benchmark("AGORA validation", cases, metrics, SOURCE, ("intervals: over photos",), crowd=True)


def _case(person: AgoraPerson, model: BodyModel) -> Case:
    truth = partial(_truth, person, model)
    return Case(person.name, person.image, "person", person.photo, truth, person.box)


@torch.no_grad()
def _truth(person: AgoraPerson, model: BodyModel) -> Answer:
    mesh = model(person.params(model.hand_means))
    joints = mesh.joints[0]
    pixels = joints[:MATCHED_JOINTS] @ person.K.mT
    return Answer(
        vertices=mesh.vertices[0],
        faces=model.faces,
        joints=joints,
        joint_names=JOINT_NAMES,
        points_px=pixels[:, :2] / pixels[:, 2:],
    )


def match_people(said: Sequence[Float[Tensor, "24 2"]], true: Sequence[Float[Tensor, "24 2"]]) -> list[tuple[int, int]]:
    """Pairs (prediction, person) of one photo by their joints in pixels: nearest pairs first, each used once.

    A pair farther apart (mean over joints) than NEAR_ENOUGH times the diagonal of the person's joints is none.
    """
    pairs = []
    for j, target in enumerate(true):
        diagonal = float((target.amax(0) - target.amin(0)).norm())
        for i, points in enumerate(said):
            apart = float((points - target).norm(dim=-1).mean())
            if apart <= NEAR_ENOUGH * diagonal:
                pairs.append((apart, i, j))
    chosen: list[tuple[int, int]] = []
    for _, i, j in sorted(pairs):
        if all(i != a and j != b for a, b in chosen):
            chosen.append((i, j))
    return chosen
