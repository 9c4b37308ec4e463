"""Keypoint files of every kind become the same 144 targets; unknown sets are named."""

import pytest
import torch

from limner.body.keypoints import KEYPOINT_NAMES, KEYPOINT_SETS
from limner.errors import KeypointFileError
from limner.fit.records import fit_targets
from limner.geometry.camera import photo_camera
from limner.io.keypoint_file import PersonKeypoints


@pytest.mark.parametrize("name_set", ["coco17", "coco_wholebody133", "openpose135", "expose144"])
def test_points_go_where_their_names_say(name_set):
    names = KEYPOINT_SETS[name_set]
    where = {name: 10.0 * k for k, name in enumerate(KEYPOINT_NAMES)}
    xy = torch.tensor([[where[name], 1.0] for name in names])
    person = PersonKeypoints(name_set, xy, torch.full((len(names),), 0.7))
    targets = fit_targets([person], photo_camera(100, 100, None, 1))
    seen = targets.confidence[0] > 0
    assert {KEYPOINT_NAMES[k] for k in seen.nonzero()[:, 0].tolist()} == set(names)
    assert torch.equal(targets.keypoints_px[0, seen, 0], 10.0 * torch.arange(144.0)[seen])


def test_a_point_named_twice_is_taken_where_it_is_surer():
    names = KEYPOINT_SETS["coco_wholebody133"]
    wrists = [k for k, name in enumerate(names) if name == "left_wrist"]
    xy, confidence = torch.zeros(133, 2), torch.zeros(133)
    xy[wrists[0]], confidence[wrists[0]] = 5.0, 0.9
    xy[wrists[1]], confidence[wrists[1]] = 7.0, 0.3
    targets = fit_targets([PersonKeypoints("coco_wholebody133", xy, confidence)], photo_camera(9, 9, None, 1))
    assert float(targets.keypoints_px[0, KEYPOINT_NAMES.index("left_wrist"), 0]) == 5.0
    assert torch.equal(targets.boxes[0], torch.zeros(4))


def test_unknown_sets_are_named():
    with pytest.raises(KeypointFileError, match="'mpii'"):
        fit_targets([PersonKeypoints("mpii", torch.zeros(16, 2), torch.ones(16))], photo_camera(9, 9, None, 1))
