"""How does a regressor learn? One loop for all parts: simulated and rendered evidence mixed, resumable, logged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from limner.networks.regressor import ParamLayout
from limner.networks.weights import NetSpec, PartNet, write_net
from limner.pipeline.predicted import PredictedPoints
from limner.train.losses import LossWeights, part_loss, point_error_mm
from limner.train.real import Real2D, real_loss
from limner.train.simulate import Simulator
from limner.train.steps import Progress, train_steps
from limner.train.truth import Truth


@dataclass(frozen=True)
class TrainOptions:
    """Numbers of one training run; `real_*`: real crops with 2D labels at each step, where there are any."""

    steps: int = 20_000
    batch_size: int = 384
    crowd: int = 32_768
    rendered_share: float = 0.25
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    seed: int = 0
    log_every: int = 200
    save_every: int = 500
    loss: LossWeights = LossWeights()
    real_size: int = 64
    real_weight: float = 5.0


@dataclass(frozen=True)
class RenderedSet:
    """Rendered evidence: what the backbone reported and the truth."""

    pooled: Tensor
    truth: Truth

    def __len__(self) -> int:
        return len(self.pooled)


Start = Callable[[Truth, Generator], Tensor]
"""Where the regression starts for crops with this truth (the body's estimate, simulated)."""


def train_regressor(
    net: PartNet,
    spec: NetSpec,
    simulator: Simulator,
    rendered: RenderedSet,
    held_out: RenderedSet,
    points: PredictedPoints,
    start: Start,
    folder: Path,
    options: TrainOptions,
    progress: Progress | None = None,
    real: Real2D | None = None,
) -> dict[str, float]:
    """Train `net.regressor` on frozen evidence; writes weights, a checkpoint to resume from, and log.csv to `folder`.

    Started again with the same folder it goes on where it stopped. On a CPU the same seed gives the same weights.
    Returns the held-out errors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        net.regressor.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    layout = spec.layout()

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        pooled, truth = _batch(simulator, rendered, options, generator)
        vectors = net.regressor(net.standardise(pooled), start(truth, generator))
        loss, terms = part_loss(vectors, truth, layout, points, options.loss)
        if real is not None:
            batch = real.some(options.real_size, generator)
            vector = net.regressor(net.standardise(batch.pooled))[-1]
            loss = loss + options.real_weight * real_loss(vector, batch, layout, points)
        return loss, terms

    def judge() -> dict[str, float]:
        return evaluate_regressor(net, layout, held_out, points, start)

    def write() -> None:
        write_net(folder, spec, net)

    train_steps(net.regressor, optimiser, options, loss_of, judge, write, folder, spec.part, progress)
    return judge()


def _batch(
    simulator: Simulator, rendered: RenderedSet, options: TrainOptions, generator: Generator
) -> tuple[Tensor, Truth]:
    real = int(options.batch_size * options.rendered_share) if len(rendered) else 0
    drawn = simulator.draw(options.batch_size - real, generator)
    if not real:
        return drawn.pooled, drawn.truth
    rows = torch.randint(len(rendered), (real,), generator=generator)
    chosen = rendered.truth[rows]
    truth = Truth(
        rotations={k: torch.cat([v, chosen.rotations[k]]) for k, v in drawn.truth.rotations.items()},
        numbers={k: torch.cat([v, chosen.numbers[k]]) for k, v in drawn.truth.numbers.items()},
        points3d=torch.cat([drawn.truth.points3d, chosen.points3d]),
        points2d=torch.cat([drawn.truth.points2d, chosen.points2d]),
        visible=torch.cat([drawn.truth.visible, chosen.visible]),
    )
    return torch.cat([drawn.pooled, rendered.pooled[rows]]), truth


@torch.no_grad()
def evaluate_regressor(
    net: PartNet, layout: ParamLayout, data: RenderedSet, points: PredictedPoints, start: Start
) -> dict[str, float]:
    """Errors on rendered crops: points in mm (root-relative), and in 2D as share of the crop; the mean's for scale."""
    net.eval()
    begin = start(data.truth, torch.Generator().manual_seed(0))
    vector = net.regressor(net.standardise(data.pooled), begin)[-1]
    placed = points(vector)
    projected = layout.camera(vector).project(placed)
    error2d = (projected - data.truth.points2d).norm(dim=-1).mean() / 2
    return {
        "held_out_mm": float(point_error_mm(vector, data.truth, points).mean()),
        "held_out_median_mm": float(point_error_mm(vector, data.truth, points).median()),
        "start_mm": float(point_error_mm(begin, data.truth, points).mean()),
        "held_out_2d": float(error2d),
    }
