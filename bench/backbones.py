"""What does a backbone learn in equal time on one core? Frozen, tuned and from scratch side by side, on rendered crops.

    python bench/backbones.py --evidence runs/crops --out runs/backbones [--minutes 4] [--json bench/backbones.json]

`--evidence`: made by `limner render crops --part body --pictures`. Each row is trained with the same regressor and
losses for about the same processor time, then judged on held-out crops: PA-MPJPE of 22 joints. Baseline: the first
row's starting mean pose. One thread and processor time, so the machine may be busy. A run that was stopped goes on.
"""

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.body.skeleton import BODY_JOINTS
from limner.data.crop_shards import shards_with_crops
from limner.data.evidence import read_shards
from limner.data.held_out import split_shards
from limner.evaluate.metrics import pa_mpjpe
from limner.networks.weights import NetSpec, build_net, load_net
from limner.pipeline.predicted import BODY_POINTS, PredictedPoints
from limner.train.backbones import BackboneOptions, Init, Pictures, pooled_features, read_pictures, train_backbone
from limner.train.calibrate import fit_attachment
from limner.train.losses import PART_WEIGHTS, part_loss

JOINTS = [BODY_POINTS.index(name) for name in BODY_JOINTS]
JUDGED = 256


@dataclass(frozen=True)
class Trial:
    """One row: which backbone, from where, and how many crops a step."""

    name: str
    backbone: str
    init: Init
    batch_size: int = 32


TRIALS = (
    Trial("BlazePose, frozen", "blaze", "frozen", 256),
    Trial("BlazePose, tuned", "blaze_tuned", "tuned"),
    Trial("BlazePose, from scratch", "blaze_tuned", "scratch"),
    Trial("compact, from scratch", "compact", "scratch"),
    Trial("ResNet-18, from scratch", "resnet18", "scratch"),
    Trial("HRNet-W48, from scratch", "hrnet_w48", "scratch", 8),
)


def spec_of(trial: Trial) -> NetSpec:
    """All rows have the same regressor."""
    return NetSpec("body", trial.backbone, hidden=(512, 512), dropout=0.0)


def seconds_a_step(trial: Trial, held: Pictures, model: BodyModel) -> float:
    """Processor seconds of one training step, the second of two."""
    spec = spec_of(trial)
    net, points = build_net(spec).train(), PredictedPoints("body", model, spec.layout())
    rows = torch.arange(trial.batch_size) % len(held)
    shown = held.seen.pooled[rows] if trial.init == "frozen" else held.pixels(rows)
    for _ in range(2):
        before = time.process_time()
        pooled = shown if trial.init == "frozen" else net.backbone(shown).pooled
        vectors = net.regressor(net.standardise(pooled))
        part_loss(vectors, held.seen.target[rows], spec.layout(), points, PART_WEIGHTS["body"])[0].backward()
        seconds = time.process_time() - before
    return seconds


@torch.no_grad()
def judge(trial: Trial, path: Path, held: Pictures, model: BodyModel) -> tuple[float, float, float]:
    """PA-MPJPE in mm of the network and of its starting pose, and processor milliseconds a crop."""
    _, net = load_net(path)
    rows = torch.arange(min(JUDGED, len(held)))
    points, true = PredictedPoints("body", model, spec_of(trial).layout()), held.seen.target.points3d[rows][:, JOINTS]
    before = time.process_time()
    pooled = pooled_features(net, held, rows)
    milliseconds = 1000 * (time.process_time() - before) / len(rows)
    said = net.regressor(net.standardise(pooled))[-1]
    mean = net.regressor.mean.expand(len(rows), -1)
    errors = [1000 * float(pa_mpjpe(points(vector)[:, JOINTS], true).mean()) for vector in (said, mean)]
    return errors[0], errors[1], milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evidence", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = BodyModel.load()
    train_shards, held_shards = split_shards(shards_with_crops(arguments.evidence, "body"))
    held = read_pictures("body", held_shards, model, fit_attachment(model, read_shards(train_shards)))
    rows = []
    for trial in TRIALS:
        folder = arguments.out / trial.name.replace(", ", "_").replace(" ", "_")
        done = folder / "row.json"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # a trial that was cut off starts again: its time is measured
            step = seconds_a_step(trial, held, model)
            steps = max(10, round(60 * arguments.minutes / step))
            every = max(1, steps // 10)
            options = BackboneOptions(steps, trial.batch_size, log_every=every, save_every=every)
            marks: list[float] = []
            train_backbone(
                spec_of(trial),
                trial.init,
                arguments.evidence,
                model,
                folder,
                options,
                lambda *_, marks=marks: marks.append(time.process_time()),
            )
            step = (marks[-2] - marks[0]) / (every * (len(marks) - 2))  # the last stretch may be a short one
            error, mean_error, look = judge(trial, folder / "body.safetensors", held, model)
            row = {
                "name": trial.name,
                "init": trial.init,
                "trained": "rendered crops",
                "images": steps * trial.batch_size,
                "minutes": round(steps * step / 60, 1),
                "images_per_second": round(trial.batch_size / step, 1),
                "ms_per_crop": round(look, 1),
                "heldout_pa_mpjpe_mm": round(error, 1),
                "mean_pose_pa_mpjpe_mm": round(mean_error, 1),
            }
            done.write_text(json.dumps(row))
        rows.append(json.loads(done.read_text()))
        print(rows[-1], flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps({"judged": min(JUDGED, len(held)), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
