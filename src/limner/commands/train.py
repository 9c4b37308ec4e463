"""Train networks: each goes on where it stopped (docs/training.md)."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import LimnerError
from limner.train.orders import Training

Trained = Annotated[Training, tyro.conf.arg(name="")]


def regressor(
    part: Annotated[Literal["body", "hand", "face", "all"], tyro.conf.Positional],
    /,
    training: Trained,
    evidence: Path,
    poses: Path | None = None,
    real_2d: Path | None = None,
) -> int:
    """Train the regressor of one part or of all, on what the frozen backbones saw (step 2 of training).

    Args:
        part: of which part; all: one after the other.
        evidence: folder made by `limner render crops`.
        poses: captured key poses (.npz) for the simulated people.
        real_2d: real photos with 2D joints, for the body: weights trained with them carry their licence.
    """
    from limner.train.run import run_regressors

    if real_2d is not None and part in ("hand", "face"):
        raise LimnerError(f"--real-2d is for the body, got {part}. Leave it out.")
    run_regressors(part, evidence, poses, real_2d, training)
    return 0


def detector(training: Trained, photos: Path, weights: str = "limner", tune_backbone: bool = False) -> int:
    """Train the network that finds people, on labelled photos of your own cameras.

    Args:
        photos: folder in COCO's keypoint layout (annotations.json), your own or of `limner render photos`.
        weights: where it starts: `limner` or a folder.
        tune_backbone: train the backbone, too, not only decoder and heads.
    """
    from limner.train.run import run_detector

    run_detector(photos, weights, tune_backbone, training)
    return 0


def depth(training: Trained, evidence: Path) -> int:
    """Train BlazePose's branch for depth.

    Args:
        evidence: folder made by `limner render crops --pictures`.
    """
    from limner.train.run import run_depth

    run_depth(evidence, training)
    return 0


def joint(training: Trained, evidence: Path, weights: str = "limner") -> int:
    """Fine-tune all three regressors together, through the merge.

    Args:
        evidence: folder made by `limner render crops`, with body, hand and face of the same people.
        weights: where they start: `limner` or a folder.
    """
    from limner.train.run import run_joint

    run_joint(evidence, weights, training)
    return 0


def backbone(
    part: Annotated[Literal["body", "hand", "face"], tyro.conf.Positional],
    name: Annotated[
        Literal["blaze", "blaze_tuned", "compact", "resnet18", "resnet50", "hrnet_w48"], tyro.conf.Positional
    ],
    /,
    training: Trained,
    evidence: Path,
    init: Literal["frozen", "tuned", "scratch"] = "scratch",
) -> int:
    """Train a backbone with its regressor on kept crops.

    Args:
        part: of which part.
        name: of the backbone.
        evidence: folder made by `limner render crops --pictures`.
        init: the backbone as shipped and frozen, tuned from there, or from scratch.
    """
    from limner.train.run import run_backbone

    run_backbone(part, name, init, evidence, training)
    return 0
