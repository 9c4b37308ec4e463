"""A labelled photo set drawn for tests: coloured rectangles as people, COCO-WholeBody annotations, known points."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.body.keypoints import indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.evaluate.photo_sets import BODY, FACE, LEFT_HAND, POINT_NAMES, RIGHT_HAND
from limner.geometry.box import Squares, bounds_of
from limner.geometry.camera import Camera
from limner.pipeline.people import People

SIZE = (300, 400)
FIELDS = {
    "body": ("keypoints", BODY),
    "face": ("face_kpts", FACE),
    "lefthand": ("lefthand_kpts", LEFT_HAND),
    "righthand": ("righthand_kpts", RIGHT_HAND),
}


def posed_people(model: BodyModel, places: list[tuple[float, float, float]]) -> People:
    """People in the rest pose at these places before a camera of SIZE, as an estimator would return them."""
    count = len(places)
    camera = Camera(torch.full((count,), 400.0), torch.tensor([[SIZE[0] / 2, SIZE[1] / 2]]).repeat(count, 1))
    params: BodyParams = model.rest(count).replace(transl=torch.tensor(places))
    mesh = model(params)
    keypoints = model.keypoints144(mesh, params)
    square = Squares(torch.zeros(count, 2), torch.ones(count), torch.zeros(count))
    keypoints_px = camera.project(keypoints)
    yes = torch.ones(count, dtype=torch.bool)
    return People(
        **{
            **dict.fromkeys((f"{part}_square" for part in ("body", "left_hand", "right_hand", "face")), square),
            "params": params,
            "vertices": mesh.vertices,
            "faces": model.faces,
            "joints": mesh.joints,
            "keypoints": keypoints,
            "keypoints_px": keypoints_px,
            "confidence": torch.ones(count, 144),
            "camera": camera,
            "boxes": bounds_of(keypoints_px),
            "scores": torch.ones(count),
            "left_hand_trusted": yes,
            "right_hand_trusted": yes,
            "face_trusted": yes,
        }
    )


def everybody(model: BodyModel, people: People) -> torch.Tensor:
    """All people's points, "P 135 2" in the order of POINT_NAMES."""
    index = list(indices_of(POINT_NAMES[:-1]))
    crown = int(model.v_template[:, 1].argmax())
    head_top = people.camera.project(people.vertices[:, [crown]])
    return torch.cat([people.keypoints_px[:, index], head_top], 1)


def annotation(number: int, image: int, points: torch.Tensor, parts: tuple[str, ...], kind: str) -> dict[str, Any]:
    """One person's entry; `points` "135 2" in the order of POINT_NAMES, `parts` are labelled."""
    assert points.shape == (len(POINT_NAMES), 2)
    where = [FIELDS[part][1] for part in parts]
    shown = torch.cat([points[w] for w in where])
    low, high = shown.amin(0), shown.amax(0)
    entry: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "bbox_kind": kind,
        "iscrowd": 0,
    }
    for part, (field, rows) in FIELDS.items():
        labelled = part in parts
        visibility = torch.full((len(points[rows]), 1), 2.0 if labelled else 0.0)
        entry[field] = torch.cat([points[rows], visibility], 1).flatten().tolist()
        entry[f"{part}_valid"] = labelled
    entry |= {"foot_kpts": [0.0] * 18, "foot_valid": False}
    return entry


def write_set(folder: Path, entries: list[dict[str, Any]], images: int) -> None:
    """annotations.json and `images` grey pictures with a bright frame."""
    (folder / "images").mkdir(parents=True)
    pixels = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    pixels[20:-20, 20:-20] = 160
    listed = []
    for number in range(1, images + 1):
        name = f"images/drawn_{number}.png"
        Image.fromarray(pixels).save(folder / name)
        listed.append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1], "group": f"g{number}"})
    (folder / "annotations.json").write_text(json.dumps({"images": listed, "annotations": entries}))
