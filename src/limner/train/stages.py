"""The recipe: from rendered evidence to the weights of a part network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.data.evidence import Evidence, read_shards
from limner.errors import LimnerError
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_6d
from limner.networks.blaze.backbones import NUM_FACE_POINTS
from limner.networks.regressor import ParamLayout
from limner.networks.weights import CAMERA_SCALE, DEPTH_FILE, NetSpec, Part, build_net
from limner.pipeline.predicted import PredictedPoints
from limner.synth.sampler import PersonSampler
from limner.train.calibrate import FittedAttachment, fit_attachment, fit_face_vertices, nowhere
from limner.train.loop import RenderedSet, Start, TrainOptions, train_regressor
from limner.train.real import look_at_real
from limner.train.simulate import Simulator
from limner.train.truth import Truth, part_truth

HELD_OUT_SHARDS = 4
"""So many shards, the first ones, are never trained on (of fewer than eight: the first)."""
CHUNK = 256
MIN_VISIBLE = {"body": 0.0, "hand": 0.5, "face": 0.5}
START_NOISE_DEG: dict[Part, float] = {"body": 0.0, "hand": 25.0, "face": 12.0}


@dataclass(frozen=True)
class Recipe:
    """What trains one part: evidence shards, pose library, numbers; of bodies, real photos with 2D labels too."""

    part: Part
    evidence: Path
    poses: Path | None
    spec: NetSpec
    options: TrainOptions
    real: Path | None = None


def read_evidence(folder: Path, part: Part) -> tuple[Evidence, Evidence]:
    """Training and held-out rendered evidence, split by shard (people of one shard never fall into both)."""
    paths = sorted(folder.glob(f"{part}_*.safetensors"))
    if len(paths) < 2:
        raise LimnerError(
            f"{folder} holds {len(paths)} shards of {part} evidence, expected at least 2: make them with "
            "`limner harvest --out FOLDER --shards 40`."
        )
    training, held_out = split_shards(paths)
    return read_shards(training), read_shards(held_out)


def split_shards(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Shards to train on, and those held out."""
    held = HELD_OUT_SHARDS if len(paths) >= 2 * HELD_OUT_SHARDS else 1
    return paths[held:], paths[:held]


def rendered_truth(part: Part, model: BodyModel, evidence: Evidence) -> Truth:
    """The truth of every crop."""
    small, chunks = model.keypoints_only(), range(0, len(evidence), CHUNK)
    params = [evidence.params[slice(start, start + CHUNK)] for start in chunks]
    return part_truth(
        part,
        torch.cat([small.keypoints144(small(p), p) for p in params]),
        evidence.params,
        evidence.camera,
        evidence.squares,
        evidence.mirrored,
        evidence.visible,
    )


def well_seen(part: Part, truth: Truth, presence: Tensor) -> Tensor:
    """Which crops show the part, to us and to the backbone."""
    return (truth.visible.float().mean(-1) >= MIN_VISIBLE[part]) & (presence > 0.5)


def rendered_set(part: Part, model: BodyModel, evidence: Evidence) -> RenderedSet:
    """Rendered evidence with its truth, without crops in which the part cannot be seen."""
    truth = rendered_truth(part, model, evidence)
    seen = well_seen(part, truth, evidence.presence)
    return RenderedSet(evidence.pooled[seen], truth[seen])


def mean_vector(layout: ParamLayout, part: Part, truth: Truth) -> Tensor:
    """Where the regression starts: mean rotations of these people (as 6D, like ExPose's all_means)."""
    given = {}
    for name, rotations in truth.rotations.items():
        if name in ("global_orient", "wrist_pose", "neck_pose"):
            continue
        given[name] = rotation_to_6d(rotations.mean(0)).flatten()
    return layout.mean(CAMERA_SCALE[part], given)


def simulated_start(layout: ParamLayout, part: Part, mean: Tensor) -> Start:
    """What the body network would hand over: the absolute rotation with an error, all else its mean."""
    block = {"hand": "wrist_pose", "face": "neck_pose"}.get(part)

    def start(truth: Truth, generator: Generator) -> Tensor:
        vector = mean.expand(len(truth), -1).clone()
        if block is not None:
            noise = torch.randn(len(truth), 3, generator=generator)
            far = torch.where(torch.rand(len(truth), 1, generator=generator) < 0.2, 2.0, 1.0)
            error = rotation_from_axis_angle(noise * far * torch.deg2rad(torch.tensor(START_NOISE_DEG[part])))
            vector[:, layout.slices[block]] = rotation_to_6d(truth.rotations[block][:, 0] @ error)
        return vector

    return start


def train_part(
    recipe: Recipe,
    body_model: BodyModel,
    folder: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Calibrate, simulate, train: writes {part}.safetensors to `folder` and returns the held-out errors."""
    part, spec = recipe.part, recipe.spec
    training, held_out = read_evidence(recipe.evidence, part)
    attachment, face_vertices = _calibration(body_model, recipe, training)
    sampler = PersonSampler(body_model, recipe.poses)
    simulator = Simulator(part, body_model, sampler, training, attachment, face_vertices, recipe.options.crowd)
    layout = spec.layout()
    mean = mean_vector(layout, part, simulator.draw(4096, torch.Generator().manual_seed(99)).truth)
    torch.manual_seed(recipe.options.seed)  # the first weights
    depth = recipe.evidence / DEPTH_FILE
    net = build_net(spec, mean, depth if depth.exists() else None)
    statistics = simulator.draw(4096, torch.Generator().manual_seed(98)).pooled
    net.standardise.mean.copy_(statistics.mean(0))
    net.standardise.std.copy_(statistics.std(0).clamp_min(1e-2))
    if net.attachment is not None:
        net.attachment.take(attachment.joint, attachment.offset, attachment.sigma)
    real = None
    if recipe.real is not None and part == "body":
        real = look_at_real(recipe.real, net, folder / "real_2d.safetensors")
    return train_regressor(
        net,
        spec,
        simulator,
        rendered_set(part, body_model, training),
        rendered_set(part, body_model, held_out),
        PredictedPoints(part, body_model, layout),
        simulated_start(layout, part, mean),
        folder,
        recipe.options,
        progress,
        real,
    )


def _calibration(model: BodyModel, recipe: Recipe, training: Evidence) -> tuple[FittedAttachment, Tensor]:
    """What the part needs: where BlazePose's points, or the face mesh's points, lie on our body."""
    if recipe.part == "body":
        return fit_attachment(model, training), torch.zeros(NUM_FACE_POINTS, dtype=torch.int64)
    if recipe.part == "face":
        return nowhere(), fit_face_vertices(model, training)
    return nowhere(), torch.zeros(NUM_FACE_POINTS, dtype=torch.int64)
