"""Training of the regressors: calibration, simulated and rendered evidence mixed, one loop for all parts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.data.held_out import read_evidence
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_6d
from limner.networks.blaze.backbones import NUM_FACE_POINTS
from limner.networks.regressor import ParamLayout
from limner.networks.weights import CAMERA_SCALE, DEPTH_FILE, NetSpec, Part, PartNet, build_net, write_net
from limner.pipeline.predicted import PredictedPoints
from limner.records import join
from limner.synth.sampler import PersonSampler
from limner.train.calibrate import fit_attachment, fit_face_vertices, nowhere
from limner.train.losses import LossWeights, part_loss, point_error_mm
from limner.train.real_photos import observe_real, real_loss
from limner.train.rendered import rendered_set
from limner.train.simulate import Simulator
from limner.train.steps import Progress, StepOptions, train_steps
from limner.train.target import Examples, Target

START_NOISE_DEG: dict[Part, float] = {"body": 0.0, "hand": 25.0, "face": 12.0}


Start = Callable[[Target, Generator], Tensor]
"""Where the regression starts for crops with this target (the body's estimate, simulated)."""


@dataclass(frozen=True)
class RegressorOptions(StepOptions):
    """Numbers of one training run; `real_*`: real crops with 2D labels at each step, where there are any."""

    steps: int = 20_000
    batch_size: int = 384
    weight_decay: float = 1e-4
    log_every: int = 200
    save_every: int = 500
    pool_size: int = 32_768
    rendered_share: float = 0.25
    loss: LossWeights = LossWeights()
    real_size: int = 64
    real_weight: float = 5.0


@dataclass(frozen=True)
class Recipe:
    """What trains one part: evidence shards, pose library, numbers; of bodies, real photos with 2D labels too."""

    part: Part
    evidence: Path
    poses: Path | None
    spec: NetSpec
    options: RegressorOptions
    real: Path | None = None


def mean_vector(layout: ParamLayout, part: Part, target: Target) -> Tensor:
    """Where the regression starts: mean rotations of these people (as 6D, like ExPose's all_means)."""
    given = {}
    for name, rotations in target.rotations.items():
        if name in ("global_orient", "wrist_pose", "neck_pose"):
            continue
        given[name] = rotation_to_6d(rotations.mean(0)).flatten()
    return layout.mean(CAMERA_SCALE[part], given)


def simulated_start(layout: ParamLayout, part: Part, mean: Tensor) -> Start:
    """What the body network would hand over: the absolute rotation with an error, all else its mean."""
    block = {"hand": "wrist_pose", "face": "neck_pose"}.get(part)

    def start(target: Target, generator: Generator) -> Tensor:
        vector = mean.expand(len(target), -1).clone()
        if block is not None:
            noise = torch.randn(len(target), 3, generator=generator)
            far = torch.where(torch.rand(len(target), 1, generator=generator) < 0.2, 2.0, 1.0)
            error = rotation_from_axis_angle(noise * far * torch.deg2rad(torch.tensor(START_NOISE_DEG[part])))
            vector[:, layout.slices[block]] = rotation_to_6d(target.rotations[block][:, 0] @ error)
        return vector

    return start


def train_part(recipe: Recipe, model: BodyModel, folder: Path, progress: Progress | None = None) -> dict[str, float]:
    """Calibrate, simulate, train: {part}.safetensors, {part}_log.csv and a checkpoint to resume from in `folder`.

    Started again with the same folder it goes on where it stopped. On a CPU the same seed gives the same weights.
    Returns the held-out errors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part, spec, options, layout = recipe.part, recipe.spec, recipe.options, recipe.spec.layout()
    training, held_out = read_evidence(recipe.evidence, part)
    attachment = fit_attachment(model, training) if part == "body" else nowhere()
    no_face = torch.zeros(NUM_FACE_POINTS, dtype=torch.int64)
    face_vertices = fit_face_vertices(model, training) if part == "face" else no_face
    sampler = PersonSampler(model, recipe.poses)
    simulator = Simulator(part, model, sampler, training, attachment, face_vertices, options.pool_size)
    mean = mean_vector(layout, part, simulator.draw(4096, torch.Generator().manual_seed(99)).target)
    torch.manual_seed(options.seed)  # the first weights
    depth = recipe.evidence / DEPTH_FILE
    net = build_net(spec, mean, depth if depth.exists() else None)
    statistics = simulator.draw(4096, torch.Generator().manual_seed(98)).pooled
    net.standardise.mean.copy_(statistics.mean(0))
    net.standardise.std.copy_(statistics.std(0).clamp_min(1e-2))
    if net.attachment is not None:
        net.attachment.take(attachment.joint, attachment.offset, attachment.sigma)
    real = None
    if recipe.real is not None and part == "body":
        real = observe_real(recipe.real, net, folder / "real_2d.safetensors")
    rendered, held = rendered_set(part, model, training), rendered_set(part, model, held_out)
    points, start = PredictedPoints(part, model, layout), simulated_start(layout, part, mean)
    optimiser = torch.optim.AdamW(
        net.regressor.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        drawn = _batch(simulator, rendered, options, generator)
        vectors = net.regressor(net.standardise(drawn.pooled), start(drawn.target, generator))
        loss, terms = part_loss(vectors, drawn.target, layout, points, options.loss)
        if real is not None:
            batch = real[torch.randint(len(real), (options.real_size,), generator=generator)]
            vector = net.regressor(net.standardise(batch.pooled))[-1]
            loss = loss + options.real_weight * real_loss(vector, batch, layout, points)
        return loss, terms

    def judge() -> dict[str, float]:
        return evaluate_regressor(net, layout, held, points, start)

    def write() -> None:
        write_net(folder, spec, net)

    train_steps(net.regressor, optimiser, options, loss_of, judge, write, folder, part, progress)
    return judge()


def _batch(simulator: Simulator, rendered: Examples, options: RegressorOptions, generator: Generator) -> Examples:
    """Simulated crops, and a share of rendered ones."""
    count = int(options.batch_size * options.rendered_share) if len(rendered) else 0
    drawn = simulator.draw(options.batch_size - count, generator)
    return join([drawn, rendered[torch.randint(len(rendered), (count,), generator=generator)]]) if count else drawn


@torch.no_grad()
def evaluate_regressor(
    net: PartNet, layout: ParamLayout, data: Examples, points: PredictedPoints, start: Start
) -> dict[str, float]:
    """Errors on rendered crops: points in mm (root-relative), and in 2D as share of the crop; the mean's for scale."""
    net.eval()
    begin = start(data.target, torch.Generator().manual_seed(0))
    vector = net.regressor(net.standardise(data.pooled), begin)[-1]
    placed = points(vector)
    projected = layout.camera(vector).project(placed)
    error2d = (projected - data.target.points2d).norm(dim=-1).mean() / 2
    return {
        "held_out_mm": float(point_error_mm(vector, data.target, points).mean()),
        "held_out_median_mm": float(point_error_mm(vector, data.target, points).median()),
        "start_mm": float(point_error_mm(begin, data.target, points).mean()),
        "held_out_2d": float(error2d),
    }
