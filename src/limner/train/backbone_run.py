"""The command that trains a backbone; needs the extra `train` (accelerate)."""

from dataclasses import replace
from pathlib import Path

from limner.body.model import BodyModel
from limner.networks.weights import NetSpec, Part
from limner.train.images import ImageOptions, Init, train_on_images
from limner.train.run import HIDDEN, Preset, progress_bar, reporter, show_result

IMAGE_OPTIONS: dict[Preset, ImageOptions] = {
    "limner": ImageOptions(),
    "smoke": ImageOptions(20, batch_size=8, log_every=20, save_every=20),
}


def run_backbone(
    part: Part, backbone: str, init: Init, evidence: Path, out: Path, steps: int | None, preset: Preset, seed: int
) -> None:
    """Train a backbone with its regressor on kept crops, from scratch or on from its weights; resumes."""
    spec = NetSpec(part, backbone, hidden=HIDDEN[part] if preset == "limner" else (128, 128), dropout=0.0)
    options = IMAGE_OPTIONS[preset]
    options = replace(options, steps=steps or options.steps, seed=seed)
    with progress_bar() as progress:
        report = reporter(progress, f"{part}, {backbone}", options.steps)
        errors = train_on_images(spec, init, evidence, BodyModel.load(), out, options, report)
    show_result(part, errors, out, ("loss", "rotation", "points3d", "points2d"))
