"""Noise is smooth, repeatable and of unit size."""

import torch

from limner.synth.noise import noise_at, noise_image


def test_noise_is_smooth_between_cells_and_has_about_unit_variance():
    image = noise_image(torch.Generator().manual_seed(0))
    assert torch.allclose(image, noise_image(torch.Generator().manual_seed(0)), atol=1e-5)
    places = torch.rand(3, 4000, generator=torch.Generator().manual_seed(1)) * 300
    values = noise_at(image, places)
    assert 0.6 < float(values.std()) < 1.2 and abs(float(values.mean())) < 0.1
    near = noise_at(image, places + 0.02)
    far = noise_at(image, places + 5.0)
    assert (values - near).abs().mean() < 0.1 < 0.5 < (values - far).abs().mean()
