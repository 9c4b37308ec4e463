"""Real photos with 2D labels: what BlazePose reports of them, and where people say the joints are."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from limner.errors import DataSetError, LimnerError
from limner.geometry.box import bounds_of
from limner.geometry.warp import Frames
from limner.io.atomic import atomic_write
from limner.io.image_limits import open_image
from limner.networks.part_net import BodyEstimate, PartNet
from limner.networks.regressor import ParamLayout
from limner.pipeline.observe import squares_of_boxes
from limner.pipeline.predicted import BODY_POINTS, PredictedPoints
from limner.reading.npz_file import read_npz
from limner.reading.tensor_file import read_tensors
from limner.reading.told import RefusedError, told_as
from limner.reading.zip_file import open_zip
from limner.records import Rows

LIMB_JOINTS = tuple(
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)
"""COCO's twelve limb joints in COCO's order, which are joints of the body model too."""
PREDICTED = [BODY_POINTS.index(name) for name in LIMB_JOINTS]
DOUBTFUL_LIMBS = 1.6
MOST_OFF = 0.3
"""Labels further off than this (in half crops) pull no harder: some have left and right swapped."""
FEWEST_JOINTS = 8
MOST_DATA_BYTES = 2**36
COLUMNS = ("limb_ratio", "coco_vis17", "shard", "name", "coco17")


@dataclass(frozen=True)
class Real2D(Rows):
    """N real crops: the backbone's report "N F", twelve joints in [-1, 1] of the crop "N 12 2", labelled "N 12"."""

    pooled: Float[Tensor, "N F"]
    joints: Float[Tensor, "N 12 2"]
    labelled: Float[Tensor, "N 12"]


@torch.no_grad()
def observe_real(folder: Path, net: PartNet[BodyEstimate], cache: Path) -> Real2D:
    """Crops of `annotations.npz` and `crops_*.zip` as the body network's backbone sees them; kept in `cache`.

    Labels with doubtful proportions, or of people that the backbone does not see, are left out. Raises LimnerError if
    the data is not there.
    """
    if not cache.exists():
        if not (folder / "annotations.npz").exists():
            raise LimnerError(f"{folder} holds no annotations.npz: expected annotations.npz and crops_0.zip ... .")
        with told_as(DataSetError, folder / "annotations.npz", "Copy it again from its source."):
            table = read_npz(folder / "annotations.npz", names=COLUMNS)
            lengths = {len(table[name]) for name in COLUMNS}
            if len(lengths) != 1 or table["coco17"].shape[1:] != (17, 2):
                raise RefusedError(f"its columns have the lengths {sorted(lengths)}")
        good = (table["limb_ratio"] < DOUBTFUL_LIMBS) & ((table["coco_vis17"] > 0).sum(1) >= FEWEST_JOINTS)
        rows = np.nonzero(good)[0]
        with ExitStack() as stack:
            shards = sorted(set(table["shard"][rows].tolist()))
            archives = {k: stack.enter_context(_crops(folder / f"crops_{k}.zip")) for k in shards}
            seen = [_observe(net, archives[int(table["shard"][i])], table, int(i)) for i in rows]
        kept = [one for one in seen if one is not None]
        names = ("pooled", "joints", "labelled")
        with atomic_write(cache) as file:
            file.write(save({name: torch.cat([one[k] for one in kept]) for k, name in enumerate(names)}))
    with told_as(DataSetError, cache, "Delete it: it is made again."):
        return Real2D(**read_tensors(cache)[0])


@contextmanager
def _crops(file: Path) -> Iterator[ZipFile]:
    with told_as(DataSetError, file, "Copy it again from its source."), open_zip(file, MOST_DATA_BYTES) as archive:
        yield archive


def _observe(
    net: PartNet[BodyEstimate], archive: ZipFile, table: dict[str, np.ndarray], row: int
) -> tuple[Tensor, Tensor, Tensor] | None:
    name = str(table["name"][row])
    with (
        told_as(DataSetError, f"{archive.filename}, {name}", "Copy the archive again from its source."),
        open_image(io.BytesIO(archive.read(name)), f"{archive.filename}:{name}", ("JPEG", "PNG")) as image,
    ):
        photo = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    joints = torch.from_numpy(table["coco17"][row, 5:17])[None]
    labelled = torch.from_numpy(table["coco_vis17"][row, 5:17] > 0).float()[None]
    frames, frame = Frames((photo,)), torch.zeros(1, dtype=torch.int64)
    squares = squares_of_boxes(net, frames, frame, bounds_of(joints[:, labelled[0] > 0]))
    seen = net.observe(frames, frame, squares)
    if seen.presence[0] < 0.5:
        return None
    return seen.features.pooled, squares.unit_from_photo(joints), labelled


def real_loss(vector: Float[Tensor, "B P"], real: Real2D, layout: ParamLayout, points: PredictedPoints) -> Tensor:
    """Mean distance of the projected joints from their labels, in half crops, bounded."""
    projected = layout.camera(vector).project(points(vector)[:, PREDICTED])
    apart = (projected - real.joints).norm(dim=-1).clamp(max=MOST_OFF)
    return (apart * real.labelled).sum() / real.labelled.sum().clamp_min(1)
