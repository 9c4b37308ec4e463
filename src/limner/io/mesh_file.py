"""How does a body leave as a mesh file? OBJ and PLY (posed) here, GLB (rigged) in `limner.io.glb_file`.

Files are y-up and right-handed in metres, as Blender, three.js and game engines expect; people stay where they stood
before the camera, which is at the origin and looks along -z.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from limner.geometry.mesh import vertex_normals
from limner.io.atomic import atomic_write, check_finite
from limner.io.frames import Y_UP_FROM_CAMERA, turn_points
from limner.io.glb_file import SkinMotion, SkinnedMesh, write_glb

__all__ = ["SkinMotion", "SkinnedMesh", "ply_bytes", "write_glb", "write_obj", "write_ply"]


def write_obj(
    path: str | Path,
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    uv: Float[Tensor, "U 2"] | None = None,
    uv_faces: Int[Tensor, "F 3"] | None = None,
) -> None:
    """Write a posed mesh as Wavefront OBJ, vertices in the given order, in steps of a micrometre.

    `vertices`: camera frame, metres. `uv` has its origin at the bottom left; `uv_faces` name the uv of every corner and
    may be left out where U = V. Raises OutputError.
    """
    check_finite(path, vertices=vertices)
    corners = faces.cpu().numpy() + 1
    text = ["# limner: metres, y up, the camera at the origin looking along -z\n"]
    text.append(_lines("v %.6f %.6f %.6f\n", turn_points(Y_UP_FROM_CAMERA, vertices).cpu().numpy()))
    if uv is None:
        text.append(_lines("f %d %d %d\n", corners))
    else:
        text.append(_lines("vt %.6f %.6f\n", uv.cpu().numpy()))
        uv_corners = corners if uv_faces is None else uv_faces.cpu().numpy() + 1
        text.append(_lines("f %d/%d %d/%d %d/%d\n", np.stack([corners, uv_corners], -1).reshape(-1, 6)))
    with atomic_write(path) as file:
        file.write("".join(text).encode())


def _lines(line: str, rows: np.ndarray) -> str:
    """A line of text for each row of numbers, formatted all at once (`savetxt` takes four times as long)."""
    return (line * len(rows)) % tuple(rows.ravel().tolist())


def write_ply(
    path: str | Path,
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    vertex_colors: Float[Tensor, "V 3"] | None = None,
) -> None:
    """Write a posed mesh as binary PLY (float32) with smooth normals, vertices in the given order.

    `vertices`: camera frame, metres; `vertex_colors`: sRGB in [0, 1]. Raises OutputError.
    """
    check_finite(path, vertices=vertices)
    points = turn_points(Y_UP_FROM_CAMERA, vertices)
    colors = None if vertex_colors is None else (vertex_colors.clamp(0, 1) * 255).round().byte()
    content = ply_bytes(points, faces, vertex_normals(points[None], faces)[0], colors)
    with atomic_write(path) as file:
        file.write(content)


def ply_bytes(
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    normals: Float[Tensor, "V 3"] | None = None,
    colors: UInt8[Tensor, "V 3"] | None = None,
) -> bytes:
    """A binary little-endian PLY file (Turk 1994) of a mesh, numbers as given, float32."""
    columns = [(name, "<f4", vertices[:, i]) for i, name in enumerate("xyz")]
    if normals is not None:
        columns += [(f"n{name}", "<f4", normals[:, i]) for i, name in enumerate("xyz")]
    if colors is not None:
        columns += [(name, "u1", colors[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    rows = np.zeros(len(vertices), [(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        rows[name] = values.cpu().numpy()
    corners = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    corners["count"], corners["corners"] = 3, faces.cpu().numpy()
    lines = ["ply", "format binary_little_endian 1.0", "comment limner", f"element vertex {len(vertices)}"]
    lines += [f"property {'float' if kind == '<f4' else 'uchar'} {name}" for name, kind, _ in columns]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode() + rows.tobytes() + corners.tobytes()
