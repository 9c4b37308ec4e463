"""Evidence with pictures that show where the points are: dots instead of people, quick to draw."""

from pathlib import Path

import torch

from limner.data.crop_shards import crops_path, write_crops
from limner.data.evidence import write_shard
from limner.networks.weights import Part
from limner.train.calibrate import FittedAttachment
from tests.train.test_simulate import Rig

PX: dict[Part, int] = {"body": 256, "hand": 128}


def draw(points: torch.Tensor, px: int) -> torch.Tensor:
    """Points "N K 2" in [-1, 1] as dots of their own colours, "N 3 px px"."""
    count, dots = points.shape[:2]
    pictures = torch.zeros(count, 3, px, px, dtype=torch.uint8)
    colours = (torch.arange(dots)[:, None] * torch.tensor([37, 91, 151])) % 200 + 55
    cell = ((points + 1) / 2 * px).long().clamp(3, px - 4)
    for n in range(count):
        for k in range(dots):
            x, y = cell[n, k].tolist()
            pictures[n, :, y - 3 : y + 4, x - 3 : x + 4] = colours[k, :, None, None].to(torch.uint8)
    return pictures


def write_pictured(body, part: Part, folder: Path, attachment: FittedAttachment, people: int) -> None:
    """Two shards of crops, whose backbone errs by nothing, with their pictures."""
    evidence = Rig(body, part, attachment).evidence
    for shard in range(2):
        some = evidence[slice(shard * people, (shard + 1) * people)]
        path = folder / f"{part}_{shard:05d}.safetensors"
        write_shard(path, some)
        write_crops(crops_path(path), draw(some.keypoints[:, :33, :2], PX[part]))
