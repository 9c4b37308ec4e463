"""People stand in the photo as asked, and things in front of them hide what they cover."""

from dataclasses import replace

import torch

from limner.synth.people import SynthBatch
from limner.synth.scene import occlusion, place_people


def test_placed_people_fill_the_photo_and_nobody_stands_on_the_lens():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200, 40, 3, generator=generator) * torch.tensor([0.25, 0.6, 0.2])
    camera, transl = place_people(points, points[:, :3], 1024, generator)
    moved = points + transl[:, None]
    assert (moved[..., 2] > 0.4).all()
    pixels = camera.project(moved)
    size = (pixels.amax(1) - pixels.amin(1)).amax(-1) / 1024
    whole = ((size > 0.3) & (size < 1.0)).float().mean()
    assert 0.6 < whole < 0.9
    inside = ((pixels > 0) & (pixels < 1024)).all(-1).float().mean(1)
    assert inside.mean() > 0.75 and (inside > 0.1).float().mean() > 0.98


def test_an_occluder_covers_its_middle_and_nothing_far_away(batch: SynthBatch):
    n = len(batch)
    scene = replace(
        batch.scene,
        occluder_on=torch.tensor([[True, False]]).repeat(n, 1),
        occluder_center_px=torch.full((n, 2, 2), 500.0),
        occluder_half_px=torch.tensor([40.0, 10.0]).expand(n, 2, 2),
        occluder_angle=torch.full((n, 2), torch.pi / 2),
    )
    places = torch.tensor([[500.0, 500.0], [500.0, 535.0], [535.0, 500.0], [900.0, 500.0]]).expand(n, 4, 2)
    cover = occlusion(scene, places, torch.ones(n))
    assert torch.allclose(cover[:, :, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(n, 4), atol=1e-3)
    assert (cover[:, :, 1] == 0).all()
