"""MapTargets say what decoding reads, mirrored people give mirrored targets, and the loss asks only what is known."""

from dataclasses import replace

import torch

from limner.networks.movenet import STRIDE, Maps, decode
from limner.train.center_maps import CenterWeights, Labels, MapTargets, center_loss, focal_loss, peak_width, targets_of
from limner.train.detector_photos import MIRRORED

WIDTH, HEIGHT = 128, 96


def two_people(seed: int = 0) -> Labels:
    """Two people apart, all points known."""
    boxes = torch.tensor([[10.0, 12.0, 41.0, 80.0], [71.0, 5.0, 120.0, 93.0]])
    share = torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(seed))
    points = boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None]
    return Labels(boxes, points, torch.ones(2, 17, dtype=torch.bool), torch.zeros(0, 4))


def perfect(targets: MapTargets) -> Maps:
    """Maps that say just what is asked."""
    batch, _, height, width = targets.center.shape
    size, offset, points = (torch.zeros(batch, n, height, width) for n in (2, 2, 34))
    row, (y, x) = targets.picture, targets.cell.unbind(-1)
    size[row, :, y, x], offset[row, :, y, x] = targets.size, targets.offset
    points[row, :, y, x] = targets.points.flatten(1)
    return Maps(targets.center.clone(), size, offset, targets.heat.clone(), points)


def test_decoding_gives_back_boxes_and_points():
    labels = two_people()
    maps = perfect(targets_of([labels], HEIGHT, WIDTH))
    found = decode(maps, 0, threshold=0.9)
    order = found.boxes[:, 0].argsort()
    torch.testing.assert_close(found.boxes[order], labels.boxes)
    torch.testing.assert_close(found.points[order], labels.points)


def test_a_perfect_answer_costs_next_to_nothing_and_every_error_costs():
    targets = targets_of([two_people()], HEIGHT, WIDTH)
    best, parts = center_loss(perfect(targets), targets, CenterWeights())
    assert float(best) < 0.05 and parts["points"] == 0  # the slopes of peaks cost a little
    for name in ("center", "size", "offset", "heat", "points"):
        maps = perfect(targets)
        wrong = replace(maps, **{name: 0.8 * getattr(maps, name) + 0.1})
        assert float(center_loss(wrong, targets, CenterWeights())[0]) > best + 0.02, name


def test_mirrored_labels_give_mirrored_targets():
    labels = two_people()
    flip = torch.tensor([-1.0, 1.0])
    boxes = torch.stack(
        [WIDTH - labels.boxes[:, 2], labels.boxes[:, 1], WIDTH - labels.boxes[:, 0], labels.boxes[:, 3]], 1
    )
    points = (labels.points * flip + torch.tensor([float(WIDTH), 0.0]))[:, MIRRORED]
    mirrored = targets_of([replace(labels, boxes=boxes, points=points)], HEIGHT, WIDTH)
    straight = targets_of([labels], HEIGHT, WIDTH)
    assert torch.allclose(mirrored.heat, straight.heat[:, MIRRORED].flip(-1), atol=1e-5)
    assert torch.allclose(mirrored.center, straight.center.flip(-1), atol=1e-5)
    assert MIRRORED[5] == 6 and MIRRORED[0] == 0, "shoulders change places, the nose does not"


def test_nothing_is_asked_where_nobody_knows():
    labels = two_people()
    labelled = labels.labelled.clone()
    labelled[0, 3] = False
    labels = replace(labels, labelled=labelled, ignored=torch.tensor([[44.0, 8.0, 64.0, 40.0]]))
    targets = targets_of([labels], HEIGHT, WIDTH)
    maps = perfect(targets)
    sure, _ = center_loss(maps, targets, CenterWeights())
    maps.center[0, 0, 2:10, 11:16] = 0.99  # somebody in the crowd
    maps.heat[0, 3, 5:15, 4:9] = 0.99  # the point that nobody labelled
    maps.points[0, 6:8] = 50.0
    at_other = targets.cell[1]
    maps.points[0, 6:8, at_other[0], at_other[1]] = targets.points[1, 3]
    assert torch.allclose(center_loss(maps, targets, CenterWeights())[0], sure)
    maps.heat[0, 4, 5:15, 4:9] = 0.99
    assert center_loss(maps, targets, CenterWeights())[0] > sure + 1


def test_points_outside_the_picture_are_asked_of_the_centre_only():
    labels = two_people()
    points = labels.points.clone()
    points[0, 16] = torch.tensor([20.0, HEIGHT + 30.0])
    targets = targets_of([replace(labels, points=points)], HEIGHT, WIDTH)
    assert (targets.heat[0, 16] == 1).sum() == 1, "only the other person's"
    assert torch.allclose(targets.points[0, 16] + targets.cell[0], points[0, 16].flip(-1) / STRIDE)


def test_a_picture_of_nobody_asks_for_empty_maps():
    nobody = Labels(torch.zeros(0, 4), torch.zeros(0, 17, 2), torch.zeros(0, 17, dtype=torch.bool), torch.zeros(0, 4))
    targets = targets_of([nobody], HEIGHT, WIDTH)
    assert float(center_loss(perfect(targets), targets, CenterWeights())[0]) < 1e-2
    seen = focal_loss(torch.full_like(targets.center, 0.5), targets.center, targets.center_counts)
    assert float(seen) > 50


def test_people_missed_cost_more_than_wrong_finds():
    targets = targets_of([two_people()], HEIGHT, WIDTH)
    silent = torch.full_like(targets.center, 1e-4)
    once, twice = (float(focal_loss(silent, targets.center, targets.center_counts, weight)) for weight in (1.0, 2.0))
    assert abs(twice / once - 2) < 1e-3


def test_a_corner_off_by_a_peaks_radius_still_overlaps_enough():
    size = torch.tensor([[40.0, 12.0], [8.0, 8.0], [5.0, 30.0]])
    radius = (6 * peak_width(size) - 1) / 2
    for (tall, wide), r in zip(size.tolist(), radius.tolist(), strict=True):
        moved = (tall - r) * (wide - r)
        assert moved / (2 * tall * wide - moved) >= 0.7 - 1e-4
        assert (tall - 2 * r) * (wide - 2 * r) / (tall * wide) >= 0.7 - 1e-4
        assert tall * wide / ((tall + 2 * r) * (wide + 2 * r)) >= 0.7 - 1e-4
