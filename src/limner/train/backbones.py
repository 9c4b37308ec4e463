"""Training of a backbone from pictures, end to end with its regressor: from scratch, or on from what it knows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from limner.body.model import BodyModel
from limner.data.crop_shards import CropPictures, crops_path, shards_with_crops
from limner.data.evidence import Evidence, read_shards
from limner.data.held_out import split_shards
from limner.errors import LimnerError
from limner.extras import extra
from limner.networks.backbone import Features
from limner.networks.blaze.backbones import NUM_POSE_POINTS
from limner.networks.weights import NetSpec, Part, PartNet, build_net, write_net
from limner.pipeline.predicted import PredictedPoints
from limner.train.calibrate import FittedAttachment, attached_points, fit_attachment, nowhere
from limner.train.losses import PART_WEIGHTS, part_loss
from limner.train.regressors import Start, evaluate_regressor, mean_vector, simulated_start
from limner.train.relative import RelativeAdamW
from limner.train.rendered import rendered_target, well_seen
from limner.train.steps import Progress, StepOptions, train_steps
from limner.train.target import Examples

Init = Literal["scratch", "tuned", "frozen"]
"""A backbone from random numbers; on from its shipped weights; or as shipped, and only the regressor learns."""
CHUNK = 32  # pictures a backbone sees at once where nothing is learned
KEYPOINT_WEIGHT = 2.0


@dataclass(frozen=True)
class BackboneOptions(StepOptions):
    """Numbers of one run; `relative_rate`: of a tuned backbone (`RelativeAdamW`)."""

    steps: int = 2000
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    log_every: int = 100
    save_every: int = 100
    relative_rate: float = 2e-3
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"


@dataclass(frozen=True)
class Pictures:
    """Pictures of one part with their target; `points`: where the backbone's keypoints are ("N 0 2": it has none)."""

    crops: CropPictures
    rows: Tensor
    seen: Examples
    points: Float[Tensor, "N K 2"]

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, index: Tensor) -> Float[Tensor, "B 3 S S"]:
        """Some of the pictures, RGB in [0, 1]."""
        return self.crops[self.rows[index]]


def read_pictures(part: Part, shards: list[Path], model: BodyModel, attachment: FittedAttachment) -> Pictures:
    """Pictures in which the part is to be seen, with the target and what BlazePose reports."""
    evidence = read_shards(shards)
    target = rendered_target(part, model, evidence)
    rows = well_seen(part, target, evidence.presence).nonzero()[:, 0]
    points = torch.zeros(len(rows), 0, 2)
    if part == "body":
        points = torch.cat([_points(model, evidence[r], attachment) for r in rows.split(256)])
    crops = CropPictures([crops_path(path) for path in shards])
    return Pictures(crops, rows, Examples(evidence.pooled[rows], target[rows]), points)


def _points(model: BodyModel, evidence: Evidence, attachment: FittedAttachment) -> Float[Tensor, "B K 2"]:
    points = attached_points(model, evidence.params, attachment)
    return evidence.squares.unit_from_photo(evidence.camera.project(points))


def train_backbone(
    spec: NetSpec,
    init: Init,
    evidence: Path,
    model: BodyModel,
    folder: Path,
    options: BackboneOptions,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train backbone and regressor on kept crops; writes {part}.safetensors, a checkpoint and {part}_log.csv.

    Several GPUs and mixed precision by accelerate (`accelerate launch $(which limner) train ...`). On one CPU the same
    seed gives the same weights. Returns the held-out errors. Raises LimnerError for data without pictures.
    """
    if init == "frozen" and spec.backbone != "blaze":
        raise LimnerError(f"a frozen {spec.backbone} backbone knows nothing: frozen goes with the backbone blaze.")
    with extra("train", "Training a backbone"):
        from accelerate import Accelerator
    accelerator = Accelerator(mixed_precision=options.mixed_precision)
    folder.mkdir(parents=True, exist_ok=True)
    part = spec.part
    train_shards, held_out_shards = split_shards(shards_with_crops(evidence, part))
    attachment = fit_attachment(model, read_shards(train_shards)) if part == "body" else nowhere()
    training = read_pictures(part, train_shards, model, attachment)
    held_out = read_pictures(part, held_out_shards, model, attachment)
    net = _first_net(spec, init, training, options)
    if net.attachment is not None:
        net.attachment.take(attachment.joint, attachment.offset, attachment.sigma)
    layout, points = spec.layout(), PredictedPoints(part, model, spec.layout()).to(accelerator.device)
    start = simulated_start(layout, part, net.regressor.mean)
    optimiser = _optimiser(net, init, options)
    learner = accelerator.prepare(_Learner(net, init))
    device = accelerator.device

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(training), (options.batch_size,), generator=generator)
        target = training.seen.target[index]
        begin = start(target, generator).to(device)
        # a frozen backbone's report was kept with the crop
        shown = training.seen.pooled[index] if init == "frozen" else recoloured(training.pixels(index), generator)
        with accelerator.autocast():
            features, vectors = learner(shown.to(device), begin)
        loss, terms = part_loss(vectors, target.to(device), layout, points, PART_WEIGHTS[part])
        return loss + keypoint_loss(features, training.points[index].to(device)), terms

    def write() -> None:
        write_net(folder, spec, net)

    train_steps(net, optimiser, options, loss_of, dict, write, folder, part, progress, accelerator)
    return judged(net.cpu(), spec, held_out, points.cpu(), start)


class _Learner(nn.Module):
    """What is trained, as one module: accelerate wraps it for several GPUs."""

    def __init__(self, net: PartNet, init: Init):
        super().__init__()
        self.net, self.frozen = net, init == "frozen"

    def forward(self, shown: Tensor, start: Tensor) -> tuple[Features, tuple[Tensor, ...]]:
        """`shown`: pictures, or what a frozen backbone reported of them."""
        features = Features(shown) if self.frozen else self.net.backbone(shown)
        return features, self.net.regressor(self.net.standardise(features.pooled), start)


def _first_net(spec: NetSpec, init: Init, training: Pictures, options: BackboneOptions) -> PartNet:
    torch.manual_seed(options.seed)
    net = build_net(spec, mean_vector(spec.layout(), spec.part, training.seen.target))
    assert isinstance(net.backbone, nn.Module)
    if init == "scratch":
        for module in net.backbone.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
    if init == "frozen":
        net.backbone.requires_grad_(False)
    rows = torch.arange(min(8 * CHUNK, len(training)))
    pooled = pooled_features(net, training, rows)
    net.standardise.mean.copy_(pooled.mean(0))
    net.standardise.std.copy_(pooled.std(0).clamp_min(1e-2))
    return net


def _optimiser(net: PartNet, init: Init, options: BackboneOptions) -> torch.optim.Optimizer:
    """A tuned backbone learns by relative steps, the rest as usual."""
    assert isinstance(net.backbone, nn.Module)
    if init == "tuned":
        fresh = net.regressor.parameters()
        return RelativeAdamW(
            net.backbone.parameters(), options.relative_rate, options.weight_decay, fresh, options.learning_rate
        )
    learned = net.regressor if init == "frozen" else net
    return torch.optim.AdamW(learned.parameters(), options.learning_rate, weight_decay=options.weight_decay)


def recoloured(pixels: Float[Tensor, "B 3 S S"], generator: Generator) -> Float[Tensor, "B 3 S S"]:
    """Other exposure, contrast and white balance for each picture, and a little noise."""
    draw = torch.rand(len(pixels), 5, 1, 1, generator=generator)
    gain = (1 + 0.15 * (2 * draw[:, :3] - 1)) * torch.exp(0.5 * (2 * draw[:, 3:4] - 1))
    mean = pixels.mean((1, 2, 3), keepdim=True)
    contrasted = mean + (pixels - mean) * (0.7 + 0.6 * draw[:, 4:5])
    noise = torch.randn(pixels.shape, generator=generator)
    return (contrasted * gain + 0.01 * noise).clamp(0, 1)


def keypoint_loss(features: Features, points: Float[Tensor, "B K 2"]) -> Float[Tensor, ""]:
    """Distance of the backbone's keypoints from where they are; points outside the crop do not count.

    Where keypoints come from heat maps, these are taught too: cross-entropy against the true cell. Coordinates alone
    teach an expectation over a map badly.
    """
    if features.keypoints is None or not points.shape[1]:
        return features.pooled.new_zeros(())
    inside = (points.abs() < 1).all(-1)
    at = features.keypoints[:, :NUM_POSE_POINTS, :2]
    loss = ((at - points).abs().sum(-1) * inside).sum() / inside.sum().clamp_min(1)
    if features.heatmaps is not None:
        size = features.heatmaps.shape[-1]
        cell = ((points + 1) / 2 * size).floor().long().clamp(0, size - 1)
        logits = features.heatmaps[:, : points.shape[1]].flatten(2)[inside]
        target = (cell[..., 1] * size + cell[..., 0])[inside]
        loss = loss + 0.2 * nn.functional.cross_entropy(logits, target)
    return KEYPOINT_WEIGHT * loss


@torch.no_grad()
def pooled_features(net: PartNet, pictures: Pictures, rows: Tensor) -> Float[Tensor, "B F"]:
    """What the backbone reports of some pictures."""
    was = net.training
    net.eval()
    pooled = torch.cat([net.backbone(pictures.pixels(some)).pooled for some in rows.split(CHUNK)])
    net.train(was)
    return pooled


def judged(net: PartNet, spec: NetSpec, held_out: Pictures, points: PredictedPoints, start: Start) -> dict[str, float]:
    """Held-out errors of backbone and regressor together."""
    pooled = pooled_features(net, held_out, torch.arange(len(held_out)))
    return evaluate_regressor(net, spec.layout(), Examples(pooled, held_out.seen.target), points, start)
