"""OBJ and PLY hold the mesh in order, upright."""

import numpy as np
import pytest
import torch
import trimesh

from limner.errors import OutputError
from limner.io.mesh_file import write_obj, write_ply


@pytest.fixture
def tetrahedron():
    """Corners in the camera frame, 3 m away, and outward faces."""
    vertices = torch.tensor([[0.0, 0, 3], [1, 0, 3], [0, -1, 3], [0, 0, 2]])
    return vertices, torch.tensor([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])


def test_obj(tmp_path, tetrahedron):
    vertices, faces = tetrahedron
    write_obj(tmp_path / "a.obj", vertices, faces)
    mesh = trimesh.load(tmp_path / "a.obj", process=False)
    assert mesh.vertices == pytest.approx(vertices.numpy() * (1, -1, -1))  # y up, so what is high has a high y
    assert (mesh.faces == faces.numpy()).all()


def test_ply(tmp_path, tetrahedron):
    vertices, faces = tetrahedron
    write_ply(tmp_path / "a.ply", vertices, faces)
    assert (tmp_path / "a.ply").read_bytes().startswith(b"ply\nformat binary_little_endian")
    mesh = trimesh.load(tmp_path / "a.ply", process=False)
    assert mesh.vertices == pytest.approx(vertices.numpy() * (1, -1, -1))
    assert (mesh.faces == faces.numpy()).all()
    assert np.linalg.norm(mesh.vertex_normals, axis=1) == pytest.approx(1)


@pytest.mark.parametrize("write, name", [(write_obj, "a.obj"), (write_ply, "a.ply")])
def test_errors(tmp_path, tetrahedron, write, name):
    vertices, faces = tetrahedron
    with pytest.raises(OutputError, match="not finite"):
        write(tmp_path / name, vertices * float("inf"), faces)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="another folder"):
        write(tmp_path / "file" / name, vertices, faces)
