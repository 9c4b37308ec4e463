"""Rendered photos of nobody, one or several people, labelled in COCO's keypoint layout."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from limner.body.keypoints import KEYPOINT_SETS
from limner.errors import DataSetError
from limner.geometry.box import Squares
from limner.io.atomic import atomic_write
from limner.io.image import write_image
from limner.reading.json_file import read_json
from limner.reading.told import told_as
from limner.synth.chance import coin
from limner.synth.groups import guest_photos, photo_squares, with_guests, without_people
from limner.synth.labels import PhotoLabels, photo_labels
from limner.synth.people import SynthBatch, SyntheticPeople
from limner.synth.scene import BACKGROUNDS

PHOTOS_A_SHARD, BATCH = 32, 8
PHOTO_PX = 640
SHAPES = ((4, 4), (4, 3), (3, 4), (4, 2))
"""Width and height of photos, in quarters of PHOTO_PX."""
EMPTY_SHARE, PLACES_SHARE = 0.12, 0.75
"""Photos of nobody; photos before a panorama, whatever crops would have behind them."""
LEAST_SHARE, LEAST_SIDE_PX, LEAST_AREA_PX, LEAST_POINTS = 0.2, 24, 100, 6
"""Of whom less is seen is no person to be found, nor nobody: the place does not count."""
CATEGORY = {"id": 1, "name": "person", "keypoints": list(KEYPOINT_SETS["coco17"]), "skeleton": []}

Content = dict[str, list[dict[str, Any]]]
"""`images` and `annotations` in COCO's layout."""


def render_photos(
    synthetic: SyntheticPeople,
    folder: Path,
    shards: int,
    seed: int,
    photo_px: int = PHOTO_PX,
    photos_a_shard: int = PHOTOS_A_SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `shards` shards of photos to `folder`: images/, labels/ (one file a shard), and annotations.json of all.

    Shards that exist are kept and each has its own seed, so a run that was cut off goes on with the same result;
    annotations.json names what is there after every shard. photo_px: longer side, a multiple of 32. Raises OutputError.
    """
    for shard in range(shards):
        labels = folder / "labels" / f"{shard:05d}.json"
        if not labels.exists():
            generator = torch.Generator().manual_seed(seed * 1_000_003 + shard)
            write_json(labels, _shard(synthetic, folder, shard, generator, photo_px, photos_a_shard))
            write_json(folder / "annotations.json", gathered(folder))
        if progress:
            progress(shard + 1, shards)
    write_json(folder / "annotations.json", gathered(folder))


def _shard(
    synthetic: SyntheticPeople, folder: Path, shard: int, generator: Generator, photo_px: int, count: int
) -> Content:
    """Render and write one shard's photos; what there is to be seen in them."""
    content: Content = {"images": [], "annotations": []}
    for start in range(0, count, BATCH):
        batch, squares, window = draw_scenes(synthetic, min(BATCH, count - start), photo_px, generator)
        labels = photo_labels(synthetic, batch, squares, photo_px, window)
        pictures = synthetic.render(batch, squares, photo_px, supersample=1.0)
        for row, (x0, y0, x1, y1) in enumerate(window.tolist()):
            name = f"images/{shard:05d}_{start + row:02d}.jpg"
            write_image(folder / name, pictures[row, :, y0:y1, x0:x1])
            number = shard * count + start + row + 1
            content["images"].append({"id": number, "file_name": name, "width": x1 - x0, "height": y1 - y0})
            content["annotations"] += entries(labels, row, number)
    return content


def draw_scenes(
    synthetic: SyntheticPeople, count: int, photo_px: int, generator: Generator
) -> tuple[SynthBatch, Squares, Tensor]:
    """Scenes of nobody, one or several people; squares about what photos show; what is kept of these, "B 4" pixels."""
    batch = synthetic.batch(count, generator)
    squares = photo_squares(batch, generator)
    photo = guest_photos(count, generator)
    if len(photo):
        batch = with_guests(batch, synthetic.batch(len(photo), generator), photo, squares, generator)
    batch = without_people(batch, coin(generator, (count,), EMPTY_SHARE))
    outdoors = coin(generator, (count,), PLACES_SHARE)
    scene = replace(
        batch.scene,
        bounded=torch.zeros_like(batch.scene.bounded),  # wide photos go on beyond the virtual photo's edges
        background=torch.where(outdoors, BACKGROUNDS.index("panorama"), batch.scene.background),
    )
    shape = torch.tensor(SHAPES)[torch.randint(len(SHAPES), (count,), generator=generator)] * (photo_px // 4)
    corner = (photo_px - shape) // 2
    return replace(batch, scene=scene), squares, torch.cat([corner, corner + shape], 1)


def entries(labels: PhotoLabels, row: int, image: int) -> list[dict[str, Any]]:
    """Annotations of one picture; people of whom too little is seen are marked as crowds: the place does not count."""
    found = []
    for k, i in enumerate((labels.photo == row).nonzero()[:, 0].tolist()):
        x0, y0, x1, y1 = labels.boxes[i].tolist()
        clear = float(labels.share[i]) >= LEAST_SHARE and max(x1 - x0, y1 - y0) >= LEAST_SIDE_PX
        visibility = labels.visibility[i]
        clear = clear and float(labels.area_px[i]) >= LEAST_AREA_PX and int((visibility > 0).sum()) >= LEAST_POINTS
        shown = visibility > 0 if clear else torch.zeros_like(visibility, dtype=torch.bool)
        points = torch.cat([labels.points_px[i], visibility[:, None].float()], 1) * shown[:, None]
        found.append(
            {
                "id": 100 * image + k,
                "image_id": image,
                "category_id": CATEGORY["id"],
                "iscrowd": int(not clear),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": float(labels.area_px[i]),
                "num_keypoints": int(shown.sum()),
                "keypoints": [round(value, 1) for value in points.flatten().tolist()],
            }
        )
    return found


def gathered(folder: Path) -> dict[str, Any]:
    """One annotation file of all shards that are there."""
    shards = []
    for file in sorted((folder / "labels").glob("*.json")):
        with told_as(DataSetError, file, "Delete it and its photos, and render again."):
            shard = read_json(file)
            shards.append({key: list(shard[key]) for key in ("images", "annotations")})
    parts = {key: [entry for shard in shards for entry in shard[key]] for key in ("images", "annotations")}
    return {"info": {"description": "rendered by limner"}, "categories": [CATEGORY], **parts}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    with atomic_write(path) as file:
        file.write(json.dumps(content, separators=(",", ":")).encode())
