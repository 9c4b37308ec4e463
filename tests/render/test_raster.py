"""The vectorised rasteriser against its plain twin and against geometry."""

import math

import numpy as np
import pytest
import torch
import trimesh

from limner.render.raster import Fragments, depth_map, rasterize, values_at
from tests.render.plain_raster import rasterize_plain


def face_of(seen: Fragments) -> torch.Tensor:
    """Index of the nearest triangle as an image, -1 where there is none."""
    return seen.image(seen.triangle, -1)


def shares_of(seen: Fragments) -> torch.Tensor:
    """The barycentric weights as an image, 0 where nothing is seen."""
    return seen.image(seen.weights, 0)


def soup(seed: int, batch: int, triangles: int, size: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Random triangles of all sizes, many partly or wholly outside of a size x size image, some behind the camera."""
    rng = torch.Generator().manual_seed(seed)
    centre = torch.rand(batch, triangles, 1, 2, generator=rng) * 1.6 * size - 0.3 * size
    reach = size * torch.rand(batch, triangles, 1, 1, generator=rng) ** 4
    xy = centre + reach * torch.randn(batch, triangles, 3, 2, generator=rng)
    z = 2 + 0.9 * torch.randn(batch, triangles, 3, 1, generator=rng)
    faces = torch.randperm(triangles * 3, generator=rng).view(triangles, 3)
    vertices = torch.zeros(batch, triangles * 3, 3)
    vertices[:, faces] = torch.cat([xy, z], -1)
    return vertices, faces


def grid(cells: int, size: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A flat square of size x size pixels cut into triangles with shaken inner vertices."""
    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(cells + 1), torch.arange(cells + 1), indexing="ij")
    shake = 0.5 * (torch.rand(cells + 1, cells + 1, 2, generator=rng) - 0.5)
    shake[[0, -1]] = shake[:, [0, -1]] = 0
    xy = (torch.stack([x, y], -1) + shake) * (size / cells)
    corner = (y[:-1, :-1] * (cells + 1) + x[:-1, :-1]).flatten()
    upper = torch.stack([corner, corner + 1, corner + cells + 1], 1)
    lower = torch.stack([corner + 1, corner + cells + 2, corner + cells + 1], 1)
    vertices = torch.cat([xy.flatten(0, 1), torch.full((len(xy) ** 2, 1), 2.0)], 1)
    return vertices[None], torch.cat([upper, lower])


def sphere(subdivisions: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return torch.tensor(mesh.vertices, dtype=torch.float32)[None], torch.tensor(mesh.faces)


@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize("cull_back", [True, False])
def test_equals_the_plain_twin_on_random_triangles(perspective, cull_back):
    height, width = 48, 61
    vertices, faces = soup(seed=1, batch=3, triangles=80, size=55)
    seen = rasterize(vertices, faces, height, width, perspective=perspective, cull_back=cull_back)
    assert vertices[..., 2].min() < 0  # some are behind the camera
    for i in range(3):
        face, weights, depth = rasterize_plain(
            vertices[i], faces, height, width, perspective=perspective, cull_back=cull_back
        )
        np.testing.assert_array_equal(face_of(seen)[i].numpy(), face)
        np.testing.assert_allclose(seen.depth[i].numpy(), depth, rtol=1e-4)
        np.testing.assert_allclose(shares_of(seen)[i].numpy(), weights, atol=2e-4)


def test_equals_the_plain_twin_on_ties():
    """Corners on pixel centres and borders, edges through centres, copies of one triangle at the same depth."""
    rng = torch.Generator().manual_seed(2)
    triangles = 40
    x = torch.randint(-4, 36, (triangles, 3, 1), generator=rng) / 2
    # Heights of sides are 0, 4 or 8 pixels: slopes are exact, so centres lie exactly on edges.
    y = torch.randint(-8, 24, (triangles, 1, 1), generator=rng) / 2
    y = y + 4 * torch.randint(0, 3, (triangles, 3, 1), generator=rng)
    depth = torch.randint(1, 5, (triangles, 1, 1), generator=rng).float().expand(-1, 3, 1)
    corners = torch.cat([x, y, depth], -1)
    corners = torch.cat([corners, corners[:, [1, 2, 0]], corners[:, [1, 0, 2]]])[torch.randperm(120, generator=rng)]
    faces = torch.arange(360).view(120, 3)
    seen = rasterize(corners.reshape(1, -1, 3), faces, 16, 16)
    face, _, nearest = rasterize_plain(corners.reshape(-1, 3), faces, 16, 16)
    np.testing.assert_array_equal(face_of(seen)[0].numpy(), face)
    np.testing.assert_array_equal(seen.depth[0].numpy(), nearest)


def test_a_rectangle_covers_the_pixels_whose_centres_it_holds():
    # From (2.5, 1.5) to (6.5, 4.5): the left and top borders run through centres and count, right and bottom do not.
    vertices = torch.tensor([[[2.5, 1.5, 1], [6.5, 1.5, 1], [6.5, 4.5, 1], [2.5, 4.5, 1]]])
    covered = rasterize(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]), 8, 9).covered[0]
    expected = torch.zeros(8, 9, dtype=torch.bool)
    expected[1:4, 2:6] = True
    assert covered.equal(expected)


def test_covered_pixels_measure_the_area_of_a_triangle():
    vertices = torch.tensor([[[10.3, 5.1, 2], [180.2, 60.7, 3], [40.9, 190.4, 1.5]]])
    count = rasterize(vertices, torch.tensor([[0, 1, 2]]), 200, 200).covered.sum().item()
    (ax, ay, _), (bx, by, _), (cx, cy, _) = vertices[0].tolist()
    area = abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2
    assert math.isclose(count, area, rel_tol=0.01)


@pytest.mark.parametrize("cells", [3, 20, 70])
def test_shared_edges_leave_no_hole_and_take_no_pixel_twice(cells):
    vertices, faces = grid(cells, size=64.0, seed=3)
    assert rasterize(vertices, faces, 64, 64).covered.all()
    # Each triangle alone, as one batch: its corners are the batch element's only three vertices.
    alone = rasterize(vertices[0, faces], torch.tensor([[0, 1, 2]]), 64, 64)
    assert alone.covered.sum(0).eq(1).all()


def test_a_sphere_has_no_holes_and_hides_its_back():
    vertices, faces = sphere()
    radius, centre = 50.3, 60.0
    seen = rasterize(vertices * radius + centre, faces, 120, 120, perspective=False)
    axis = torch.arange(120) + 0.5 - centre
    distance = (axis[:, None] ** 2 + axis[None] ** 2).sqrt()
    assert seen.covered[0][distance < radius - 0.3].all()
    assert not seen.covered[0][distance > radius].any()
    assert (seen.depth[seen.covered] < centre + 1).all()  # the near half


def test_culling_keeps_what_faces_the_camera():
    vertices, faces = sphere(3)
    vertices = vertices * 50 + 60
    outside = rasterize(vertices, faces, 120, 120, perspective=False)
    culled = rasterize(vertices, faces, 120, 120, perspective=False, cull_back=True)
    inside_out = rasterize(vertices, faces.flip(1), 120, 120, perspective=False, cull_back=True)
    both = culled.covered & inside_out.covered
    assert culled.depth[outside.covered].equal(outside.depth[outside.covered])
    assert both.sum() > 7000 and (inside_out.depth > culled.depth)[both].float().mean() > 0.99


def test_the_nearer_triangle_wins_whatever_the_order():
    near = [[0.0, 0, 1], [20, 0, 1], [0, 20, 1]]
    far = [[0.0, 0, 2], [20, 0, 2], [0, 20, 2]]
    vertices = torch.tensor([near + far, far + near])
    seen = rasterize(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]), 20, 20)
    assert face_of(seen)[0][seen.covered[0]].eq(0).all() and face_of(seen)[1][seen.covered[1]].eq(1).all()
    assert seen.depth[seen.covered].eq(1).all() and seen.depth[~seen.covered].isinf().all()


def test_interpolation_follows_the_perspective():
    """Camera-frame x of a slanted floor, read back at each pixel, is where the pixel's ray meets the floor."""
    focal, middle = 40.0, 32.0
    floor = torch.tensor([[[-3.0, 1, 1.5], [3, 1, 1.5], [3, 1, 9], [-3, 1, 9]]])
    vertices = torch.cat([floor[..., :2] / floor[..., 2:] * focal + middle, floor[..., 2:]], -1)
    seen = rasterize(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]), 64, 64)
    position = seen.image(values_at(floor, seen), 0)[0]
    row, column = seen.covered[0].nonzero(as_tuple=True)
    assert len(row) > 500
    depth = focal / (row + 0.5 - middle)  # the floor lies at y = 1
    torch.testing.assert_close(position[row, column, 2], depth, rtol=1e-4, atol=0)
    torch.testing.assert_close(seen.depth[0, row, column], depth, rtol=1e-4, atol=0)
    torch.testing.assert_close(position[row, column, 0], (column + 0.5 - middle) / focal * depth, rtol=1e-3, atol=1e-4)


def test_values_of_vertices_at_pixels():
    vertices, faces = soup(seed=5, batch=2, triangles=30, size=40)
    seen = rasterize(vertices, faces, 40, 40)
    values = torch.randn(1, vertices.shape[1], 4, generator=torch.Generator().manual_seed(6))
    image = seen.image(values_at(values, seen), 0)
    assert image.shape == (2, 40, 40, 4) and image[~seen.covered].eq(0).all()
    torch.testing.assert_close(seen.image(values_at(values.expand(2, -1, -1), seen), 0), image)
    sample, row, column = seen.covered.nonzero()[7].tolist()
    corners = values[0, faces[face_of(seen)[sample, row, column]]]
    torch.testing.assert_close(image[sample, row, column], shares_of(seen)[sample, row, column] @ corners)
    per_image = torch.stack([values[0], values[0] + 1])
    other = seen.image(values_at(per_image, seen), 0)[1]
    torch.testing.assert_close(other, image[1] + seen.covered[1, :, :, None])


def test_barycentric_weights_are_a_convex_combination_even_in_slivers():
    rng = torch.Generator().manual_seed(7)
    along = torch.rand(500, 3, 1, generator=rng) * 64
    across = 1e-4 * torch.randn(500, 3, 1, generator=rng) + 20.5
    slivers = torch.cat([along, across, 1 + torch.rand(500, 3, 1, generator=rng)], -1).reshape(1, -1, 3)
    seen = rasterize(slivers, torch.arange(1500).view(500, 3), 64, 64)
    assert seen.covered.sum() == seen.covered[0, 20].sum() > 50
    assert shares_of(seen).min() >= 0
    torch.testing.assert_close(shares_of(seen).sum(-1), seen.covered.float())
    assert seen.depth[seen.covered].min() >= 1 and seen.depth[seen.covered].max() <= 2


def test_a_triangle_far_larger_than_the_image_fills_it():
    vertices = torch.tensor([[[-5e4, -4e4, 2], [6e4, -4e4, 2], [0, 9e4, 2.0]]])
    seen = rasterize(vertices, torch.tensor([[0, 1, 2]]), 30, 50)
    assert seen.covered.all() and seen.depth.eq(2).all()


def test_triangles_at_or_behind_the_near_plane_are_left_out():
    triangle = torch.tensor([[0.0, 0, 1], [20, 0, 1], [0, 20, 1]])
    for z in (-1.0, 0.0, 0.01, math.nan):
        vertices = triangle.clone()
        vertices[1, 2] = z
        assert not rasterize(vertices[None], torch.tensor([[0, 1, 2]]), 20, 20).covered.any()
    vertices = triangle * torch.tensor([1, 1, -1.0])
    assert rasterize(vertices[None], torch.tensor([[0, 1, 2]]), 20, 20, perspective=False).depth.min() == -1


def test_a_batch_is_its_images_one_by_one():
    vertices, faces = soup(seed=8, batch=4, triangles=50, size=40)
    together = rasterize(vertices, faces, 40, 40)
    for i in range(4):
        alone = rasterize(vertices[i : i + 1], faces, 40, 40)
        assert face_of(alone)[0].equal(face_of(together)[i]) and alone.depth[0].equal(together.depth[i])
        assert shares_of(alone)[0].equal(shares_of(together)[i])


@pytest.mark.parametrize("perspective", [True, False])
def test_the_depth_map_is_the_depth_of_the_fragments(perspective):
    vertices, faces = soup(seed=9, batch=2, triangles=50, size=40)
    depth = depth_map(vertices, faces, 40, 30, perspective=perspective, cull_back=True)
    assert depth.equal(rasterize(vertices, faces, 40, 30, perspective=perspective, cull_back=True).depth)


@pytest.mark.parametrize("perspective", [True, False])
def test_pixels_drawn_alone_see_what_they_see_among_all(perspective):
    vertices, faces = soup(seed=11, batch=3, triangles=80, size=40)
    chosen = torch.rand(40, 30, generator=torch.Generator().manual_seed(12)) < 0.2
    every = rasterize(vertices, faces, 40, 30, perspective=perspective)
    some = rasterize(vertices, faces, 40, 30, perspective=perspective, only=chosen.view(-1).nonzero()[:, 0])
    assert every.covered[:, chosen].any() and not every.covered[:, chosen].all()
    assert face_of(some).equal(torch.where(chosen, face_of(every), -1))
    assert some.depth.equal(torch.where(chosen, every.depth, math.inf))
    assert not rasterize(vertices, faces, 40, 30, only=torch.zeros(0, dtype=torch.int64)).covered.any()


def test_double_precision_vertices_see_the_same():
    vertices, faces = soup(seed=10, batch=2, triangles=30, size=40)
    single, double = (rasterize(v, faces, 40, 40) for v in (vertices, vertices.double()))
    assert face_of(double).equal(face_of(single)) and shares_of(double).dtype == double.depth.dtype == torch.float64
    torch.testing.assert_close(shares_of(double).float(), shares_of(single), atol=2e-4, rtol=0)


@pytest.mark.parametrize("batch, number, triangles", [(0, 3, 1), (2, 0, 0), (2, 3, 0), (2, 3, 1)])
def test_nothing_to_draw_is_an_empty_image(batch, number, triangles):
    vertices = torch.full((batch, number, 3), -100.0)
    faces = torch.zeros(triangles, 3, dtype=torch.int64)
    seen = rasterize(vertices, faces, 5, 7)
    assert face_of(seen).shape == seen.depth.shape == (batch, 5, 7)
    assert face_of(seen).eq(-1).all() and shares_of(seen).eq(0).all() and len(seen) == batch
    assert depth_map(vertices, faces, 5, 7).equal(seen.depth)
    assert values_at(torch.zeros(max(batch, 1), number, 2), seen).shape == (0, 2)
