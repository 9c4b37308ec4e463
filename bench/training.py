"""Where does training's time go? Crops made and crops trained a second on one thread, and the share of each piece.

    python bench/training.py --poses cmu_poses.npz --hdri HDRI [--json bench/training.json]

Processor time, so the machine may be busy. Baseline: the frozen backbone's own look at the same crops; `against_look`
is each piece's time as a multiple of it. On a GPU machine all pieces run on the CPU still, but `train body --backbone`,
which accelerate puts on the GPU (`limner.train.backbones`).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.geometry.box import Squares
from limner.networks.blaze.depth import DepthBranch
from limner.networks.blaze.pose import BlazePose
from limner.networks.weights import NetSpec, build_backbone, build_net
from limner.pipeline.predicted import PredictedPoints
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler
from limner.train.losses import PART_WEIGHTS, part_loss
from limner.train.pose_pool import PosePool
from limner.train.render_crops import true_squares
from limner.train.target import part_target

CROPS = 32
ROUNDS = 3


def seconds(job: Callable[[], object]) -> float:
    """Least processor time of a few rounds."""
    spent = []
    for _ in range(ROUNDS):
        before = time.process_time()
        job()
        spent.append(time.process_time() - before)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--hdri", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, generator = BodyModel.load(), torch.Generator().manual_seed(0)
    sampler = PersonSampler(model, arguments.poses)
    people = SyntheticPeople(model, sampler, read_panoramas(arguments.hdri, torch.device("cpu")))
    batch = people.batch(CROPS, generator)
    mirrored = torch.zeros(CROPS, dtype=torch.bool)
    squares: Squares = true_squares("body", batch.keypoints_px, mirrored)
    spec = NetSpec("body", hidden=(768, 768), dropout=0.0)
    backbone, net, pose = build_backbone(spec), build_net(spec), BlazePose.load()
    branch = DepthBranch.copy_of(pose)
    pixels = people.render(batch, squares, 256, 1.0, mirrored).float() / 255
    with torch.no_grad():
        seen, side16 = backbone(pixels), pose.side16(pixels)
    small = model.keypoints_only(contour=False)
    crowd = PosePool.of(1024, sampler, small, lambda p: small.keypoints144(small(p), p), generator)
    visible = torch.ones(CROPS, 144, dtype=torch.bool)
    target = part_target("body", batch.keypoints, batch.params, batch.camera, squares, mirrored, visible)
    points = PredictedPoints("body", model, spec.layout())

    def regress() -> None:
        vectors = net.regressor(net.standardise(seen.pooled))
        part_loss(vectors, target, spec.layout(), points, PART_WEIGHTS["body"])[0].backward()

    @torch.no_grad()
    def look() -> None:
        backbone(pixels)

    jobs: dict[str, Callable[[], object]] = {
        "frozen backbone looks": look,
        "people drawn and dressed": lambda: people.batch(CROPS, generator),
        "visibility": lambda: people.visible(batch),
        "body crops rendered": lambda: people.render(batch, squares, 256, 1.0, mirrored),
        "depth branch, one step": lambda: branch(side16).square().mean().backward(),
        "people of the crowd seen anew": lambda: crowd.seen(CROPS, generator),
        "body regressor, one step": regress,
    }
    spent = {name: seconds(job) for name, job in jobs.items()}
    base = spent["frozen backbone looks"]
    rows = {
        name: {
            "ms_per_crop": round(1000 * s / CROPS, 2),
            "per_second": round(CROPS / s, 1),
            "against_look": round(s / base, 2),
        }
        for name, s in spent.items()
    }
    steps = ("people drawn and dressed", "visibility", "body crops rendered", "frozen backbone looks")
    whole = sum(spent[name] for name in steps)
    for name in steps:
        rows[name]["share_of_rendering"] = round(spent[name] / whole, 2)
    for name, row in rows.items():
        print(f"{name:32s}", "  ".join(f"{key} {value}" for key, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"crops": CROPS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
