"""Does BlazeHand fill its record as documented?"""

import torch

from limner.networks.blaze.hand import HAND_POINTS, BlazeHand


def test_points_follow_wrist_then_thumb_to_little_finger():
    assert len(HAND_POINTS) == len(set(HAND_POINTS)) == 21
    assert [HAND_POINTS[i] for i in (0, 4, 8, 20)] == ["wrist", "thumb_tip", "index_tip", "pinky_tip"]


def test_batch_equals_one_by_one():
    hand = BlazeHand.load()
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both, second = hand(pixels), hand(pixels[1:])
    torch.testing.assert_close(both.landmarks[1:], second.landmarks, rtol=1e-4, atol=1e-4)
    assert len(both) == 2 and both.handedness.shape == (2,)


def test_empty_batch_is_empty():
    with torch.inference_mode():
        assert BlazeHand.load()(torch.zeros(0, 3, 224, 224)).world.shape == (0, 21, 3)
