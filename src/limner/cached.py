"""The flow on kept features: the estimator's steps without images.

The crops are those that were rendered (true places, jittered), so this measures networks, merging and refinement, not
the attention's aim. One hand a person was rendered; the other one stays the body network's.
"""

from dataclasses import dataclass, replace
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
from limner.estimator import Flow
from limner.networks.part_net import BodyEstimate, FaceEstimate, HandEstimate, PartNet
from limner.networks.regressor import decode_body
from limner.networks.weights import PARTS, Networks
from limner.pipeline.merge import merge
from limner.pipeline.parts import SIDES, select
from limner.pipeline.place import place
from limner.pipeline.predict import Parts, predict_faces, predict_hands
from limner.records import Rows

SAME_PERSON_MM = 1.0
HAND_POINTS = {side: list(indices_of(hand21(side))) for side in SIDES}
INNER_FACE = list(indices_of(FACE68[17:]))


@dataclass(frozen=True)
class CachedPeople(Rows):
    """Kept features of body, hand and face crops; row i of each shows the same person."""

    body: Evidence
    hand: Evidence
    face: Evidence


@dataclass(frozen=True)
class CachedFlow:
    """People in the photo's camera after each stage, and the part networks' own predictions.

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
class Predicted:
    """The networks' predictions one after the other, and the person they make: differentiable down to the weights."""

    estimate: BodyEstimate
    body: BodyParams
    parts: Parts
    merged: BodyParams


def predicted(networks: Networks, people: CachedPeople) -> Predicted:
    """Body, then parts started from it, then all merged; nothing refined."""
    seen = people.body.observations
    estimate = networks.body.predict(seen.features)
    body = place(seen, estimate, people.body.camera)
    parts = parts_of(networks, people, body)
    return Predicted(estimate, body, parts, merge(body, parts))


def parts_of(networks: Networks, people: CachedPeople, body: BodyParams) -> Parts:
    """The parts, started from the body; nobody's hand of the side that was not rendered is trusted."""
    hand = predict_hands(networks.hand, people.hand.observations, body, people.hand.camera)
    left = people.hand.mirrored
    right, mirrored = (replace(hand, trusted=hand.trusted & shown) for shown in (~left, left))
    return Parts(right, mirrored, predict_faces(networks.face, people.face.observations, body, people.face.camera))


@torch.no_grad()
def run_cached(networks: Networks, model: BodyModel, people: CachedPeople) -> CachedFlow:
    """The flow of `limner.estimator` on kept features, with and without refinement."""
    flow, said = Flow(networks, model), predicted(networks, people)
    coarse = flow.coarse(people.body.observations, people.body.camera)
    limner = flow.join(coarse, parts_of(networks, people, coarse.refined))
    return CachedFlow(said.body, said.merged, limner, said.parts.right_hand.estimate, said.parts.face.estimate)


def mean_people(net: PartNet[BodyEstimate], evidence: Evidence) -> BodyParams:
    """The regressor's starting pose before each camera."""
    vector = net.regressor.mean.expand(len(evidence), -1)
    mean = BodyEstimate(*decode_body(net.layout, vector), (vector,))
    return place(evidence.observations, mean, evidence.camera)


def read_people(folder: Path, held_out: bool) -> CachedPeople:
    """Evidence of all three parts of the same people: those never trained on, or the others.

    Raises LimnerError unless rows of the parts show the same people.
    """
    body, hand, face = (read_evidence(folder, part)[held_out] for part in PARTS)
    count = min(len(body), len(hand), len(face))
    people = CachedPeople(body[:count], hand[:count], face[:count])
    apart = [
        (people.body.params.transl - part.params.transl).norm(dim=-1).amax() for part in (people.hand, people.face)
    ]
    if float(max(apart)) * 1000 > SAME_PERSON_MM:
        raise LimnerError(
            f"{folder}: rows of body, hand and face evidence do not show the same people. Render all parts in one run "
            "(`limner render crops`), and do not evaluate while it writes."
        )
    return people


def shown_hand(points: Float[Tensor, "P 144 3"], left: Bool[Tensor, "P"]) -> Float[Tensor, "P 21 3"]:
    """The 21 points of each person's rendered hand, relative to its wrist."""
    hand = select(left, points[:, HAND_POINTS["left"]], points[:, HAND_POINTS["right"]])
    return hand - hand[:, :1]


def face_from_head(points: Float[Tensor, "P 144 3"]) -> Float[Tensor, "P 51 3"]:
    """51 inner landmarks relative to the head joint."""
    head = KEYPOINT_NAMES.index("head")
    return points[:, INNER_FACE] - points[:, head : head + 1]
