"""Photos are spoiled as asked, and not otherwise."""

from dataclasses import replace

import torch

from limner.synth.photo import PhotoStyle, develop, enlargement, resampling, sample_styles


def perfect(count: int) -> PhotoStyle:
    one = torch.ones(count)
    return PhotoStyle(
        exposure=one, white=torch.ones(count, 3), contrast=one, saturation=one, pixel_px=one * 0.01, blur=one * 0.05,
        motion=torch.zeros(count, 2), noise=one * 0, chroma=one * 0, quality=one,
    )  # fmt: skip


def shoot(linear: torch.Tensor, style: PhotoStyle, size: int = 32) -> torch.Tensor:
    light, square = linear.permute(0, 2, 3, 1), torch.full((len(linear),), 100.0)
    return develop(light, style, square, size, torch.Generator().manual_seed(0))


def test_a_perfect_camera_keeps_an_even_grey_and_follows_the_srgb_curve():
    image = shoot(torch.full((1, 3, 40, 40), 0.2140), perfect(1))
    assert torch.allclose(image, torch.full_like(image, 0.5), atol=2e-3)


def test_resampling_and_enlargement_keep_constants_and_place():
    pixels = torch.tensor([20.0, 48.0])
    down = resampling(pixels, 60, 48, torch.full((2,), 0.2))
    assert torch.allclose(down[0, :20].sum(-1), torch.ones(20)) and (down[0, 20:] == 0).all()
    up = enlargement(pixels, 48)
    ramp = torch.linspace(0, 1, 60).expand(2, 60)[..., None]
    back = (up @ down @ ramp)[..., 0]
    expected = torch.linspace(0, 1, 48)
    assert (back[:, 6:-6] - expected[6:-6]).abs().max() < 0.02


def test_low_resolution_motion_noise_and_jpeg_each_change_the_picture():
    generator = torch.Generator().manual_seed(1)
    linear = torch.rand(1, 3, 40, 40, generator=generator)
    sharp = shoot(linear, perfect(1))
    for change in (
        {"pixel_px": torch.tensor([10.0])},
        {"motion": torch.tensor([[5.0, 0.0]])},
        {"blur": torch.tensor([2.0])},
    ):
        assert shoot(linear, replace(perfect(1), **change)).std() < 0.9 * sharp.std()
    for change in ({"noise": torch.tensor([0.1])}, {"quality": torch.tensor([0.2])}):
        assert (shoot(linear, replace(perfect(1), **change)) - sharp).abs().mean() > 0.01


def test_jpeg_of_high_quality_hardly_changes_anything():
    linear = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    linear = torch.nn.functional.interpolate(linear, 40, mode="bicubic").clamp(0, 1)
    fine = shoot(linear, replace(perfect(1), quality=torch.tensor([0.98])))
    assert (fine - shoot(linear, perfect(1))).abs().max() < 0.03


def test_styles_stay_in_range():
    style = sample_styles(500, torch.full((500,), 400.0), torch.Generator().manual_seed(0))
    assert (style.quality > 0).all() and (style.quality <= 1).all() and (style.pixel_px > 0).all()
    assert (style.motion.norm(dim=-1) > 0).float().mean() < 0.2
