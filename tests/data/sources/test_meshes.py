"""Meshes come back with the file's vertices in the file's order."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from limner.data.sources.meshes import read_mesh
from limner.errors import DataSetError
from tests.data.sources.tiny_sets import write_obj

VERTICES = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])  # the last one doubles the first
FACES = np.array([[0, 1, 2], [4, 2, 3]])


def test_obj_with_seams_and_ply_keep_every_vertex(tmp_path: Path):
    write_obj(tmp_path / "a.obj", VERTICES, FACES)
    trimesh.Trimesh(VERTICES, FACES, process=False).export(tmp_path / "a.ply")
    for name in ("a.obj", "a.ply"):
        vertices, faces = read_mesh(tmp_path / name)
        assert np.allclose(vertices, VERTICES) and faces.tolist() == FACES.tolist()


def test_polygons_become_triangles_and_negative_corners_count_back(tmp_path: Path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4//1 2 3 4\n")
    assert read_mesh(tmp_path / "a.obj")[1].tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_cut_off_mesh_is_named(tmp_path: Path):
    trimesh.Trimesh(VERTICES, FACES, process=False).export(tmp_path / "a.ply")
    (tmp_path / "a.ply").write_bytes((tmp_path / "a.ply").read_bytes()[:-30])
    (tmp_path / "b.obj").write_text("v 0 0 0\nf 1 2 3\n")
    (tmp_path / "c.obj").write_text("nothing\n")
    for name in ("a.ply", "b.obj", "c.obj", "d.ply"):
        with pytest.raises(DataSetError, match=name):
            read_mesh(tmp_path / name)
