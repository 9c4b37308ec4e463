"""Shading puts light and shadow where geometry says."""

import torch

from limner.render.raster import rasterize, values_at
from limner.synth.shade import corners_of, crevices, shadow_maps


def steps() -> tuple[torch.Tensor, torch.Tensor]:
    """A large square wall 3 m away and, half a metre before it, a small square plate; camera axes."""
    wall = torch.tensor([[-1.0, -1.0, 3.0], [1.0, -1.0, 3.0], [1.0, 1.0, 3.0], [-1.0, 1.0, 3.0]])
    plate = wall * torch.tensor([0.2, 0.2, 0.0]) + torch.tensor([0.0, 0.0, 2.5])
    faces = torch.tensor([[0, 2, 1], [0, 3, 2], [4, 6, 5], [4, 7, 6]])
    return torch.cat([wall, plate])[None], faces


def draw(vertices: torch.Tensor, faces: torch.Tensor, size: int = 64):
    pixels = torch.cat([vertices[..., :2] / vertices[..., 2:] * 90 + size / 2, vertices[..., 2:]], -1)
    return rasterize(pixels, faces, size, size)


def test_corners_mix_as_the_rasteriser_interpolates():
    vertices, faces = steps()
    fragments = draw(vertices, faces)
    corners = corners_of(fragments)
    values = torch.randn(1, 8, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(corners.mix(values).mT, values_at(values, fragments), atol=1e-5)
    own = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1))
    expected = (own[fragments.triangle] * fragments.weights[..., None]).sum(1)
    assert torch.allclose(corners.mix_corners(own).mT, expected, atol=1e-5)


def test_the_plate_throws_its_shadow_on_the_wall_away_from_the_light():
    vertices, faces = steps()
    corners = corners_of(draw(vertices, faces))
    toward = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0, -1.0]]), dim=-1)
    maps = shadow_maps(vertices, faces, corners, toward, 128)
    # half a metre behind the plate its shadow has moved half a metre away from the light
    places = torch.tensor([[-0.5, 0.0, 3.0], [0.5, 0.0, 3.0], [0.0, 0.6, 3.0], [0.0, 0.0, 2.5]]).mT
    reach = maps.reach(torch.zeros(4, dtype=torch.long), places)
    assert reach[0] < 0.1 and (reach[1:] > 0.9).all()


def test_grooves_are_darker_than_ridges_and_planes_stay_bright():
    x = torch.linspace(-1, 1, 81)
    y = torch.tensor([-1.0, 1.0])
    depth = 3 + 0.02 * torch.cos(x * 30)
    grid = torch.stack([x.repeat(2), y.repeat_interleave(81), depth.repeat(2)], -1)[None]
    index = torch.arange(80)
    upper, lower = [index, index + 81, index + 1], [index + 1, index + 81, index + 82]
    faces = torch.cat([torch.stack(upper, -1), torch.stack(lower, -1)])
    fragments = draw(grid, faces, 96)
    dim = crevices(fragments, torch.tensor([30.0]))[0, 48]
    seen = fragments.depth[0, 48]
    inner = slice(24, 72)
    order = seen[inner].argsort()
    assert dim[inner][order[-8:]].mean() < dim[inner][order[:8]].mean() - 0.05
    assert dim[inner][order[:8]].mean() > 0.95
