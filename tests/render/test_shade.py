"""The studio's light: direction, occlusion, shadows."""

import torch
from torch.nn.functional import normalize

from limner.geometry.mesh import vertex_normals
from limner.render.shade import (
    Studio,
    linear_from_srgb,
    shade,
    spread,
    srgb_from_linear,
    vertex_colors,
    visibility,
)
from tests.render.shapes import ball, rectangle

GREY = torch.tensor([[0.6, 0.6, 0.6]])
CAMERA = torch.tensor([[0.0, 0.0, -1.0]])
ALL = torch.ones(1)


def test_srgb_round_trip_and_known_values():
    values = torch.linspace(0, 1, 50)
    torch.testing.assert_close(srgb_from_linear(linear_from_srgb(values)), values)
    torch.testing.assert_close(linear_from_srgb(torch.tensor([0.5])), torch.tensor([0.2140]), atol=1e-4, rtol=0)


def test_surfaces_turned_to_the_key_light_are_brighter():
    key = normalize(torch.tensor([Studio().key_direction]), dim=-1)
    assert shade(GREY, key, CAMERA, ALL, ALL).mean() > shade(GREY, -key, CAMERA, ALL, ALL).mean() + 0.2


def test_top_light_is_stronger_than_light_from_the_floor():
    down = torch.tensor([[0.0, 1.0, 0.0]])
    dark = Studio(key=0.0, fill=0.0, gloss=0.0, rim=0.0)
    assert shade(GREY, -down, CAMERA, ALL, ALL, dark).mean() > shade(GREY, down, CAMERA, ALL, ALL, dark).mean() + 0.1


def test_less_sky_and_a_shadowed_key_darken_and_colours_stay_in_range():
    generator = torch.Generator().manual_seed(0)
    normals = normalize(torch.randn(200, 3, generator=generator), dim=-1)
    white = torch.ones(200, 3)
    camera = CAMERA.expand(200, 3)
    lit, none = torch.ones(200), torch.zeros(200)
    full = shade(white, normals, camera, lit, lit)
    assert full.min() >= 0 and full.max() <= 1
    assert (shade(white, normals, camera, none, lit) <= full).all()
    assert (shade(white, normals, camera, lit, none) <= full).all()
    assert shade(white, normals, camera, none, none).max() < 0.01


def test_spread_directions_are_unit_and_balanced():
    directions = spread(24, torch.zeros(0))
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(24))
    assert directions.mean(0).norm() < 0.05


def test_a_ball_does_not_shadow_its_lit_side():
    vertices, faces = ball()
    toward = spread(24, torch.zeros(0))
    reached = visibility(vertices * 0.3 + 2, faces, toward)[0]
    cosine = toward @ vertices[0].T
    assert reached[cosine > 0.15].mean() > 0.99


def test_a_plate_above_shadows_the_one_below():
    lower, faces = rectangle(-1, -1, 1, 1, 0)
    upper = lower * torch.tensor([0.4, 0.4, 1]) - torch.tensor([0, 0, 0.5])  # nearer to the camera
    middle = torch.tensor([[[0.0, 0.0, 0.0]]])
    fan = torch.tensor([[4, 0, 1], [4, 1, 2], [4, 2, 3], [4, 3, 0]])
    # A thin box has a back to be seen from behind, as bodies have.
    vertices = torch.cat([lower, middle, upper, upper + torch.tensor([0, 0, 0.05])], 1)
    faces = torch.cat([fan, faces + 5, faces.flip(1) + 9])
    toward = torch.cat([CAMERA, normalize(torch.tensor([[1.0, 0, -0.4]]), dim=-1)])
    reached = visibility(vertices, faces, toward)[0]
    assert reached[0, 4] == 0 and reached[1, 4] == 1  # hidden from the front, lit under the plate's edge
    assert reached[0, :4].eq(1).all() and reached[0, 5:9].eq(1).all()


def test_vertex_colours_are_darker_in_a_hollow():
    """The bottom of a bowl, open towards the camera, gets less light than it would without the bowl's walls."""
    vertices, faces = ball()
    shell = torch.cat([vertices, vertices * 0.9], 1)  # outside, and an inner wall that faces inwards
    faces = torch.cat([faces, faces.flip(1) + vertices.shape[1]])
    open_front = shell[0, faces, 2].mean(1) > -0.3  # cut away what is nearest to the camera
    shell, faces = shell + torch.tensor([0, 0, 5.0]), faces[open_front]
    normals = vertex_normals(shell, faces)[0]
    albedo = torch.full_like(shell, 0.7)
    colors = vertex_colors(shell, faces, albedo)[0].mean(-1)
    alone = shade(
        albedo[0], normals, normalize(-shell[0], dim=-1), torch.ones(len(normals)), torch.ones(len(normals))
    ).mean(-1)
    bottom = (normals[:, 2] < -0.95) & (shell[0, :, 2] > 5.8)
    assert bottom.sum() > 5
    assert (colors[bottom] < alone[bottom] - 0.1).all()


def test_colours_of_a_batch_are_those_of_its_meshes():
    vertices, faces = ball(2)
    both = torch.cat([vertices, vertices * torch.tensor([0.3, 1, 0.5])]) + torch.tensor([0, 0, 4.0])
    albedo = torch.rand(both.shape, generator=torch.Generator().manual_seed(1))
    together = vertex_colors(both, faces, albedo)
    torch.testing.assert_close(together[1:], vertex_colors(both[1:], faces, albedo[1:]))
    assert vertex_colors(both[:0], faces, albedo[:0]).shape == (0, vertices.shape[1], 3)
