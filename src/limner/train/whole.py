"""Fine-tune body, hand and face networks together: errors of the merged person reach all three (ExPose, 3.3)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS
from limner.networks.weights import PARTS, NetSpec, Networks, Part, PartNet, write_net
from limner.pipeline.predicted import PredictedPoints
from limner.train.checkpoint import append_row
from limner.train.losses import PART_WEIGHTS, part_loss
from limner.train.replay import HarvestedPeople, face_from_head, predicted, shown_hand
from limner.train.stages import rendered_truth, well_seen
from limner.train.steps import Progress, train_steps
from limner.train.truth import Truth

NUM_BODY = len(BODY_JOINTS)


@dataclass(frozen=True)
class WholeOptions:
    """Numbers of one run. The rate is small: three trained networks get used to each other."""

    steps: int = 300
    batch_size: int = 96
    learning_rate: float = 2e-5
    weight_decay: float = 1e-4
    whole_weight: float = 30.0
    seed: int = 0
    log_every: int = 50
    save_every: int = 100


@dataclass(frozen=True)
class WholeSet:
    """People of whom body, hand and face were harvested, the truth of each crop, and all 144 keypoints (metres)."""

    people: HarvestedPeople
    truth: dict[Part, Truth]
    shown: dict[Part, Bool[Tensor, "N"]]
    keypoints: Float[Tensor, "N 144 3"]

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, rows: Tensor) -> "WholeSet":
        return WholeSet(
            self.people[rows],
            {part: truth[rows] for part, truth in self.truth.items()},
            {part: shown[rows] for part, shown in self.shown.items()},
            self.keypoints[rows],
        )


@torch.no_grad()
def whole_set(people: HarvestedPeople, model: BodyModel) -> WholeSet:
    """Everything the losses need, computed once; people whose body is not seen are left out."""
    small = model.keypoints_only()
    people = people[(people.body.presence > 0.5).nonzero()[:, 0]]
    truth: dict[Part, Truth] = {}
    shown: dict[Part, Tensor] = {}
    for part in PARTS:
        evidence = getattr(people, part)
        truth[part] = rendered_truth(part, model, evidence)
        shown[part] = well_seen(part, truth[part], evidence.presence)
    params = people.body.params
    keypoints = torch.cat(
        [small.keypoints144(small(params[r]), params[r]) for r in torch.arange(len(people)).split(256)]
    )
    return WholeSet(people, truth, shown, keypoints)


def whole_loss(model: BodyModel, merged: BodyParams, batch: WholeSet) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Distances in the merged person, metres: from pelvis, the seen wrist, and head joint.

    All in the photo's axes: part rotations are judged where they end up, on the body's arm and neck.
    """
    keypoints = model.keypoints144(model(merged), merged)

    def far(said: Tensor, true: Tensor, shown: Tensor) -> Tensor:
        error = (said - true).norm(dim=-1).mean(-1)
        return (error * shown).sum() / shown.sum().clamp_min(1)

    def body_hand_face(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        body = points[:, :NUM_BODY]
        return body - body[:, :1], shown_hand(points, batch.people.hand.mirrored), face_from_head(points)

    said, true = body_hand_face(keypoints), body_hand_face(batch.keypoints)
    terms = {f"whole_{part}": far(said[i], true[i], batch.shown[part]) for i, part in enumerate(PARTS)}
    return sum(terms.values(), keypoints.new_zeros(())), {name: float(value.detach()) for name, value in terms.items()}


def train_whole(
    loaded: dict[Part, tuple[NetSpec, PartNet]],
    model: BodyModel,
    training: HarvestedPeople,
    held_out: HarvestedPeople,
    folder: Path,
    options: WholeOptions,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Tune all three regressors; writes body, hand and face.safetensors, a checkpoint and whole_log.csv.

    The frozen backbones' reports were kept, so no image is needed; the parts' losses of their own stay on. Returns the
    held-out errors of the merged person, mm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    small = model.keypoints_only()
    train, held = whole_set(training, model), whole_set(held_out, model)
    specs = {part: spec for part, (spec, _) in loaded.items()}
    nets = {part: net for part, (_, net) in loaded.items()}
    networks = Networks(**nets)
    points = {part: PredictedPoints(part, model, specs[part].layout()) for part in PARTS}
    learned = nn.ModuleDict({part: nets[part].regressor for part in PARTS})
    optimiser = torch.optim.AdamW(learned.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    if not (folder / "whole_log.csv").exists():
        append_row(folder / "whole_log.csv", {"step": 0.0, "loss": 0.0, **judged(networks, small, held)})

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        batch = train[torch.randint(len(train), (options.batch_size,), generator=generator)]
        said = predicted(networks, batch.people)
        vectors = {
            "body": said.estimate.vectors,
            "hand": said.parts.right_hand.estimate.vectors,
            "face": said.parts.face.estimate.vectors,
        }
        loss, _ = whole_loss(small, said.merged, batch)
        loss = options.whole_weight * loss
        for part in PARTS:
            rows = batch.shown[part].nonzero()[:, 0]
            layout = specs[part].layout()
            own = tuple(vector[rows] for vector in vectors[part])
            loss = loss + part_loss(own, batch.truth[part][rows], layout, points[part], PART_WEIGHTS[part])[0]
        return loss, {}

    def judge() -> dict[str, float]:
        return judged(networks, small, held)

    def write() -> None:
        for part in PARTS:
            write_net(folder, specs[part], nets[part])

    train_steps(learned, optimiser, options, loss_of, judge, write, folder, "whole", progress)
    return judge()


@torch.no_grad()
def judged(networks: Networks, model: BodyModel, held_out: WholeSet) -> dict[str, float]:
    """Held-out errors of the merged person, mm."""
    for net in (networks.body, networks.hand, networks.face):
        net.eval()
    merged = predicted(networks, held_out.people).merged
    _, terms = whole_loss(model, merged, held_out)
    return {f"held_out_{name.removeprefix('whole_')}_mm": 1000 * value for name, value in terms.items()}
