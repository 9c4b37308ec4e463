"""Training of BlazePose's branch for depth: features of rendered crops are computed once, the branch above learns."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.data.crop_shards import CropPictures, crops_path, shards_with_crops
from limner.data.evidence import read_shards
from limner.data.held_out import split_shards
from limner.errors import DataSetError
from limner.geometry.camera import camera_from_crop
from limner.io.atomic import atomic_write
from limner.networks.blaze.depth import DepthBranch, unmirrored_world
from limner.networks.blaze.pose import BlazePose
from limner.reading.tensor_file import read_tensors
from limner.reading.told import told_as
from limner.records import Rows
from limner.train.calibrate import FittedAttachment, attached_points, fit_attachment
from limner.train.relative import RelativeAdamW
from limner.train.steps import Progress, StepOptions, train_steps

CHUNK = 32  # crops the frozen part sees at once
HIPS = slice(23, 25)


@dataclass(frozen=True)
class DepthOptions(StepOptions):
    """Numbers of one run.

    learning_rate: relative (`RelativeAdamW`). dropped: share of the feature maps that are blanked at each step.
    """

    steps: int = 4000
    learning_rate: float = 2e-3
    dropped: float = 0.02


@dataclass(frozen=True)
class DepthExamples(Rows):
    """What the frozen part saw in N crops, each also mirrored, and where the points are.

    side16 float16; world: BlazePose's points about the mid-hips, axes of the crop as it was seen, metres.
    """

    side16: Float[Tensor, "N 88 16 16"]
    world: Float[Tensor, "N 33 3"]


@torch.no_grad()
def frozen_features(shard: Path, cache: Path, pose: BlazePose) -> Float[Tensor, "N 2 88 16 16"]:
    """Stride-16 features of a shard's crops and of their mirror images, float16; kept in `cache`."""
    file_of_shard = cache / f"side16_{shard.name}"
    if not file_of_shard.exists():
        pictures = CropPictures([crops_path(shard)])
        seen = []
        for rows in torch.arange(len(pictures)).split(CHUNK):
            pixels = pictures[rows]
            both = [pose.side16(pixels), pose.side16(pixels.flip(-1))]
            seen.append(torch.stack(both, 1).half())
        with atomic_write(file_of_shard) as file:
            file.write(save({"side16": torch.cat(seen)}))
    with told_as(DataSetError, file_of_shard, "Delete it: it is made again from the shard."):
        return read_tensors(file_of_shard)[0]["side16"]


@torch.no_grad()
def true_world(model: BodyModel, shard: Path, attachment: FittedAttachment) -> tuple[Tensor, Tensor]:
    """Points of a shard's people "N 33 3" as BlazePose should report them, and "N" whether it saw anybody."""
    evidence = read_shards([shard])
    points = attached_points(model, evidence.params, attachment)
    in_crop = camera_from_crop(evidence.squares, evidence.camera).mT
    return (points - points[:, HIPS].mean(1, keepdim=True)) @ in_crop.mT, evidence.presence > 0.5


def read_examples(
    shards: list[Path], cache: Path, pose: BlazePose, model: BodyModel, attachment: FittedAttachment
) -> DepthExamples:
    """Both views of everybody who was seen: rows 2 i and 2 i + 1 are one crop and its mirror image."""
    features, worlds = [], []
    for shard in shards:
        side16 = frozen_features(shard, cache, pose)
        world, seen = true_world(model, shard, attachment)
        features.append(side16[seen].flatten(0, 1))
        worlds.append(torch.stack([world[seen], unmirrored_world(world[seen])], 1).flatten(0, 1))
    return DepthExamples(torch.cat(features), torch.cat(worlds))


@torch.no_grad()
def world_error_mm(branch: DepthBranch, held_out: DepthExamples) -> float:
    """Mean distance of the mean of both views, millimetres."""
    branch.eval()
    worlds = torch.cat([branch(rows.float()) for rows in held_out.side16.split(64)])
    both = (worlds[::2] + unmirrored_world(worlds[1::2])) / 2
    return 1000 * float((both - held_out.world[::2]).norm(dim=-1).mean())


def train_depth(
    model: BodyModel,
    evidence: Path,
    folder: Path,
    options: DepthOptions,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train the branch; writes depth.safetensors, a checkpoint to go on from and depth_log.csv to `folder`.

    On a CPU the same seed gives the same weights. Returns the held-out error, and BlazePose's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder / "features"
    cache.mkdir(exist_ok=True)
    train_shards, held_out_shards = split_shards(shards_with_crops(evidence, "body"))
    pose = BlazePose.load()
    attachment = fit_attachment(model, read_shards(train_shards))
    training = read_examples(train_shards, cache, pose, model, attachment)
    held_out = read_examples(held_out_shards, cache, pose, model, attachment)
    branch = DepthBranch.copy_of(pose)
    before = world_error_mm(branch, held_out)
    optimiser = RelativeAdamW(branch.parameters(), options.learning_rate, options.weight_decay)

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(training), (options.batch_size,), generator=generator)
        keep = torch.rand(options.batch_size, training.side16.shape[1], 1, 1, generator=generator) >= options.dropped
        world = branch(training.side16[rows].float() * keep)
        return (world - training.world[rows]).norm(dim=-1).mean(), {}

    def judge() -> dict[str, float]:
        return {"held_out_mm": world_error_mm(branch, held_out), "blaze_pose_mm": before}

    def write() -> None:
        with atomic_write(folder / "depth.safetensors") as file:
            file.write(save({name: value.half().contiguous() for name, value in branch.state_dict().items()}))

    train_steps(branch, optimiser, options, loss_of, judge, write, folder, "depth", progress)
    return judge()
