"""Meshes over photos: edges, order, size, side view."""

import pytest
import torch

from limner.geometry.camera import Camera
from limner.render.overlay import INSIDE, fit, overlay, paint, side_view
from tests.render.plain_raster import rasterize_plain
from tests.render.shapes import ball, rectangle

RED, BLUE = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])


def camera(count: int, focal: float = 100.0, center: tuple[float, float] = (40.0, 30.0)) -> Camera:
    return Camera(torch.full((count,), focal), torch.tensor([center]).repeat(count, 1))


def grey_photo(height: int = 60, width: int = 80) -> torch.Tensor:
    return torch.full((3, height, width), 90, dtype=torch.uint8)


def white(height: int, width: int) -> torch.Tensor:
    return torch.full((3, height, width), 255, dtype=torch.uint8)


def test_edge_coverage_grows_monotonically_from_none_to_full():
    black = torch.zeros(3, 8, 8, dtype=torch.uint8)
    alphas = []
    for step in range(21):
        edge = 3 + step / 20  # the right border moves through pixel column 3
        vertices, faces = rectangle(1, 1, edge, 7, 1)
        painted = paint(black, vertices, faces, torch.ones(1, 4, 3))
        assert painted[:, 1:7, 1:3].eq(255).all() and painted[:, :, 4:].eq(0).all() and painted[:, 0].eq(0).all()
        alphas.append(painted[0, 4, 3].item() / 255)
    assert alphas[0] == 0 and alphas[-1] == 1
    assert all(b >= a for a, b in zip(alphas, alphas[1:], strict=False))
    assert len(set(alphas)) >= 7
    assert max(abs(alpha - step / 20) for step, alpha in enumerate(alphas)) <= 0.09


def test_a_disc_covers_its_area():
    vertices, faces = ball(4)
    for radius in (3.3, 40.0):
        black = torch.zeros(3, 100, 100, dtype=torch.uint8)
        painted = paint(black, vertices * radius + 50, faces, torch.ones_like(vertices))
        area = painted[0].sum().item() / 255
        assert abs(area / (3.14159 * radius**2) - 1) < 0.02


@pytest.mark.parametrize("opened", [False, True])
def test_a_picture_is_the_mean_of_many_looks_at_each_pixel(opened):
    """Two balls, one before the other and partly cut open, against 8 x 8 samples a pixel of the plain rasteriser."""
    vertices, faces = ball(2)
    faces = faces[vertices[0, faces].mean(1)[:, 2] > -0.75] if opened else faces  # one looks into the nearer ball
    people = torch.cat([vertices * 11 + torch.tensor([x, 17.0, z]) for x, z in ((14.0, 40.0), (25.0, 60.0))])
    colors = torch.rand(people.shape, generator=torch.Generator().manual_seed(3))
    painted = paint(white(34, 40), people, faces, colors).float()
    mesh = torch.cat([faces, faces + vertices.shape[1]])
    points = people.reshape(-1, 3)
    face, weights, _ = rasterize_plain(points * torch.tensor([8, 8, 1]), mesh, 34 * 8, 40 * 8)
    corner = points[mesh]
    turned_away = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[:, 2] > 0
    light = torch.where(turned_away, INSIDE, 1.0)
    hit = torch.from_numpy(face)
    shades = (colors.reshape(-1, 3)[mesh[hit]] * torch.from_numpy(weights)[..., None]).sum(-2) * light[hit, None]
    fine = torch.where(hit[..., None] < 0, 1.0, shades)
    expected = fine.view(34, 8, 40, 8, 3).mean((1, 3)).permute(2, 0, 1) * 255
    error = (painted - expected).abs()
    assert opened == bool(turned_away[hit[hit >= 0]].any())
    assert error.mean() < 1.5 and error.max() < 255 / 5


def test_the_nearer_of_two_people_is_in_front():
    near, faces = rectangle(2, 2, 6, 6, 1)
    far, _ = rectangle(4, 4, 8, 8, 2)
    colors = torch.stack([BLUE.expand(4, 3), RED.expand(4, 3)])
    painted = paint(white(10, 10), torch.cat([far, near]), faces, colors)
    for pixel, color in ((5, RED), (7, BLUE), (9, torch.ones(3))):
        assert painted[:, pixel, pixel].equal((color * 255).byte())


def test_opacity_mixes_with_what_lies_behind():
    vertices, faces = rectangle(2, 2, 6, 6, 1)
    canvas = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    painted = paint(canvas, vertices, faces, RED.expand(1, 4, 3), opacity=0.75)
    assert painted[:, 4, 4].tolist() == [216, 25, 25]
    assert canvas.eq(100).all()


def test_what_is_seen_from_within_is_dark():
    vertices, faces = rectangle(2, 2, 6, 6, 1)
    bright = torch.ones(1, 4, 3)
    assert paint(white(8, 8), vertices, faces, bright)[:, 4, 4].eq(255).all()
    inside = paint(white(8, 8), vertices, faces.flip(1), bright)
    assert inside[:, 2:6, 2:6].max() < 80 and inside[:, 6:].eq(255).all()


def test_meshes_partly_outside_of_the_canvas():
    vertices, faces = rectangle(-50, -30, 3, 90, 1)
    black = torch.zeros(3, 10, 12, dtype=torch.uint8)
    painted = paint(black, vertices, faces, torch.ones(1, 4, 3))
    assert painted[:, :, :3].eq(255).all() and painted[:, :, 3:].eq(0).all()
    outside, _ = rectangle(20, 2, 30, 8, 1)
    assert paint(black, outside, faces, torch.ones(1, 4, 3)).eq(0).all()


def test_overlay_draws_where_the_camera_sees_the_person_and_nowhere_else():
    vertices, faces = ball()
    person = vertices * 0.2 + torch.tensor([0.1, -0.05, 2.0])
    photo = grey_photo()
    drawn = overlay(photo, person, faces, camera(1))
    changed = (drawn != 90).any(0)
    row, column = changed.nonzero(as_tuple=True)
    # The centre projects to (45, 27.5); the ball's outline is a circle of radius about 10 pixels.
    assert abs(column.float().mean() + 0.5 - 45) < 0.3 and abs(row.float().mean() + 0.5 - 27.5) < 0.3
    assert abs(changed.sum().item() / (3.14159 * 10.5**2) - 1) < 0.08
    assert photo.eq(90).all() and drawn.dtype == torch.uint8


def test_people_have_hues_of_their_own():
    vertices, faces = ball()
    people = torch.cat([vertices * 0.2 + torch.tensor([x, 0, 2.0]) for x in (-0.4, 0.4)])
    drawn = overlay(grey_photo(), people, faces, camera(2)).float()
    left, right = drawn[:, 30, 20], drawn[:, 30, 60]
    assert left[2] > left[0] + 10 and right[0] > right[2] + 10  # blue, warm grey


def test_nobody_and_people_behind_the_camera_leave_the_photo_as_it_is():
    vertices, faces = ball(1)
    photo = grey_photo()
    assert overlay(photo, vertices[:0], faces, camera(0)).equal(photo)
    assert overlay(photo, vertices * 0.2 - torch.tensor([0, 0, 2.0]), faces, camera(1)).equal(photo)
    assert side_view(vertices[:0], faces, 30, 20).eq(255).all()


def test_a_large_photo_is_shown_smaller_with_the_mesh_in_the_same_place():
    vertices, faces = ball()
    person = vertices * 0.2 + torch.tensor([0.1, -0.05, 2.0])
    drawn = overlay(grey_photo(600, 800), person, faces, camera(1, 1000.0, (400.0, 300.0)), longest_side=80)
    small = overlay(grey_photo(), person, faces, camera(1))
    assert drawn.shape == (3, 60, 80)
    assert (drawn.float() - small.float()).abs().max() <= 1


def test_fit_keeps_small_photos_and_averages_large_ones():
    photo = torch.randint(0, 256, (3, 500, 300), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    same, scale = fit(photo, 900, 900)
    assert scale == 1 and same.shape == (3, 500, 300)
    small, scale = fit(photo, 50, 900)
    assert small.shape == (3, 50, 30) and abs(scale - 0.1) < 1e-6
    assert small.float().std() < 38  # noise averages out: the picture was filtered, not only thinned
    assert fit(photo, 1000, 900, enlarge=True)[0].shape == (3, 1000, 600)


def test_the_side_view_turns_depth_into_width():
    """A rod towards the scene seen end-on by the camera lies across the side view, its near end on the left."""
    vertices, faces = ball()
    thick = 1 - 0.8 * (vertices[..., 2:] > 0)
    rod = torch.cat([vertices[..., :2] * 0.1 * thick, vertices[..., 2:]], -1)
    view = side_view(rod + torch.tensor([0.3, 0.1, 4.0]), faces, height=100, width=200)
    drawn = (view != 255).any(0)
    row, column = drawn.nonzero(as_tuple=True)
    assert view.shape == (3, 100, 200)
    assert column.max() - column.min() > 170 and row.max() - row.min() < 30
    assert abs((column.min() + column.max() + 1) / 2 - 100) < 4 and abs((row.min() + row.max() + 1) / 2 - 50) < 4
    assert drawn[:, :100].sum() > 2 * drawn[:, 100:].sum()
