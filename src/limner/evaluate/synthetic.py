"""How good is limner where the truth is exact? Synthetic people never trained on, from harvested evidence."""

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
from limner.evaluate.tables import Row, Table
from limner.evaluate.tally import Tally, mean_of
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


def body_errors(said: Posed, true: Posed, camera: Camera, side_px: Float[Tensor, "P"], where: Zones) -> Errors:
    """Millimetres, and projected joints in per cent of the body crop's side and of the person's box.

    The box is the tight one about the projected 144 keypoints, its longer side. A joint that is off by more than the
    crop's side counts as that far: with a joint at the camera's plane the pixels go to infinity.
    """
    count = len(BODY_JOINTS)
    joints, truth = said.mesh.joints[:, :count], true.mesh.joints[:, :count]
    pelvis_said, pelvis_true = joints[:, :1], truth[:, :1]
    vertices, true_vertices = said.mesh.vertices, true.mesh.vertices
    apart = (camera.project(joints) - camera.project(truth)).norm(dim=-1).minimum(side_px[:, None]).mean(-1)
    box = metrics.longer_side(bounds_of(camera.project(true.keypoints)))
    return {
        "body PA-MPJPE, mm": 1000 * metrics.pa_mpjpe(joints, truth),
        "body MPJPE, mm": 1000 * metrics.mpjpe(joints, truth),
        "V2V, mm": 1000 * metrics.mpjpe(vertices - pelvis_said, true_vertices - pelvis_true, None),
        "PA-V2V all, mm": 1000 * metrics.pa_mpjpe(vertices, true_vertices),
        "PA-V2V body, mm": 1000 * metrics.pa_mpjpe(vertices[:, where.body], true_vertices[:, where.body]),
        "projected joints, % of crop": 100 * apart / side_px,
        "projected joints, % of box": 100 * apart / box,
    }


def hand_point_errors(said: Float[Tensor, "P 21 3"], true: Float[Tensor, "P 21 3"]) -> Errors:
    """Wrist-relative points of one hand a person."""
    return {
        "hand PA-MPJPE, mm": 1000 * metrics.pa_mpjpe(said, true),
        "hand MPJPE from the wrist, mm": 1000 * metrics.mpjpe(said, true, None),
    }


def hand_errors(said: Posed, true: Posed, left: Bool[Tensor, "P"], where: Zones) -> Errors:
    """Points and surface of each person's harvested hand."""
    surface = torch.full((len(said),), torch.nan)
    for rows, zone in ((left, where.left_hand), (~left, where.right_hand)):
        if bool(rows.any()):
            mine, truth = said.mesh.vertices[rows][:, zone], true.mesh.vertices[rows][:, zone]
            surface[rows] = 1000 * metrics.pa_mpjpe(mine, truth)
    points = hand_point_errors(shown_hand(said.keypoints, left), shown_hand(true.keypoints, left))
    return points | {"hand PA-V2V, mm": surface}


def face_point_errors(said: Float[Tensor, "P 51 3"], true: Float[Tensor, "P 51 3"]) -> Errors:
    """51 inner landmarks relative to the head joint."""
    return {
        "51 landmarks PA, mm": 1000 * metrics.pa_mpjpe(said, true),
        "51 landmarks from the head joint, mm": 1000 * metrics.mpjpe(said, true, None),
    }


def inner_face(posed: Posed) -> Float[Tensor, "P 51 3"]:
    """51 landmarks relative to the head joint."""
    return face_from_head(posed.keypoints)


def face_errors(said: Posed, true: Posed, where: Zones) -> Errors:
    """Landmarks and skin of the face."""
    mine, truth = said.mesh.vertices[:, where.face], true.mesh.vertices[:, where.face]
    points = face_point_errors(inner_face(said), inner_face(true))
    return {"face PA-V2V, mm": 1000 * metrics.pa_mpjpe(mine, truth)} | points


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
    said = run_cached(networks, model, people)
    mean = mean_people(networks.body, people.body)
    true = pose(model, people.body.params)
    left, camera = people.hand.mirrored, people.body.camera
    side_px = people.body.squares.size_px
    hidden = {"hand": ~_seen(people, "hand"), "face": ~_seen(people, "face")}
    # the mean hand and the neutral face sit where the body network put wrist and head
    blank = said.body.replace(
        left_hand_pose=mean.left_hand_pose,
        right_hand_pose=mean.right_hand_pose,
        jaw_pose=model.rest(len(people)).jaw_pose,
        expression=torch.zeros_like(said.body.expression),
        betas=torch.zeros_like(said.body.betas),
    )
    errors: dict[str, Errors] = {}
    for column, whole, part in (
        (LIMNER, said.limner, said.limner),
        (UNREFINED, said.unrefined, said.unrefined),
        (BODY, said.body, said.body),
        (MEAN, mean, blank),
    ):
        posed = pose(model, whole)
        errors[column] = body_errors(posed, true, camera, side_px, where)
        posed = posed if part is whole else pose(model, part)
        errors[column] |= _unless(hidden["hand"], hand_errors(posed, true, left, where))
        errors[column] |= _unless(hidden["face"], face_errors(posed, true, where))
    errors[PART] = _part_errors(networks, model, people, said, true, hidden)
    return errors


def _part_errors(
    networks: Networks, model: BodyModel, people: CachedPeople, said: CachedFlow, true: Posed, hidden: dict[str, Tensor]
) -> Errors:
    """The part networks' own points, own shape, before anything is merged."""
    left = people.hand.mirrored
    flip = torch.stack([torch.where(left, -1.0, 1.0), torch.ones(len(left)), torch.ones(len(left))], -1)
    points = PredictedPoints("hand", model, networks.hand.layout)(said.hand.vectors[-1]) * flip[:, None]
    points = points @ camera_from_crop(people.hand.squares, people.hand.camera).mT
    landmarks = head_points(model, said.face)[:, 17:] @ camera_from_crop(people.face.squares, people.face.camera).mT
    return _unless(hidden["hand"], hand_point_errors(points, shown_hand(true.keypoints, left))) | _unless(
        hidden["face"], face_point_errors(landmarks, inner_face(true))
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
    "Held-out people; features as harvested. Body and part crops sit at the true places, jittered. PA: after "
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
        tallies: dict[str, Tally] = {column: mean_of(of[name]) for column, of in errors.items() if name in of}
        groups = [str(i) for i in range(len(tallies[LIMNER].numerator))]
        values = {column: tally.estimate(groups) for column, tally in tallies.items()}
        rows.append(Row(data, name, values[LIMNER].people, values))
    return tuple(rows)
