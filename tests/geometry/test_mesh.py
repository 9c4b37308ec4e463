"""Normals of triangle meshes."""

import math

import torch
import trimesh

from limner.geometry.mesh import face_vectors, vertex_normals


def sphere(radius: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return torch.tensor(mesh.vertices, dtype=torch.float32)[None], torch.tensor(mesh.faces)


def test_sphere_normals_point_outwards_along_the_radius():
    vertices, faces = sphere(radius=2.0)
    torch.testing.assert_close(vertex_normals(vertices, faces), vertices / 2, atol=0.03, rtol=0)


def test_face_vectors_are_twice_the_area_long():
    triangle = torch.tensor([[[0.0, 0, 5], [3, 0, 5], [0, 4, 5]]])
    torch.testing.assert_close(face_vectors(triangle, torch.tensor([[0, 1, 2]])), torch.tensor([[[0.0, 0, 12]]]))
    vertices, faces = sphere(radius=2.0)
    total = face_vectors(vertices, faces).norm(dim=-1).sum().item() / 2
    assert math.isclose(total, 4 * math.pi * 4, rel_tol=0.01)


def test_a_vertex_normal_weighs_triangles_by_area():
    # A large triangle facing +z and a small one facing -x meet at vertex 0.
    vertices = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, -0.5], [0, -0.5, 0]]])
    faces = torch.tensor([[0, 1, 2], [0, 3, 4]])
    expected = torch.tensor([-0.25, 0, 4.0]) / torch.tensor([-0.25, 0, 4.0]).norm()
    torch.testing.assert_close(vertex_normals(vertices, faces)[0, 0], expected)
    torch.testing.assert_close(vertex_normals(vertices, faces)[0, 1], torch.tensor([0.0, 0, 1]))


def test_a_batch_is_its_meshes_one_by_one():
    vertices, faces = sphere()
    batch = torch.cat([vertices, vertices * torch.tensor([1.0, 2, 0.5])])
    together = vertex_normals(batch, faces)
    torch.testing.assert_close(together[1:], vertex_normals(batch[1:], faces))


def test_degenerate_and_absent_triangles_give_zeros_not_nan():
    vertices = torch.zeros(2, 4, 3)
    assert vertex_normals(vertices, torch.tensor([[0, 1, 2]])).eq(0).all()
    no_faces = torch.zeros(0, 3, dtype=torch.int64)
    assert vertex_normals(vertices, no_faces).eq(0).all()
    assert vertex_normals(torch.zeros(0, 4, 3), torch.tensor([[0, 1, 2]])).shape == (0, 4, 3)


def test_gradients_reach_the_vertices():
    vertices, faces = sphere()
    vertices.requires_grad_()
    vertex_normals(vertices, faces)[0, :, 0].sum().backward()
    assert vertices.grad is not None and vertices.grad.isfinite().all() and vertices.grad.abs().sum() > 0
