"""Joint fine-tuning of body, hand and face networks: errors of the merged person reach all three (ExPose, 3.3)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS
from limner.cached import CachedPeople, face_from_head, predicted, shown_hand
from limner.networks.weights import PARTS, NetSpec, Networks, Part, PartNet, write_net
from limner.pipeline.predicted import PredictedPoints
from limner.records import Rows
from limner.train.checkpoint import append_row
from limner.train.losses import PART_WEIGHTS, part_loss
from limner.train.rendered import keypoints_of, rendered_target, well_seen
from limner.train.steps import Progress, StepOptions, train_steps
from limner.train.target import Target

NUM_BODY = len(BODY_JOINTS)


@dataclass(frozen=True)
class JointOptions(StepOptions):
    """Numbers of one run. The rate is small: three trained networks get used to each other."""

    steps: int = 300
    batch_size: int = 96
    learning_rate: float = 2e-5
    weight_decay: float = 1e-4
    log_every: int = 50
    save_every: int = 100
    merged_weight: float = 30.0


@dataclass(frozen=True)
class JointSet(Rows):
    """People of whom body, hand and face were rendered, the target of each crop, and all 144 keypoints (metres)."""

    people: CachedPeople
    target: dict[Part, Target]
    shown: dict[Part, Bool[Tensor, "N"]]
    keypoints: Float[Tensor, "N 144 3"]


@torch.no_grad()
def joint_set(people: CachedPeople, model: BodyModel) -> JointSet:
    """Everything the losses need, computed once; people whose body is not seen are left out."""
    people = people[(people.body.presence > 0.5).nonzero()[:, 0]]
    target: dict[Part, Target] = {}
    shown: dict[Part, Tensor] = {}
    for part in PARTS:
        evidence = getattr(people, part)
        target[part] = rendered_target(part, model, evidence)
        shown[part] = well_seen(part, target[part], evidence.presence)
    return JointSet(people, target, shown, keypoints_of(model, people.body.params))


def joint_loss(model: BodyModel, merged: BodyParams, batch: JointSet) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Distances in the merged person, metres: from pelvis, the seen wrist, and head joint.

    All in the photo's axes: part rotations are judged where they end up, on the body's arm and neck.
    """
    keypoints = model.keypoints144(model(merged), merged)

    def far(predicted: Tensor, true: Tensor, shown: Tensor) -> Tensor:
        error = (predicted - true).norm(dim=-1).mean(-1)
        return (error * shown).sum() / shown.sum().clamp_min(1)

    def body_hand_face(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        body = points[:, :NUM_BODY]
        return body - body[:, :1], shown_hand(points, batch.people.hand.mirrored), face_from_head(points)

    predicted, true = body_hand_face(keypoints), body_hand_face(batch.keypoints)
    terms = {f"merged_{part}": far(predicted[i], true[i], batch.shown[part]) for i, part in enumerate(PARTS)}
    return sum(terms.values(), keypoints.new_zeros(())), {name: float(value.detach()) for name, value in terms.items()}


def train_joint(
    loaded: dict[Part, tuple[NetSpec, PartNet]],
    model: BodyModel,
    training: CachedPeople,
    held_out: CachedPeople,
    folder: Path,
    options: JointOptions,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Tune all three regressors; writes body, hand and face.safetensors, a checkpoint and joint_log.csv.

    The frozen backbones' reports were kept, so no image is needed; the parts' losses of their own stay on. Returns the
    held-out errors of the merged person, mm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    small = model.keypoints_only()
    train, held = joint_set(training, model), joint_set(held_out, model)
    specs = {part: spec for part, (spec, _) in loaded.items()}
    nets = {part: net for part, (_, net) in loaded.items()}
    networks = Networks(**nets)
    points = {part: PredictedPoints(part, model, specs[part].layout()) for part in PARTS}
    learned = nn.ModuleDict({part: nets[part].regressor for part in PARTS})
    optimiser = torch.optim.AdamW(learned.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    if not (folder / "joint_log.csv").exists():
        append_row(folder / "joint_log.csv", {"step": 0.0, "loss": 0.0, **judged(networks, small, held)})

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        batch = train[torch.randint(len(train), (options.batch_size,), generator=generator)]
        made = predicted(networks, batch.people)
        vectors = {
            "body": made.estimate.vectors,
            "hand": made.parts.right_hand.estimate.vectors,
            "face": made.parts.face.estimate.vectors,
        }
        loss, _ = joint_loss(small, made.merged, batch)
        loss = options.merged_weight * loss
        for part in PARTS:
            rows = batch.shown[part].nonzero()[:, 0]
            layout = specs[part].layout()
            own = tuple(vector[rows] for vector in vectors[part])
            loss = loss + part_loss(own, batch.target[part][rows], layout, points[part], PART_WEIGHTS[part])[0]
        return loss, {}

    def judge() -> dict[str, float]:
        return judged(networks, small, held)

    def write() -> None:
        for part in PARTS:
            write_net(folder, specs[part], nets[part])

    train_steps(learned, optimiser, options, loss_of, judge, write, folder, "joint", progress)
    return judge()


@torch.no_grad()
def judged(networks: Networks, model: BodyModel, held_out: JointSet) -> dict[str, float]:
    """Held-out errors of the merged person, mm."""
    for net in (networks.body, networks.hand, networks.face):
        net.eval()
    merged = predicted(networks, held_out.people).merged
    _, terms = joint_loss(model, merged, held_out)
    return {f"held_out_{name.removeprefix('merged_')}_mm": 1000 * value for name, value in terms.items()}
