"""Train networks: each goes on where it stopped (docs/training.md)."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import LimnerError

Preset = Literal["limner", "smoke"]
OUT = Path("runs/limner")


def regressor(
    part: Annotated[Literal["body", "hand", "face", "all"], tyro.conf.Positional],
    /,
    evidence: Path,
    out: Path = OUT,
    poses: Path | None = None,
    preset: Preset = "limner",
    seed: int = 0,
    real_2d: Path | None = None,
) -> int:
    """Train the regressor of one part or of all, on what the frozen backbones saw (step 2 of training).

    Args:
        part: of which part; all: one after the other.
        evidence: folder made by `limner render crops`.
        out: folder of weights, checkpoints and logs; usable with `limner estimate --weights`.
        poses: captured key poses (.npz) for the simulated people.
        preset: limner (the shipped weights' recipe) or smoke (a minute, to see that it learns).
        seed: seed of everything random.
        real_2d: real photos with 2D joints, for the body: weights trained with them carry their licence.
    """
    from limner.train.run import run_regressors

    if real_2d is not None and part in ("hand", "face"):
        raise LimnerError(f"--real-2d is for the body, got {part}. Leave it out.")
    run_regressors(part, evidence, out, poses, preset, seed, real_2d)
    return 0


def detector(
    photos: Path,
    out: Path = OUT,
    weights: str = "limner",
    tune_backbone: bool = False,
    steps: int | None = None,
    preset: Preset = "limner",
    seed: int = 0,
) -> int:
    """Train the network that finds people, on labelled photos of your own cameras.

    Args:
        photos: folder in COCO's keypoint layout (annotations.json), your own or of `limner render photos`.
        out: folder of weights, checkpoint and log; usable with `limner estimate --weights`.
        weights: where it starts: `limner` or a folder.
        tune_backbone: train the backbone, too, not only decoder and heads.
        steps: instead of the preset's.
        preset: limner, or smoke (a minute, to see that it learns).
        seed: seed of everything random.
    """
    from limner.train.run import run_detector

    run_detector(photos, weights, out, steps, preset, seed, tune_backbone)
    return 0


def depth(evidence: Path, out: Path = OUT, steps: int | None = None, preset: Preset = "limner", seed: int = 0) -> int:
    """Train BlazePose's branch for depth.

    Args:
        evidence: folder made by `limner render crops --pictures`.
        out: folder of depth.safetensors, checkpoint and log.
        steps: instead of the preset's.
        preset: limner, or smoke (a minute, to see that it learns).
        seed: seed of everything random.
    """
    from limner.train.run import run_depth

    run_depth(evidence, out, steps, preset, seed)
    return 0


def joint(
    evidence: Path,
    out: Path = OUT,
    weights: str = "limner",
    steps: int | None = None,
    preset: Preset = "limner",
    seed: int = 0,
) -> int:
    """Fine-tune all three regressors together, through the merge.

    Args:
        evidence: folder made by `limner render crops`, with body, hand and face of the same people.
        out: folder of weights, checkpoint and log; usable with `limner estimate --weights`.
        weights: where they start: `limner` or a folder.
        steps: instead of the preset's.
        preset: limner, or smoke (a minute, to see that it learns).
        seed: seed of everything random.
    """
    from limner.train.run import run_joint

    run_joint(evidence, weights, out, steps, preset, seed)
    return 0


def backbone(
    part: Annotated[Literal["body", "hand", "face"], tyro.conf.Positional],
    name: Annotated[
        Literal["blaze", "blaze_tuned", "compact", "resnet18", "resnet50", "hrnet_w48"], tyro.conf.Positional
    ],
    /,
    evidence: Path,
    out: Path = OUT,
    init: Literal["frozen", "tuned", "scratch"] = "scratch",
    steps: int | None = None,
    preset: Preset = "limner",
    seed: int = 0,
) -> int:
    """Train a backbone with its regressor on kept crops.

    Args:
        part: of which part.
        name: of the backbone.
        evidence: folder made by `limner render crops --pictures`.
        out: folder of weights, checkpoint and log; usable with `limner estimate --weights`.
        init: the backbone as shipped and frozen, tuned from there, or from scratch.
        steps: instead of the preset's.
        preset: limner, or smoke (a minute, to see that it learns).
        seed: seed of everything random.
    """
    from limner.train.run import run_backbone

    run_backbone(part, name, init, evidence, out, steps, preset, seed)
    return 0
