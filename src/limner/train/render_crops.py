"""Rendering training data: synthetic people as frozen backbones observe them, in shards, resumed at any minute."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from limner.body.keypoints import indices_of
from limner.data.crop_shards import CropPictures, crops_path, write_crops
from limner.data.evidence import Evidence, read_shards, write_shard
from limner.geometry.box import CropJitter, Squares
from limner.geometry.warp import Crops
from limner.networks.backbone import Backbone
from limner.networks.part_net import JITTER, Observations
from limner.networks.weights import PARTS, Part, build_backbone, frozen_spec
from limner.pipeline.parts import body_squares, face_squares, hand_squares, part_points
from limner.records import join
from limner.synth.people import SynthBatch, SyntheticPeople


def jittered(squares: Squares, jitter: CropJitter, generator: Generator) -> Squares:
    """Squares moved, scaled and turned at random."""
    count = len(squares)
    noise = torch.randn(count, 4, generator=generator, device=squares.size_px.device).clamp(-2.5, 2.5)
    return Squares(
        squares.center_px + noise[:, :2] * jitter.shift * squares.size_px[:, None],
        squares.size_px * (noise[:, 2] * jitter.scale).exp(),
        squares.angle_rad + noise[:, 3] * jitter.turn,
    )


def true_squares(part: Part, keypoints_px: Tensor, mirrored: Tensor) -> Squares:
    """Where inference would cut a part out if it knew the truth. `mirrored` people show the left hand."""
    if part == "hand":
        left, right = (part_points(keypoints_px, f"{side}_hand") for side in ("left", "right"))
        return hand_squares(torch.where(mirrored[:, None, None], left, right))
    if part == "face":
        return face_squares(part_points(keypoints_px, "face"))
    left_hip, right_hip, neck = keypoints_px[:, list(indices_of(("left_hip", "right_hip", "neck")))].unbind(1)
    hips = (left_hip + right_hip) / 2
    radius = (keypoints_px[:, :76] - hips[:, None]).norm(dim=-1).amax(-1, keepdim=True)
    up = torch.nn.functional.normalize(neck - hips, dim=-1, eps=1e-6)
    return body_squares(hips, hips + up * radius)


@torch.no_grad()
def render_crops(
    synthetic: SyntheticPeople,
    folder: Path,
    shards: int,
    seed: int,
    parts: tuple[Part, ...] = PARTS,
    batch_size: int = 16,
    batches_a_shard: int = 8,
    supersample: float = 1.0,
    crops: bool = False,
    depth: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `shards` shards of evidence of each part into `folder`; those that exist are kept.

    `crops`: keep the pictures too, in a file beside each shard (to train backbones). `depth`: file of a
    depth branch to look with.

    Every shard has its own seed, so that a run that was cut off goes on where it stopped with the same result, and
    parts rendered in runs of their own show the same people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backbones = {part: build_backbone(frozen_spec(part, depth), depth) for part in parts}
    for shard in range(shards):
        paths = {part: folder / f"{part}_{shard:05d}.safetensors" for part in parts}
        missing = [part for part in parts if not paths[part].exists()]
        if missing:
            people = torch.Generator().manual_seed(seed * 1_000_003 + shard)
            places = {p: torch.Generator().manual_seed(people.initial_seed() * 7 + PARTS.index(p)) for p in missing}
            seen: dict[Part, list[Evidence]] = {part: [] for part in missing}
            pictures: dict[Part, list[Tensor]] = {part: [] for part in missing}
            for _ in range(batches_a_shard):
                batch = synthetic.batch(batch_size, people)
                visible = synthetic.visible(batch)
                for part in missing:
                    one, pixels = _observed(part, backbones[part], synthetic, batch, visible, places[part], supersample)
                    seen[part].append(one)
                    pictures[part].append(pixels)
            for part in missing:
                if crops:  # first: a shard stands for both
                    write_crops(crops_path(paths[part]), torch.cat(pictures[part]))
                write_shard(paths[part], join(seen[part]))
        if progress:
            progress(shard + 1, shards)


def _observed(
    part: Part,
    backbone: Backbone,
    synthetic: SyntheticPeople,
    batch: SynthBatch,
    visible: Tensor,
    generator: Generator,
    supersample: float,
) -> tuple[Evidence, Tensor]:
    """What the backbone reports of one crop of each person, and these crops (8 bits)."""
    count = len(batch)
    mirrored = torch.zeros(count, dtype=torch.bool)
    if part == "hand":  # the hand that is seen better, a coin decides ties
        shown = [part_points(visible[..., None].float(), f"{s}_hand").mean((1, 2)) for s in ("left", "right")]
        mirrored = shown[0] + 0.3 * torch.rand(count, generator=generator) > shown[1] + 0.15
    squares = jittered(true_squares(part, batch.keypoints_px, mirrored), JITTER[part], generator)
    pixels = synthetic.render(batch, squares, backbone.crop_size, supersample, mirrored)
    crops = Crops(pixels.float() / 255, squares, mirrored)
    seen = Observations(torch.arange(count), 2 * batch.camera.center_px, crops, backbone(crops.pixels))
    return Evidence.of(seen, batch.params, batch.camera, visible), pixels


@torch.no_grad()
def observe_again(
    source: Path,
    folder: Path,
    parts: tuple[Part, ...] = PARTS,
    depth: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """The shards of `source` as today's backbones see their kept pictures, written to `folder`; existing ones stay."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = [(part, path) for part in parts for path in sorted(source.glob(f"{part}_*.safetensors"))]
    backbones = {part: build_backbone(frozen_spec(part, depth), depth) for part in parts}
    for done, (part, path) in enumerate(shards):
        target = folder / path.name
        if not target.exists():
            pictures, kept = CropPictures([crops_path(path)]), read_shards([path])
            features = join([backbones[part](pictures[rows]) for rows in torch.arange(len(pictures)).split(16)])
            seen = replace(kept.observations, features=features)
            write_shard(target, Evidence.of(seen, kept.params, kept.camera, kept.visible))
        if progress:
            progress(done + 1, len(shards))
