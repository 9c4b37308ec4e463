"""What would the flow have said of harvested evidence? The estimator's steps on features that were kept, no images.

The crops are the harvested ones (true places, jittered), so this measures networks, merging and refinement, not the
attention's aim. One hand a person was harvested; the other one stays the body network's.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.data.evidence import Evidence
from limner.data.held_out import read_evidence
from limner.errors import LimnerError
from limner.geometry.camera import camera_from_crop
from limner.geometry.rotation import mirror_rotation
from limner.geometry.warp import Crops
from limner.networks.backbone import Features
from limner.networks.body_net import BodyNet
from limner.networks.face_net import FaceEstimate, FaceNet
from limner.networks.hand_net import HandEstimate, HandNet
from limner.networks.regressor import decode_body
from limner.networks.weights import PARTS, Networks
from limner.pipeline.attention import MIN_PRESENCE, BodyLook, FaceLook, HandLook
from limner.pipeline.merge import merge
from limner.pipeline.parts import SIDES, face_start, hand_start, select
from limner.pipeline.place import body_targets, join_targets, part_targets, place
from limner.pipeline.refine import refine
from limner.pipeline.refine_face import refine_face

SAME_PERSON_MM = 1.0
HAND_POINTS = {side: list(indices_of(hand21(side))) for side in SIDES}
INNER_FACE = list(indices_of(FACE68[17:]))
VIRTUAL_PHOTO_PX = 1024
"""Side of the synthetic photos (`limner.synth.people`)."""


@dataclass(frozen=True)
class HarvestedPeople:
    """Harvested body, hand and face crops; row i of each shows the same person."""

    body: Evidence
    hand: Evidence
    face: Evidence

    def __len__(self) -> int:
        return len(self.body)

    def __getitem__(self, rows: slice | Tensor) -> "HarvestedPeople":
        return HarvestedPeople(self.body[rows], self.hand[rows], self.face[rows])


@dataclass(frozen=True)
class Replay:
    """People in the photo's camera after each stage, and the part networks' own answers.

    body      the body network alone
    unrefined parts merged, nothing moved
    limner    the whole flow, refined before and after the parts
    hand, face: the part networks' estimates in crop axes, started as in `unrefined`
    """

    body: BodyParams
    unrefined: BodyParams
    limner: BodyParams
    hand: HandEstimate
    face: FaceEstimate


@dataclass(frozen=True)
class Answers:
    """The networks' answers one after the other, and the person they make: differentiable down to the weights."""

    look: BodyLook
    body: BodyParams
    hand: HandEstimate
    face: FaceEstimate
    merged: BodyParams


def answers(networks: Networks, people: HarvestedPeople) -> Answers:
    """Body, then parts started from it, then all merged; nothing refined."""
    look = body_look(networks.body, people.body)
    body = place(look, people.body.camera)
    hand = _hand(networks.hand, people.hand, body)
    face = _face(networks.face, people.face, body)
    merged = merge(body, _hand_looks(people.hand, hand), _face_look(people.face, face))
    return Answers(look, body, hand, face, merged)


@torch.no_grad()
def replay(networks: Networks, model: BodyModel, people: HarvestedPeople) -> Replay:
    """The flow of `limner.estimator.Estimator` on kept features, with and without refinement."""
    camera, said = people.body.camera, answers(networks, people)
    targets = body_targets(networks.body, said.look, VIRTUAL_PHOTO_PX, VIRTUAL_PHOTO_PX)
    limner = said.merged
    if targets is not None:
        coarse = refine(model, said.body, camera, targets)
        hands = _hand_looks(people.hand, _hand(networks.hand, people.hand, coarse))
        head = _face_look(people.face, _face(networks.face, people.face, coarse))
        merged = merge(coarse, hands, head)
        joined = join_targets([targets, *part_targets(model, merged, hands, head)])
        limner = merge(refine(model, merged, camera, joined), hands, head)
        assert head.points_px is not None
        limner, _ = refine_face(model, limner, camera, head.points_px, head.crops.squares.size_px, head.trusted)
    return Replay(said.body, said.merged, limner, said.hand, said.face)


def mean_people(net: BodyNet, evidence: Evidence) -> BodyParams:
    """The regressor's starting pose before each camera."""
    estimate = body_look(net, evidence).estimate
    vector = net.regressor.mean.expand(len(evidence), -1)
    params, camera = decode_body(net.layout, vector)
    mean = type(estimate)(params, camera, (vector,), estimate.features)
    return place(BodyLook(_crops(evidence), mean), evidence.camera)


def body_look(net: BodyNet, evidence: Evidence) -> BodyLook:
    """The body network's answer to kept features."""
    return BodyLook(_crops(evidence), net.regress(_features(evidence)))


def _features(evidence: Evidence) -> Features:
    return Features(evidence.pooled, keypoints=evidence.keypoints, presence=evidence.presence)


def _crops(evidence: Evidence) -> Crops:
    """Where the crops were; their pixels were not kept."""
    return Crops(torch.zeros(len(evidence), 3, 0, 0), evidence.squares, evidence.mirrored)


def _hand(net: HandNet, evidence: Evidence, coarse: BodyParams) -> HandEstimate:
    crop_from_photo = camera_from_crop(evidence.squares, evidence.camera).mT
    starts = {side: hand_start(net.layout, net.regressor.mean, coarse, side, crop_from_photo) for side in SIDES}
    return net.regress(_features(evidence), select(evidence.mirrored, starts["left"], starts["right"]))


def _face(net: FaceNet, evidence: Evidence, coarse: BodyParams) -> FaceEstimate:
    crop_from_photo = camera_from_crop(evidence.squares, evidence.camera).mT
    return net.regress(_features(evidence), face_start(net.layout, net.regressor.mean, coarse, crop_from_photo))


def _points_px(evidence: Evidence) -> Float[Tensor, "N K 2"]:
    return _crops(evidence).photo_from_unit(evidence.keypoints[..., :2])


def _hand_looks(evidence: Evidence, estimate: HandEstimate) -> dict[str, HandLook]:
    """The harvested hand as that side's look; nobody's hand of the other side is trusted."""
    photo_from_crop = camera_from_crop(evidence.squares, evidence.camera)
    looks = {}
    for side in SIDES:
        to_photo = mirror_rotation(photo_from_crop) if side == "left" else photo_from_crop
        shown = evidence.mirrored if side == "left" else ~evidence.mirrored
        looks[side] = HandLook(
            _crops(evidence),
            to_photo @ estimate.wrist,
            estimate.hand_pose,
            _points_px(evidence),
            evidence.presence,
            shown & (evidence.presence > MIN_PRESENCE),
        )
    return looks


def _face_look(evidence: Evidence, estimate: FaceEstimate) -> FaceLook:
    return FaceLook(
        _crops(evidence),
        camera_from_crop(evidence.squares, evidence.camera) @ estimate.head,
        estimate.jaw_pose,
        estimate.expression,
        estimate.betas,
        _points_px(evidence),
        evidence.presence,
        evidence.presence > MIN_PRESENCE,
    )


def read_people(folder: Path, held_out: bool) -> HarvestedPeople:
    """Evidence of all three parts of the same people: those never trained on, or the others.

    Raises LimnerError unless rows of the parts show the same people.
    """
    body, hand, face = (read_evidence(folder, part)[held_out] for part in PARTS)
    count = min(len(body), len(hand), len(face))
    people = HarvestedPeople(body[:count], hand[:count], face[:count])
    apart = [
        (people.body.params.transl - part.params.transl).norm(dim=-1).amax() for part in (people.hand, people.face)
    ]
    if float(max(apart)) * 1000 > SAME_PERSON_MM:
        raise LimnerError(
            f"{folder}: rows of body, hand and face evidence do not show the same people. Harvest all parts in one run "
            "(`limner harvest`), and do not evaluate while it writes."
        )
    return people


def shown_hand(points: Float[Tensor, "P 144 3"], left: Bool[Tensor, "P"]) -> Float[Tensor, "P 21 3"]:
    """The 21 points of each person's harvested hand, relative to its wrist."""
    hand = select(left, points[:, HAND_POINTS["left"]], points[:, HAND_POINTS["right"]])
    return hand - hand[:, :1]


def face_from_head(points: Float[Tensor, "P 144 3"]) -> Float[Tensor, "P 51 3"]:
    """51 inner landmarks relative to the head joint."""
    head = KEYPOINT_NAMES.index("head")
    return points[:, INNER_FACE] - points[:, head : head + 1]
