"""The original's sampling rules, against OpenCV, grid_sample and the original's own output."""

import cv2
import numpy as np
import pytest
import torch

from limner.expose.crops import (
    _grid_taps,
    _resize_taps,
    _sample,
    clean_body_crops,
    clean_part_crops,
    official_body_crops,
    official_part_crops,
    truncated_corners,
)
from limner.geometry.box import Squares
from limner.networks.backbone import IMAGENET_MEAN, Normalise


def photo_of(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def square(x: float, y: float, size: float) -> Squares:
    return Squares(torch.tensor([[x, y]]), torch.tensor([size]), torch.zeros(1))


def plain_body_crop(photo: torch.Tensor, low: np.ndarray, high: np.ndarray, size: int) -> np.ndarray:
    """The textbook form: cut the whole rectangle out of a black canvas, then cv2.resize."""
    image = photo.permute(1, 2, 0).numpy().astype(np.float32) / 255
    (x0, y0), (x1, y1) = low, high
    canvas = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
    height, width = image.shape[:2]
    inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    top, left = max(-y0, 0), max(-x0, 0)
    canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)


@pytest.mark.parametrize("box", [(10.3, 5.2, 60.1, 88.8), (-20.4, -10.2, 70.3, 60.9), (60.2, 30.7, 140.9, 130.2)])
@pytest.mark.parametrize("size", [32, 256])
def test_body_crop_equals_cut_and_cv2_resize(box, size):
    photo = photo_of(90, 130)
    crops = official_body_crops(photo, torch.tensor([box]), size)
    low, high = truncated_corners(crops.squares, size)
    assert np.abs(crops.pixels[0].numpy() - plain_body_crop(photo, low[0], high[0], size)).max() < 1e-5


def test_corners_are_truncated_towards_zero():
    low, high = truncated_corners(square(5.0, 40.0, 25.2), 64)
    assert low.tolist() == [[-7, 27]] and high.tolist() == [[17, 52]]  # -7.6 and 27.4; 17.6 and 52.6


def test_no_boxes_give_no_crops():
    photo = photo_of(20, 30)
    assert official_body_crops(photo, torch.zeros(0, 4), 16).pixels.shape == (0, 3, 16, 16)
    assert official_part_crops(photo, square(0.0, 0.0, 1.0)[:0], 16, False).pixels.shape == (0, 3, 16, 16)


def test_part_crop_equals_grid_sample_of_the_normalised_photo():
    photo, size = photo_of(60, 80), 16
    where = square(70.3, 8.7, 33.3)
    image = Normalise()(photo[None].float() / 255)
    steps = torch.arange(size) / (size - 1) - 0.5
    x, y = (where.center_px[0, i] + where.size_px * steps for i in (0, 1))
    grid = torch.stack(torch.meshgrid(x * 2 / 79 - 1, y * 2 / 59 - 1, indexing="xy"), -1)[None]
    expected = torch.nn.functional.grid_sample(image, grid, align_corners=True)  # zeros outside: the mean colour
    crop = official_part_crops(photo, where, size, mirror=False)
    assert torch.allclose(Normalise()(crop.pixels), expected, atol=1e-4)
    mirrored = official_part_crops(photo, where, size, mirror=True)
    assert torch.equal(mirrored.pixels, crop.pixels.flip(-1)) and mirrored.mirrored.all()


def test_part_crop_off_the_photo_has_the_mean_colour():
    crop = official_part_crops(photo_of(20, 20), square(-100.0, 5.0, 10.0), 8, mirror=False)
    assert torch.allclose(crop.pixels, torch.tensor(IMAGENET_MEAN)[None, :, None, None].expand(1, 3, 8, 8))


def ramp(height: int, width: int) -> torch.Tensor:
    """A photo whose red is the column and green the row, at the pixels' centres."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, torch.full_like(x, 50)]).to(torch.uint8)


def test_clean_crops_are_where_the_square_is():
    """The crop's colours say which photo point each of its pixels shows, to a tenth of a pixel."""
    photo, size = ramp(120, 200), 32
    where = square(101.3, 60.6, 40.25)
    steps = (torch.arange(size) + 0.5) / size - 0.5
    x, y = (where.center_px[0, i] + where.size_px * steps - 0.5 for i in (0, 1))  # pixel 0 has its centre at 0.5
    crop = clean_part_crops(photo, where, size, mirror=False).pixels[0] * 255
    assert (crop[0] - x).abs().max() < 0.1 and (crop[1] - y[:, None]).abs().max() < 0.1
    mirrored = clean_part_crops(photo, where, size, mirror=True)
    assert torch.allclose(mirrored.pixels[0].flip(-1) * 255, crop, atol=1e-3) and mirrored.mirrored.all()
    body = clean_body_crops(photo, torch.tensor([[90.1, 40.2, 110.3, 81.7]]), size)
    x = body.squares.center_px[0, 0] + body.squares.size_px * steps - 0.5
    assert (body.pixels[0, 0] * 255 - x).abs().max() < 0.1
    official = official_part_crops(photo, where, size, mirror=False).pixels[0] * 255
    assert (official[0] - crop[0]).abs().max() > 0.5  # what the clean way is for


def test_clean_crops_are_anti_aliased():
    stripes = (torch.arange(400) % 2 * 255).to(torch.uint8).expand(3, 400, 400)
    where = square(200.0, 200.0, 320.0)
    assert clean_part_crops(stripes, where, 32, mirror=False).pixels.std() < 0.02
    assert official_part_crops(stripes, where, 32, mirror=False).pixels.std() > 0.2


def test_clean_crops_keep_the_colours_outside():
    photo = photo_of(20, 20)
    part = clean_part_crops(photo, square(-100.0, 5.0, 10.0), 8, mirror=False)
    assert torch.allclose(part.pixels, torch.tensor(IMAGENET_MEAN)[None, :, None, None].expand(1, 3, 8, 8))
    assert not clean_body_crops(photo, torch.tensor([[-50.0, 0.0, -40.0, 10.0]]), 8).pixels.any()
    assert clean_part_crops(photo, square(0.0, 0.0, 1.0)[:0], 16, False).pixels.shape == (0, 3, 16, 16)


@pytest.fixture(scope="module")
def units(shared) -> dict[str, np.ndarray]:
    with np.load(shared / "parity" / "golden_units.npz") as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("case", range(4))
def test_body_crop_of_the_original(units, case):
    image = torch.from_numpy(units["crop.img"]).permute(2, 0, 1)
    center, size_px = units[f"crop.{case}.center"], float(units[f"crop.{case}.scale"]) * 200
    low, high = truncated_corners(square(float(center[0]), float(center[1]), size_px), 64)
    photo = (image * 255).round().to(torch.uint8)  # the golden photo has float pixels, ours eight bits
    taps = [_resize_taps(int(low[0, i]), int(high[0, i]), 64) for i in (0, 1)]
    ours = _sample(photo, *taps[0], *taps[1], outside=(0.0, 0.0, 0.0))
    expected = torch.from_numpy(units[f"crop.{case}.out"]).permute(2, 0, 1)
    assert (ours - expected).abs().max() < 0.6 / 255  # rounding to eight bits; a wrong pixel is 100 times that


@pytest.mark.parametrize("case", range(2))
def test_part_sampling_positions_of_the_original(units, case):
    (x, y), size_px = units["sampler.center"][case], float(units["sampler.size"][case])
    steps = torch.arange(16, dtype=torch.float64) / 15 - 0.5
    for axis, center in ((0, x), (1, y)):
        index, weight = _grid_taps(float(center) + size_px * steps)
        grid = units["sampler.padded.sampling_grid"][case].reshape(16, 16, 2)[..., axis]
        extent = max(units[f"sampler.img{i}"].shape[2 - axis] for i in (0, 1))  # the batch's common canvas
        positions = ((grid[0] if axis == 0 else grid[:, 0]) + 1) / 2 * (extent - 1)
        assert np.abs((index[0] + weight).numpy() - positions).max() < 1e-3
