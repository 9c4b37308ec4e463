"""Mesh files of a body. OBJ and PLY (posed) here, GLB (rigged) in `limner.io.glb_file`.

Files are y-up and right-handed in metres, as Blender, three.js and game engines expect; people stay where they stood
before the camera, which is at the origin and looks along -z.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.geometry.mesh import vertex_normals
from limner.io.atomic import atomic_write, check_finite
from limner.io.frames import Y_UP_FROM_CAMERA, turn_points


def write_obj(
    path: str | Path,
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
) -> None:
    """Write a posed mesh as Wavefront OBJ, vertices in the given order, in steps of a micrometre.

    `vertices`: camera frame, metres. Raises OutputError.
    """
    check_finite(path, vertices=vertices)
    text = ["# limner: metres, y up, the camera at the origin looking along -z\n"]
    text.append(_lines("v %.6f %.6f %.6f\n", turn_points(Y_UP_FROM_CAMERA, vertices).cpu().numpy()))
    text.append(_face_lines(faces.cpu().long().numpy().tobytes()))
    with atomic_write(path) as file:
        file.write("".join(text).encode())


@lru_cache(maxsize=2)  # everybody has the same
def _face_lines(faces: bytes) -> str:
    return _lines("f %d %d %d\n", np.frombuffer(faces, np.int64).reshape(-1, 3) + 1)


def _lines(line: str, rows: np.ndarray) -> str:
    """A line of text for each row of numbers, formatted all at once (`savetxt` takes four times as long)."""
    return (line * len(rows)) % tuple(rows.ravel().tolist())


def write_ply(
    path: str | Path,
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
) -> None:
    """Write a posed mesh as binary PLY (float32) with smooth normals, vertices in the given order.

    `vertices`: camera frame, metres. Raises OutputError.
    """
    check_finite(path, vertices=vertices)
    points = turn_points(Y_UP_FROM_CAMERA, vertices)
    with atomic_write(path) as file:
        file.write(ply_bytes(points, faces, vertex_normals(points[None], faces)[0]))


def ply_bytes(
    vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"], normals: Float[Tensor, "V 3"] | None = None
) -> bytes:
    """A binary little-endian PLY file (Turk 1994) of a mesh, numbers as given, float32."""
    names, rows = "x y z", vertices
    if normals is not None:
        names, rows = "x y z nx ny nz", torch.cat([vertices, normals], 1)
    corners = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    corners["count"], corners["corners"] = 3, faces.cpu().numpy()
    lines = ["ply", "format binary_little_endian 1.0", "comment limner", f"element vertex {len(vertices)}"]
    lines += [f"property float {name}" for name in names.split()]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode() + rows.cpu().numpy().astype("<f4").tobytes() + corners.tobytes()
