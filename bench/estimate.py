"""How long does a photo take, after loading? The whole flow against its baseline: ExPose's own backbones.

    python bench/estimate.py [--photo PHOTO] [--runs 15] [--threads 2]

Prints the median time of the whole flow (photo in memory -> People), with detector and with a given box, its parts, the
writing of all result files, and the ratio to the bare backbones that ExPose runs for one person (HRNet-W48, ResNet-18
on two hands and a head; untrained, the arithmetic is the same), all measured in the same process, turn by turn.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from limner.estimator import Estimator
from limner.geometry.camera import photo_camera
from limner.geometry.warp import Frames
from limner.io.image import read_photo
from limner.networks.hrnet import HRNet
from limner.networks.resnet import ResNet
from limner.networks.weights import weights_folder
from limner.pipeline.observe import observe_faces, observe_hands
from limner.pipeline.results import save_results

PHOTO = weights_folder().parent / "photos" / "eileen_collins.jpg"


def expose_backbones() -> Callable[[], object]:
    """The backbones of ExPose on one person's crops."""
    body, hand, head = HRNet().eval(), ResNet(18, 224).eval(), ResNet(18, 256).eval()
    crops = torch.rand(1, 3, 256, 256), torch.rand(2, 3, 224, 224), torch.rand(1, 3, 256, 256)
    return lambda: (body(crops[0]), hand(crops[1]), head(crops[2]))


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", default=str(PHOTO))
    parser.add_argument("--weights", default="limner")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    estimator = Estimator.load(options.weights)
    loading = time.perf_counter() - start
    photo = read_photo(options.photo)
    people = estimator(photo)
    boxes, squares = people.boxes[:1], people.body_square[:1]
    flow, networks, frames = estimator.flow, estimator.networks, Frames((photo.pixels,))
    found = estimator.detect(frames, [None])[:1]
    camera = photo_camera(photo.width, photo.height, photo.focal_px, 1)
    coarse = flow.coarse(estimator.observe_bodies(frames, found), camera)
    parts = estimator.attend(frames, coarse, coarse.refined)
    points_px = flow.keypoints_px(coarse.refined, camera)
    folder = tempfile.TemporaryDirectory()
    out = Path(folder.name) / photo.path.stem
    jobs: dict[str, Callable[[], object]] = {
        "whole flow, one given box": lambda: estimator(photo, boxes),
        "whole flow with detector": lambda: estimator(photo),
        "  detector": lambda: estimator.detector(frames),
        "  body": lambda: networks.body.observe(frames, found.frame, squares),
        "  two hands, two looks": lambda: observe_hands(networks.hand, frames, found.frame, points_px),
        "  face, two looks": lambda: observe_faces(networks.face, frames, found.frame, points_px),
        "  coarse body from what was seen": lambda: flow.coarse(coarse.seen, camera),
        "  parts joined, refined twice": lambda: flow.join(coarse, parts),
        "  mesh": lambda: estimator.body_model(coarse.refined),
        "writing the results": lambda: save_results(people, photo, estimator.body_model, out),
        "baseline: ExPose's backbones": expose_backbones(),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.runs):
        for name, job in jobs.items():  # turn by turn: the machine's speed drifts
            start = time.perf_counter()
            job()
            times[name].append(1000 * (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["baseline: ExPose's backbones"]
    print(f"{photo.width} x {photo.height} px, {len(people)} people, {options.threads} threads, {options.runs} runs")
    print(f"loading {loading:.2f} s")
    for name, median in medians.items():
        least = min(times[name])
        print(f"{name:32s} median {median:7.1f} ms  least {least:7.1f} ms  ratio to baseline {median / base:.3f}")


if __name__ == "__main__":
    main()
