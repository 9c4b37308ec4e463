"""Keypoint sets against the maps of the original."""

import numpy as np
import pytest

from limner.body.keypoints import HEAD_KEYPOINTS, KEYPOINT_NAMES, KEYPOINT_SETS, indices_of, keypoint_indices
from limner.body.skeleton import mirrored_name


def test_names_equal_the_original(shared):
    golden = np.load(shared / "parity/golden_units.npz")
    theirs = [str(name) for name in golden["kp.names"]]
    ours = list(KEYPOINT_NAMES)
    assert len(ours) == 144
    assert ours == theirs
    assert sorted(indices_of(HEAD_KEYPOINTS)) == sorted(golden["kp.part.head"].tolist())
    flip = [KEYPOINT_NAMES.index(mirrored_name(n)) for n in KEYPOINT_NAMES]
    assert flip == golden["kp.flip_inds"].tolist()


@pytest.mark.parametrize(("name", "count"), [("coco_wholebody133", 133), ("openpose135", 135), ("lsp14", 14)])
def test_sets_have_their_size(name, count):
    assert len(keypoint_indices(name)) == count


def test_unknown_set_lists_the_known():
    with pytest.raises(KeyError, match="coco17"):
        keypoint_indices("coco18")
    assert "coco17" in KEYPOINT_SETS
