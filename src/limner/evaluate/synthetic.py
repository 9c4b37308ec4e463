"""Measures on synthetic people never trained on, whose targets are exact, from rendered evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.model import BodyMesh, BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, FACE_JOINTS, HAND_JOINTS, JOINT
from limner.cached import (
    HAND_POINTS,
    INNER_FACE,
    CachedFlow,
    CachedPeople,
    face_from_head,
    mean_people,
    read_people,
    run_cached,
    shown_hand,
)
from limner.data.evidence import Evidence
from limner.data.held_out import MIN_VISIBLE
from limner.evaluate import metrics
from limner.evaluate.person_errors import mean_of
from limner.evaluate.tables import Row, Table
from limner.geometry.box import bounds_of, inside
from limner.geometry.camera import Camera, camera_from_crop
from limner.networks.weights import Networks
from limner.pipeline.parts_alone import head_points
from limner.pipeline.predicted import PredictedPoints

LIMNER, UNREFINED, PART, BODY, MEAN = "limner", "not refined", "part network", "body network", "mean"
CHUNK = 32
FACE_REGIONS = ("face", "lips", "eyebrow", "eyelid")

Errors = dict[str, Float[Tensor, "P"]]
"""By metric, one number a person; NaN: not scored."""


@dataclass(frozen=True)
class Zones:
    """Vertex masks: the hands (what wrist and fingers carry), the face's skin, the rest without the head."""

    left_hand: Bool[Tensor, "V"]
    right_hand: Bool[Tensor, "V"]
    face: Bool[Tensor, "V"]
    body: Bool[Tensor, "V"]


@dataclass(frozen=True)
class Posed:
    """People in the photo's camera: mesh, and the 144 keypoints."""

    mesh: BodyMesh
    keypoints: Float[Tensor, "P 144 3"]

    def __len__(self) -> int:
        return len(self.mesh)


def zones(model: BodyModel) -> Zones:
    """Vertex masks of a model; the face needs the embedded body's regions (else: what the head's joints carry)."""

    def carried(names: tuple[str, ...]) -> Tensor:
        return model.weights[:, [JOINT[name] for name in names]].sum(-1) > 0.5

    head = carried(("head", *FACE_JOINTS))
    hands = {side: carried((f"{side}_wrist", *HAND_JOINTS[side])) for side in ("left", "right")}
    face = head
    if "region" in model.assets.extra:
        names = model.assets.extra["region_names"].tolist()
        wanted = torch.tensor([names.index(name) for name in FACE_REGIONS])
        face = torch.isin(torch.as_tensor(model.assets.extra["region"]).long(), wanted)
    return Zones(hands["left"], hands["right"], face, ~(head | face | hands["left"] | hands["right"]))


def pose(model: BodyModel, params: BodyParams) -> Posed:
    """Mesh and keypoints of people."""
    mesh = model(params)
    return Posed(mesh, model.keypoints144(mesh, params))


def body_errors(prediction: Posed, target: Posed, camera: Camera, side_px: Float[Tensor, "P"], where: Zones) -> Errors:
    """Millimetres, and projected joints in per cent of the body crop's side and of the person's box.

    The box is the tight one about the projected 144 keypoints, its longer side. A joint that is off by more than the
    crop's side counts as that far: with a joint at the camera's plane the pixels go to infinity.
    """
    count = len(BODY_JOINTS)
    joints, vertices = prediction.mesh.joints[:, :count], prediction.mesh.vertices
    target_joints, target_vertices = target.mesh.joints[:, :count], target.mesh.vertices
    apart = (camera.project(joints) - camera.project(target_joints)).norm(dim=-1).minimum(side_px[:, None]).mean(-1)
    bounds = bounds_of(camera.project(target.keypoints))
    box = (bounds[:, 2:] - bounds[:, :2]).amax(-1)
    return {
        "body PA-MPJPE, mm": 1000 * metrics.pa_mpjpe(joints, target_joints),
        "body MPJPE, mm": 1000 * metrics.mpjpe(joints, target_joints),
        "V2V, mm": 1000 * metrics.mpjpe(vertices - joints[:, :1], target_vertices - target_joints[:, :1], None),
        "PA-V2V all, mm": 1000 * metrics.pa_mpjpe(vertices, target_vertices),
        "PA-V2V body, mm": 1000 * metrics.pa_mpjpe(vertices[:, where.body], target_vertices[:, where.body]),
        "projected joints, % of crop": 100 * apart / side_px,
        "projected joints, % of box": 100 * apart / box,
    }


def hand_point_errors(prediction: Float[Tensor, "P 21 3"], target: Float[Tensor, "P 21 3"]) -> Errors:
    """Wrist-relative points of one hand a person."""
    return {
        "hand PA-MPJPE, mm": 1000 * metrics.pa_mpjpe(prediction, target),
        "hand MPJPE from the wrist, mm": 1000 * metrics.mpjpe(prediction, target, None),
    }


def hand_errors(prediction: Posed, target: Posed, left: Bool[Tensor, "P"], where: Zones) -> Errors:
    """Points and surface of each person's rendered hand."""
    surface = torch.full((len(prediction),), torch.nan)
    for rows, zone in ((left, where.left_hand), (~left, where.right_hand)):
        if bool(rows.any()):
            meshes = (posed.mesh.vertices[rows][:, zone] for posed in (prediction, target))
            surface[rows] = 1000 * metrics.pa_mpjpe(*meshes)
    points = hand_point_errors(shown_hand(prediction.keypoints, left), shown_hand(target.keypoints, left))
    return points | {"hand PA-V2V, mm": surface}


def face_point_errors(prediction: Float[Tensor, "P 51 3"], target: Float[Tensor, "P 51 3"]) -> Errors:
    """51 inner landmarks relative to the head joint."""
    return {
        "51 landmarks PA, mm": 1000 * metrics.pa_mpjpe(prediction, target),
        "51 landmarks from the head joint, mm": 1000 * metrics.mpjpe(prediction, target, None),
    }


def face_errors(prediction: Posed, target: Posed, where: Zones) -> Errors:
    """Landmarks and skin of the face."""
    skin = (posed.mesh.vertices[:, where.face] for posed in (prediction, target))
    points = face_point_errors(face_from_head(prediction.keypoints), face_from_head(target.keypoints))
    return {"face PA-V2V, mm": 1000 * metrics.pa_mpjpe(*skin)} | points


def measure(
    networks: Networks,
    model: BodyModel,
    people: CachedPeople,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Errors]:
    """Every metric of every stage, by column. Hands and faces that cannot be seen have NaN."""
    where, parts = zones(model), []
    for start in range(0, len(people), CHUNK):
        parts.append(_measure_chunk(networks, model, people[start : start + CHUNK], where))
        advance(min(start + CHUNK, len(people)), len(people))
    return {
        column: {name: torch.cat([part[column][name] for part in parts]) for name in parts[0][column]}
        for column in parts[0]
    }


@torch.no_grad()
def _measure_chunk(networks: Networks, model: BodyModel, people: CachedPeople, where: Zones) -> dict[str, Errors]:
    prediction = run_cached(networks, model, people)
    mean = mean_people(networks.body, people.body)
    target = pose(model, people.body.params)
    left, camera = people.hand.mirrored, people.body.camera
    side_px = people.body.squares.size_px
    hidden = {"hand": ~_seen(people, "hand"), "face": ~_seen(people, "face")}
    # the mean hand and the neutral face sit where the body network put wrist and head
    blank = prediction.body.replace(
        left_hand_pose=mean.left_hand_pose,
        right_hand_pose=mean.right_hand_pose,
        jaw_pose=model.rest(len(people)).jaw_pose,
        expression=torch.zeros_like(prediction.body.expression),
        betas=torch.zeros_like(prediction.body.betas),
    )
    errors: dict[str, Errors] = {}
    for column, whole, part in (
        (LIMNER, prediction.limner, prediction.limner),
        (UNREFINED, prediction.unrefined, prediction.unrefined),
        (BODY, prediction.body, prediction.body),
        (MEAN, mean, blank),
    ):
        posed = pose(model, whole)
        errors[column] = body_errors(posed, target, camera, side_px, where)
        posed = posed if part is whole else pose(model, part)
        errors[column] |= _unless(hidden["hand"], hand_errors(posed, target, left, where))
        errors[column] |= _unless(hidden["face"], face_errors(posed, target, where))
    errors[PART] = _part_errors(networks, model, people, prediction, target, hidden)
    return errors


def _part_errors(
    networks: Networks,
    model: BodyModel,
    people: CachedPeople,
    prediction: CachedFlow,
    target: Posed,
    hidden: dict[str, Tensor],
) -> Errors:
    """The part networks' own points, own shape, before anything is merged."""
    left = people.hand.mirrored
    flip = torch.stack([torch.where(left, -1.0, 1.0), torch.ones(len(left)), torch.ones(len(left))], -1)
    points = PredictedPoints("hand", model, networks.hand.layout)(prediction.hand.vectors[-1]) * flip[:, None]
    points = points @ camera_from_crop(people.hand.squares, people.hand.camera).mT
    to_camera = camera_from_crop(people.face.squares, people.face.camera)
    landmarks = head_points(model, prediction.face)[:, 17:] @ to_camera.mT
    return _unless(hidden["hand"], hand_point_errors(points, shown_hand(target.keypoints, left))) | _unless(
        hidden["face"], face_point_errors(landmarks, face_from_head(target.keypoints))
    )


def _unless(hidden: Bool[Tensor, "P"], errors: Errors) -> Errors:
    return {name: torch.where(hidden, torch.nan, values) for name, values in errors.items()}


def _seen(people: CachedPeople, part: str) -> Bool[Tensor, "P"]:
    """Whose hand or face shows enough to be scored: as for training."""
    evidence = people.hand if part == "hand" else people.face
    if part == "face":
        visible = evidence.visible[:, INNER_FACE]
    else:
        left, right = (evidence.visible[:, HAND_POINTS[side]] for side in ("left", "right"))
        visible = torch.where(evidence.mirrored[:, None], left, right)
    return (visible.float().mean(-1) >= MIN_VISIBLE[part]) & (evidence.presence > 0.5)


@torch.no_grad()
def _inside(model: BodyModel, evidence: Evidence) -> Bool[Tensor, "P"]:
    """Whose body joints lie inside the photo, all of them."""
    joints = model.joints(evidence.params)[:, : len(BODY_JOINTS)]
    return inside(evidence.camera.project(joints), 2 * evidence.camera.center_px).all(-1)


BODY_NOTE = (
    "Held-out people; features as rendered. Body and part crops sit at the true places, jittered. PA: after "
    "Procrustes of that part alone. V2V and MPJPE: pelvis to pelvis."
)
WHOLE_NOTE = "As above, of those people of whom all 22 body joints lie inside the photo (hidden ones included)."
PART_NOTE = (
    "Only hands and faces that can be seen. part network: its own points and shape, started from the body network; "
    "body network: its own estimate of the same part; mean: mean fingers or neutral face on the body network's wrist "
    "or head."
)


def synthetic_tables(
    folder: Path,
    networks: Networks,
    model: BodyModel,
    limit: int | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[Table]:
    """Tables of the body, of hands and of faces. `limit`: so many people. Raises LimnerError for missing evidence."""
    people = read_people(folder, held_out=True)
    people = people if limit is None else people[:limit]
    errors = measure(networks, model, people, advance)
    names = list(errors[LIMNER])
    of_hand = [name for name in names if name.startswith("hand")]
    of_face = [name for name in names if name.startswith(("face", "51"))]
    of_body = [name for name in names if name not in of_hand and name not in of_face]
    whole, parts = (LIMNER, UNREFINED, BODY, MEAN), (LIMNER, UNREFINED, PART, BODY, MEAN)
    cut_off = ~_inside(model, people.body)
    in_full = {column: _unless(cut_off, of) for column, of in errors.items()}
    return [
        Table("Synthetic people: body", whole, _rows("all", of_body, errors), note=BODY_NOTE),
        Table("Synthetic people: body, whole in the photo", whole, _rows("whole", of_body, in_full), note=WHOLE_NOTE),
        Table("Synthetic people: hands", parts, _rows("hand", of_hand, errors), note=PART_NOTE),
        Table("Synthetic people: faces", parts, _rows("face", of_face, errors), note=PART_NOTE),
    ]


def _rows(data: str, names: list[str], errors: dict[str, Errors]) -> tuple[Row, ...]:
    rows = []
    for name in names:
        by_column = {column: mean_of(of[name]) for column, of in errors.items() if name in of}
        groups = [str(i) for i in range(len(by_column[LIMNER].numerator))]
        values = {column: one.estimate(groups) for column, one in by_column.items()}
        rows.append(Row(data, name, values[LIMNER].people, values))
    return tuple(rows)
