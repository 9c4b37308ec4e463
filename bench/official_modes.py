"""How far apart are the official network's own way and the cleaner one?

    python bench/official_modes.py CHECKPOINT BOXES.json [--json OUT]

The photos are those that the box file names, looked for beside it. Given for each photo: vertices about the pelvis, mm;
joints in the photo, px, also as a share of the person box's longer side. "crops" is what cutting differently changes
in the network's answer; "camera" how far the photo's one camera is from the network's weak perspective, for one answer.
"""

import argparse
import json
import warnings
from pathlib import Path

import torch

from limner.expose.crops import CLEAN_CROPS, OFFICIAL_CROPS, Cropping
from limner.expose.estimator import OfficialEstimator
from limner.expose.load import load_network
from limner.geometry.camera import photo_camera
from limner.io.box_file import read_boxes
from limner.io.image import read_photo

VARIANTS = {
    "body crop": Cropping(CLEAN_CROPS.body, OFFICIAL_CROPS.part),
    "part crops": Cropping(OFFICIAL_CROPS.body, CLEAN_CROPS.part),
    "all crops": CLEAN_CROPS,
}


def summary(values: torch.Tensor) -> str:
    return f"mean {values.mean():7.3f}  largest {values.max():7.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    network = load_network(args.checkpoint)
    table = read_boxes(args.boxes)
    photos = [read_photo(args.boxes.parent / name) for name in table]
    pixels, boxes = [photo.pixels for photo in photos], list(table.values())
    sides = torch.cat([(own[:, 2:] - own[:, :2]).amax(1) for own in boxes])
    base = network.people(pixels, boxes)
    found: dict[str, dict[str, list[float]]] = {}

    def report(name: str, mm: torch.Tensor | None, px: torch.Tensor) -> None:
        share = 100 * px / sides[:, None]
        text = "" if mm is None else f"vertices, mm: {summary(mm)}   "
        print(f"{name:26s} {text}joints, px: {summary(px)}   % of the box: {summary(share)}")
        found[name] = {"px": px.mean(1).tolist(), "px largest": px.amax(1).tolist()}
        if mm is not None:
            found[name] |= {"mm": mm.mean(1).tolist(), "mm largest": mm.amax(1).tolist()}

    for name, cropping in VARIANTS.items():
        other = network.people(pixels, boxes, cropping)
        mm = 1000 * (other.vertices - base.vertices).norm(dim=-1)
        report(f"{name}, clean", mm, (other.keypoints_px - base.keypoints_px).norm(dim=-1))
    for focal in (5000.0, None):
        clean = OfficialEstimator(network, "clean")
        said = network.people(pixels, boxes, CLEAN_CROPS).keypoints_px
        people = clean.together(photos, boxes, focal)
        px = torch.cat([one.keypoints_px for one in people]) - said
        name = "diagonal" if focal is None else f"{focal:g} px"
        report(f"camera, focal {name}", None, px.norm(dim=-1))
    official = OfficialEstimator(network).together(photos, boxes)
    pinhole = torch.cat([one.camera.project(one.keypoints) for one in official])
    report("demo's camera, 5000 px", None, (pinhole - base.keypoints_px).norm(dim=-1))
    diagonals = [round(float(photo_camera(photo.width, photo.height, None, 1).focal_px)) for photo in photos]
    print(f"{len(base)} people; diagonals {diagonals} px")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
