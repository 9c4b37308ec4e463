"""The note of a photo names what is not as it looks."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from limner.body.model import BodyModel
from limner.geometry.box import Squares
from limner.geometry.camera import photo_camera
from limner.io.image import Photo
from limner.pipeline.people import People, nobody
from limner.pipeline.photo_note import CROWDED, photo_note
from limner.pipeline.unseen import LIMB_NAMES

PHOTO = Photo(torch.zeros(3, 100, 200, dtype=torch.uint8), None, Path("a.jpg"))


@pytest.fixture
def none(body: BodyModel) -> People:
    """Nobody."""
    return nobody(body, photo_camera(200, 100, None, 0))


def some(none: People, count: int, **changes: object) -> People:
    """People of whom everything is seen."""
    values = {f.name: getattr(none, f.name) for f in fields(none)}
    square = Squares(torch.zeros(count, 2), torch.zeros(count), torch.zeros(count))
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and name != "faces":
            values[name] = torch.ones(count, *value.shape[1:], dtype=value.dtype)
        elif isinstance(value, Squares):
            values[name] = square
    params = none.params.__class__(
        **{f.name: torch.zeros(count, *getattr(none.params, f.name).shape[1:]) for f in fields(none.params)}
    )
    return People(**values | {"params": params, "camera": photo_camera(200, 100, None, count)} | changes)


def test_all_is_well(none: People):
    seen = torch.zeros(2, len(LIMB_NAMES), dtype=torch.bool)
    assert photo_note(some(none, 2, eased=seen), PHOTO, None) == ""


def test_nobody(none: People):
    assert "--box x0 y0 x1 y1" in photo_note(none, PHOTO, None)
    assert photo_note(none, PHOTO, torch.zeros(0, 4)) == "nobody, as the boxes or keypoints say"


def test_limbs_and_parts_that_were_not_seen(none: People):
    eased = torch.tensor([[name == "left_arm" or name.endswith("leg") for name in LIMB_NAMES], [False] * 4])
    people = some(none, 2, eased=eased, face_trusted=torch.tensor([True, False]))
    assert photo_note(people, PHOTO, None) == "1 arm and 2 legs unseen, put at ease; 1 face from the body alone"


def test_a_box_mostly_outside(none: People):
    boxes = torch.tensor([[0.0, 0.0, 90.0, 90.0], [150.0, 0.0, 350.0, 100.0]])
    assert photo_note(some(none, 2), PHOTO, boxes) == "75% of box 1 lie outside the photo of 200 x 100 px"


def test_a_crowd_and_an_animation(none: People):
    note = photo_note(some(none, CROWDED), replace(PHOTO, animated=True), None)
    assert note.startswith("the first picture of an animation; a crowd: the detector looks at the 64 surest places")
    assert photo_note(some(none, CROWDED), PHOTO, torch.ones(CROWDED, 4) * torch.tensor([0, 0, 9, 9])) == ""
