"""The one resampler: exact where it can be, anti-aliased where it shrinks."""

import pytest
import torch

from limner.geometry.box import Squares
from limner.geometry.warp import crop, resample


def squares(x: float, y: float, size: float, angle: float = 0.0) -> Squares:
    return Squares(torch.tensor([[float(x), float(y)]]), torch.tensor([float(size)]), torch.tensor([angle]))


PHOTO = (torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)


def test_a_square_of_whole_pixels_is_a_slice():
    cut = crop(PHOTO, squares(40, 30, 16), 16)
    assert torch.allclose(cut.pixels[0], PHOTO[:, 22:38, 32:48].float() / 255, atol=1e-5)


def test_a_quarter_turn_is_rot90():
    cut = crop(PHOTO, squares(40, 30, 16, torch.pi / 2), 16)
    assert torch.allclose(cut.pixels[0], torch.rot90(PHOTO[:, 22:38, 32:48].float() / 255, 1, (1, 2)), atol=1e-4)


def test_mirrored_crops_are_flipped_and_know_it():
    cut = crop(PHOTO, squares(40, 30, 16), 16, mirror=torch.tensor([True]))
    assert torch.allclose(cut.pixels[0], PHOTO[:, 22:38, 32:48].flip(-1).float() / 255, atol=1e-5)
    left_edge = cut.photo_from_unit(torch.tensor([[[-1.0, 0.0]]]))
    assert left_edge.tolist() == [[[48.0, 30.0]]]
    assert torch.allclose(cut.unit_from_photo(left_edge), torch.tensor([[[-1.0, 0.0]]]))


@pytest.mark.parametrize("factor", [2, 3, 4.5])
def test_shrinking_averages_instead_of_picking(factor):
    stripes = torch.zeros(3, 300, 300, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    cut = crop(stripes, squares(150, 150, 32 * factor), 32)
    assert (cut.pixels - 0.5).abs().max() < 0.17  # three stripes average to 1/3 or 2/3; picking gives 0 or 1


def test_outside_is_black_and_far_outside_too():
    assert crop(PHOTO, squares(0, 30, 20), 20).pixels[0, :, :, :9].abs().max() == 0
    assert crop(PHOTO, squares(-500, -500, 20), 20).pixels.abs().max() == 0


def test_no_squares_no_crops():
    none = Squares(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0))
    assert crop(PHOTO, none, 8).pixels.shape == (0, 3, 8, 8)


def test_gradients_reach_the_square():
    ramp = torch.arange(50.0).expand(1, 1, 50, 50)
    center = torch.tensor([[25.0, 25.0]], requires_grad=True)
    values = resample(ramp, Squares(center, torch.tensor([10.0]), torch.zeros(1)), 4)
    values.mean().backward()
    assert center.grad is not None
    assert torch.allclose(center.grad, torch.tensor([[1.0, 0.0]]), atol=1e-4)
