"""AGORA's protocol: predictions are matched to a photo's people, errors divided by how well people were found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES
from limner.body.model import BodyModel
from limner.body.skeleton import JOINT_NAMES
from limner.data.sources.agora import PARSED, AgoraPerson, read_agora
from limner.data.sources.agora_frames import LAYOUT as FRAMES_LAYOUT
from limner.data.sources.agora_frames import AgoraTables, FramePerson
from limner.errors import DataSetError
from limner.evaluate.benchmarks.point_metrics import MeanError, Metric, PointError, Points
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.benchmarks.whole_body import OWN_BODY, joint_of, part_of, v2v_metrics
from limner.evaluate.person_points import PersonPoints, points_of_params
from limner.evaluate.topology import MODEL_FILES, WHERE, SmplxFiles

SOURCE = (
    "AGORA: Patel et al., CVPR 2021. MVE and MPJPE over matched people: body from the pelvis (22 joints), hands from "
    "the wrists (15 joints each), face from the neck (51 landmarks); all = body + (left hand + right hand + face) / 3; "
    "NMVE = MVE / F1, NMJE = MPJPE / F1, F1 of people found. Matching here: pairs of nearest 24 joints in the photo, "
    "no farther apart than a quarter of the person's diagonal; the server's own rule (least joint error, boxes that "
    "overlap) may differ, and only it can score the test split."
)
ROOTS = {"body": "pelvis", "left hand": "left_wrist", "right hand": "right_wrist", "face": "neck"}
"""Parts, and the joint at which each is brought together with the target's."""
BODY_JOINTS = JOINT_NAMES[:22]
LEFT_FINGERS, RIGHT_FINGERS = JOINT_NAMES[25:40], JOINT_NAMES[40:55]
MATCHED_JOINTS = 24
NEAR_ENOUGH = 0.25
MVE, MPJPE = "MVE all, mm", "MPJPE all, mm"


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
    """The validation split: AGORA's own tables (vertices and joints), or its parsed form (parameters).

    `model`: SMPL-X, which makes the true meshes of the parsed form. Raises DataSetError for missing or damaged files,
    and for the parsed form without SMPL-X.
    """
    if (folder / PARSED).exists():
        cases, count = _parsed_cases(folder, files, model)
    else:
        cases, count = _table_cases(folder)
        files = replace(files, vertex_count=count)  # the tables have the meshes: SMPL-X itself is not needed

    notes = (OWN_BODY, "intervals: over photos")
    return Benchmark("AGORA validation", cases, agora_metrics(files, count), SOURCE, notes, crowd=True)


def agora_metrics(files: SmplxFiles, count: int) -> tuple[Metric, ...]:
    """AGORA's own errors of vertices and of joints, and the errors after Procrustes that other tables have."""

    def joints(*names: str) -> Points:
        return lambda prediction: files.joints(prediction, names)

    def face(prediction: PersonPoints) -> Tensor:
        return prediction.named(FACE68[17:]).double()

    def errors(what: str, points: dict[str, Points]) -> tuple[Metric, ...]:
        parts = tuple(PointError(f"{what} {p}, mm", points[p], "root", joint_of(files, ROOTS[p])) for p in ROOTS)
        # hands and face have more joints than the body, so AGORA takes a third of their sum
        return MeanError(f"{what} all, mm", parts[1:], base=parts[0]), *parts

    vertices = {part: part_of(files, count, part.replace(" ", "_").replace("face", "head")) for part in ROOTS}
    points = {
        "body": joints(*BODY_JOINTS),
        "left hand": joints(*LEFT_FINGERS),
        "right hand": joints(*RIGHT_FINGERS),
        "face": face,
    }
    aligned = (metric for metric in v2v_metrics(files, count) if metric.names[0].startswith("PA-"))
    return (*errors("MVE", vertices), *errors("MPJPE", points), *aligned)


def _parsed_cases(folder: Path, files: SmplxFiles, model: BodyModel | None) -> tuple[tuple[Case, ...], int]:
    """Everybody of the parsed form, and the number of SMPL-X's vertices."""
    if model is None or files.vertex_count is None:
        raise DataSetError(
            f"the truth of {PARSED} is SMPL-X parameters: give --body-model {MODEL_FILES[0]} "
            f"({WHERE[MODEL_FILES[0]]}), or put AGORA's own tables (validation_*_withjv.pkl) there instead."
        )
    cases = tuple(
        Case(person.name, person.image, "person", person.photo, partial(_target, person, model), person.box)
        for person in read_agora(folder)
    )
    return cases, files.vertex_count


def _table_cases(folder: Path) -> tuple[tuple[Case, ...], int]:
    """Everybody of AGORA's own tables, and the number of vertices of the first."""
    tables = AgoraTables(folder)
    people = list(tables)
    if not people:
        raise FRAMES_LAYOUT.error(folder, "nobody in the tables is valid")
    cases = tuple(
        Case(person.name, person.image, "person", person.photo, partial(_table_target, tables, person))
        for person in people
    )
    return cases, len(tables.target(people[0]).vertices)


def _table_target(tables: AgoraTables, person: FramePerson) -> PersonPoints:
    """As it lies in the table; joints are SMPL-X's 127."""
    target = tables.target(person)
    return PersonPoints(
        vertices=target.vertices,
        joints=target.joints,
        joint_names=KEYPOINT_NAMES[: len(target.joints)],
        points_px=target.joints_px[:MATCHED_JOINTS],
    )


def _target(person: AgoraPerson, model: BodyModel) -> PersonPoints:
    points = points_of_params(model, person.params(model.hand_means))
    assert points.joints is not None
    pixels = points.joints[:MATCHED_JOINTS] @ person.K.mT
    return replace(points, points_px=pixels[:, :2] / pixels[:, 2:])


def match_people(
    predictions: Sequence[Float[Tensor, "24 2"]], targets: Sequence[Float[Tensor, "24 2"]]
) -> list[tuple[int, int]]:
    """Pairs (prediction, person) of one photo by their joints in pixels: nearest pairs first, each used once.

    A pair farther apart (mean over joints) than NEAR_ENOUGH times the diagonal of the person's joints is none.
    """
    pairs = []
    for j, target in enumerate(targets):
        diagonal = float((target.amax(0) - target.amin(0)).norm())
        for i, points in enumerate(predictions):
            apart = float((points - target).norm(dim=-1).mean())
            if apart <= NEAR_ENOUGH * diagonal:
                pairs.append((apart, i, j))
    chosen: list[tuple[int, int]] = []
    for _, i, j in sorted(pairs):
        if all(i != a and j != b for a, b in chosen):
            chosen.append((i, j))
    return chosen
