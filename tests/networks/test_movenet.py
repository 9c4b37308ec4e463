"""Does MoveNet say what the public graph says, and are its maps decoded to where people are?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn.functional import interpolate

import limner
from limner.networks.movenet import MOVENET_POINTS, Maps, MoveNet, decode
from tests.networks.figures import as_photo, blank, draw_person


@pytest.fixture(scope="module")
def movenet():
    return MoveNet.load()


def test_golden_values_of_the_graph_are_met(movenet):
    with np.load(Path(__file__).parent / "movenet_golden.npz") as file:
        golden = dict(file)
    grid = torch.from_numpy(golden.pop("grid"))[None].float() / 255
    pixels = interpolate(grid, size=(256, 256), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        maps = movenet((pixels * 255).round() / 255)  # the graph reads whole numbers
    logits = {"center": maps.center.logit(), "heat": maps.heat.logit()}
    for name, expected in golden.items():
        values = logits.get(name, getattr(maps, name)).permute(0, 2, 3, 1).flatten()
        values = values[:: max(1, values.numel() // 200)].numpy()  # the tool keeps every n-th number
        assert np.abs(values - expected).max() <= 2e-3 * np.abs(expected).max(), name


def test_the_file_carries_its_origin_and_licence():
    with safe_open(Path(limner.__file__).parent / "assets" / "weights" / "movenet.safetensors", "pt") as file:
        metadata = file.metadata()
        assert all(file.get_tensor(key).dtype == torch.float16 for key in file.keys())  # noqa: SIM118
    assert metadata["licence"].startswith("Apache-2.0") and len(metadata["sha256"]) == 64
    assert metadata["origin"].startswith("https://tfhub.dev/google/tfjs-model/movenet/multipose/lightning/1")


def drawn_maps(people, height=16, width=24):
    """Maps that say exactly: centres (y, x), box sizes and a probability for each."""
    maps = [torch.zeros(1, channels, height, width) for channels in (1, 2, 2, 17, 34)]
    center, size, offset, heat, points = maps
    for (y, x), (tall, wide), chance in people:
        center[0, 0, y, x] = chance
        size[0, :, y, x] = torch.tensor([tall, wide], dtype=torch.float32)
        offset[0, :, y, x] = torch.tensor([0.5, 0.25])
        points[0, 1::2, y, x] = 2.0  # two cells to the right
        heat[0, :, y, x + 2] = chance
    return Maps(*maps)


def test_decode_reads_boxes_and_points_at_the_peaks_best_first():
    found = decode(drawn_maps([((4, 5), (6, 2), 0.5), ((8, 15), (10, 4), 0.9)]), 0, threshold=0.3)
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    torch.testing.assert_close(found.boxes[0], 4 * torch.tensor([13.25, 3.5, 17.25, 13.5]))
    torch.testing.assert_close(found.points[1], torch.tensor([28.0, 16.0]).expand(17, 2))


def test_a_peak_without_points_is_nobody():
    maps = drawn_maps([((8, 15), (10, 4), 0.9)])
    maps.heat.zero_()
    assert len(decode(maps, 0, threshold=0.3)) == 0


def test_points_of_a_drawn_person_lie_on_shoulders_and_hips(movenet):
    image = blank(256, 256)
    truth = draw_person(image, 110, 30, 200)
    with torch.inference_mode():
        found = decode(movenet(as_photo(image)[None].float() / 255), 0, threshold=0.3)
    at = dict(zip(MOVENET_POINTS, found.points[0], strict=True))
    assert (found.boxes[0] - truth).abs().max() < 25
    for joint, y in (("shoulder", 72), ("hip", 130), ("ankle", 220)):
        middle = (at[f"left_{joint}"] + at[f"right_{joint}"]) / 2
        assert (middle - torch.tensor([110.0, y])).norm() < 15, joint
    assert at["left_shoulder"][0] > at["right_shoulder"][0], "facing us, the person's left is on our right"


def test_every_picture_of_a_batch_has_its_list(movenet):
    with torch.inference_mode():
        maps = movenet(torch.full((2, 3, 96, 64), 0.5))
    found = [decode(maps, row, threshold=0.3) for row in range(2)]
    assert [len(f) for f in found] == [0, 0] and found[0].points.shape == (0, 17, 2)
