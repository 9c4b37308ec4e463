"""`limner train`: training of the networks."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import LimnerError


def train(
    part: Annotated[Literal["body", "hand", "hands", "face", "all", "person", "depth", "whole"], tyro.conf.Positional],
    /,
    evidence: Path,
    out: Path = Path("runs/limner"),
    poses: Path | None = None,
    preset: Literal["limner", "smoke"] = "limner",
    seed: int = 0,
    backbone: Literal["", "blaze", "blaze_tuned", "compact", "resnet18", "resnet50", "hrnet_w48"] = "",
    init: Literal["frozen", "tuned", "scratch"] = "scratch",
    steps: int | None = None,
    weights: str = "limner",
    real_2d: Path | None = None,
) -> int:
    """Train networks on harvested evidence (step 2 of training); resumes where it stopped.

    Args:
        part: the regressor of one part or of all; depth (BlazePose's branch for depth); whole (all three regressors
            together, through the merge); person (the person finder, on labelled photos; not part of all).
        evidence: folder made by `limner harvest`; for depth and backbones with `--crops`; for person photos in COCO's
            keypoint layout (annotations.json), your own or of `limner harvest --part person`.
        out: folder of weights, checkpoints and logs; usable with `limner estimate --weights`.
        poses: captured key poses (.npz) for the simulated people.
        preset: limner (the shipped weights' recipe) or smoke (a minute, to see that it learns).
        seed: seed of everything random.
        backbone: train this backbone and its regressor on kept crops instead.
        init: of the backbone: as shipped and frozen, tuned from there, or from scratch; of person: frozen unless tuned.
        steps: instead of the preset's (person, depth, whole and backbones).
        weights: where `whole` and `person` start: `limner` or a folder.
        real_2d: real photos with 2D joints, for the body: weights trained with them carry their licence.
    """
    from limner.train import run

    part = "hand" if part == "hands" else part
    if part == "person":
        run.run_person(evidence, weights, out, steps, preset, seed, backbone=init == "tuned")
    elif part == "depth":
        run.run_depth(evidence, out, steps, preset, seed)
    elif part == "whole":
        run.run_whole(evidence, weights, out, steps, preset, seed)
    elif backbone:
        if part == "all":
            raise LimnerError("--backbone trains one part at a time: say body, hand or face instead of all.")
        from limner.train.backbone_run import run_backbone

        run_backbone(part, backbone, init, evidence, out, steps, preset, seed)
    else:
        run.run_training(part, evidence, out, poses, preset, seed, real_2d)
    return 0
