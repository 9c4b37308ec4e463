"""Groups stand on one ground and apart from each other; labels say what the picture shows of each of them."""

from dataclasses import replace

import pytest
import torch

from limner.geometry.box import Squares
from limner.synth.groups import LEAST_APART_M, guest_photos, photo_squares, with_guests, without_people
from limner.synth.labels import photo_labels
from limner.synth.people import Companions, SynthBatch, SyntheticPeople
from tests.conftest import same_picture
from tests.synth.test_people import plain

SIZE = 96
WHOLE = torch.tensor([[0, 0, SIZE, SIZE]])


@pytest.fixture(scope="module")
def group(people: SyntheticPeople, batch: SynthBatch) -> tuple[SynthBatch, Squares]:
    """Two photos; the first with three others, the second with one."""
    host = replace(plain(batch), companions=None)
    g = torch.Generator().manual_seed(1)
    squares = Squares(torch.full((2, 2), 512.0), torch.full((2,), 2000.0), torch.zeros(2))
    guests = host[[2, 3, 1, 0]]
    return with_guests(host[:2], guests, torch.tensor([0, 0, 0, 1]), squares, g), squares


def test_guests_stand_on_the_same_ground_apart_from_each_other(group: tuple[SynthBatch, Squares]):
    batch, _ = group
    assert batch.companions is not None
    people, photo = batch.companions.people, batch.companions.photo
    for i, where in enumerate(photo.tolist()):
        up = batch.camera_from_world[where, :, 1]
        foot = (people.vertices[i] @ up).amin()
        assert abs(foot - (batch.vertices[where] @ up).amin()) < 1e-3
        pelvis = people.joints[:, 0]
        others = [batch.joints[where, 0], *pelvis[:i][photo[:i] == where]]
        away = torch.stack(others) - pelvis[i]
        assert (away - (away @ up)[:, None] * up).norm(dim=-1).min() >= LEAST_APART_M
        assert torch.equal(people.camera_from_world[i], batch.camera_from_world[where])


def test_guests_are_their_parameters_posed(people: SyntheticPeople, group: tuple[SynthBatch, Squares]):
    guests = group[0].companions.people
    assert torch.allclose(people.body_model(guests.params).vertices, guests.vertices, atol=1e-4)
    assert torch.allclose(guests.camera.project(guests.keypoints), guests.keypoints_px)


def test_labels_are_where_the_picture_changes(people: SyntheticPeople, group: tuple[SynthBatch, Squares]):
    batch, squares = group
    labels = photo_labels(people, batch, squares, SIZE, WHOLE.expand(2, -1))
    image = people.render(batch, squares, SIZE, supersample=1.0)
    nobody = without_people(batch, torch.tensor([True, True]))
    lit = (image.int() - people.render(nobody, squares, SIZE, supersample=1.0)).abs().amax(1) > 12
    boxed = torch.zeros_like(lit)
    for row, box in zip(labels.photo.tolist(), labels.boxes.int().tolist(), strict=True):
        x0, y0, x1, y1 = box
        boxed[row, max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = True  # pictures are a little blurred
        inner = lit[row, y0:y1, x0:x1]
        assert inner.float().mean() > 0.1
    assert (lit & boxed).sum() > 0.97 * lit.sum(), "nobody without a label"
    assert len(photo_labels(people, nobody, squares, SIZE, WHOLE.expand(2, -1)).boxes) == 0


def test_who_stands_behind_somebody_is_boxed_by_what_is_seen(people: SyntheticPeople, batch: SynthBatch):
    host = replace(plain(batch), companions=None)[[0, 0]]
    squares = people.body_squares(host, 0.0, torch.Generator())
    alone = photo_labels(people, host, squares, SIZE, WHOLE.expand(2, -1))
    assert alone.share.tolist() == [1.0, 1.0] and torch.allclose(alone.boxes[0], alone.boxes[1], atol=1e-2)
    half = WHOLE.clone()
    half[:, 2] = SIZE // 2
    cut = photo_labels(people, host, squares, SIZE, torch.cat([WHOLE, half]))
    assert cut.boxes[1, 2] <= SIZE // 2 < cut.boxes[0, 2]
    beyond = cut.points_px[1, :, 0] >= SIZE // 2
    assert beyond.any() and torch.equal(cut.visibility[1] == 0, beyond)
    behind = replace(host, surface=host.surface * 1.5, keypoints=host.keypoints * 1.5)  # same picture, farther away
    two = replace(host, companions=Companions(torch.tensor([0]), behind[:1]))
    labels = photo_labels(people, two, squares, SIZE, WHOLE.expand(2, -1))
    hidden = labels.share[labels.photo == 0]
    assert hidden[0] == 1 and (len(hidden) == 1 or hidden[1] < 0.1)


def test_companions_of_one_photo_hide_each_other(people: SyntheticPeople, group: tuple[SynthBatch, Squares]):
    batch, squares = group
    order = torch.arange(len(batch.companions.photo)).flip(0)
    turned = replace(batch.companions, photo=batch.companions.photo[order], people=batch.companions.people[order])
    image, again = (people.render(b, squares, 64, 1.0) for b in (batch, replace(batch, companions=turned)))
    assert same_picture(image, again), "the nearest is seen, whoever is drawn first"


def test_photos_are_wide_or_not_and_guests_few(batch: SynthBatch):
    g = torch.Generator().manual_seed(0)
    many = replace(batch, companions=None)[[0, 1, 2, 3] * 50]
    squares = photo_squares(many, g)
    assert (squares.size_px >= many.photo_px).all() and (squares.size_px > 2 * many.photo_px).any()
    # all of the virtual photo is in it
    reach = (squares.center_px - many.photo_px / 2).abs() + many.photo_px / 2
    assert (reach <= squares.size_px[:, None] / 2 + 1e-2).all()
    counts = torch.bincount(guest_photos(200, g), minlength=200)
    assert counts.max() == 5 and 0.25 < (counts == 0).float().mean() < 0.55
