"""Shading: the colour of a lit, softly shadowed surface. A small photo studio for overlays and figures."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from limner.geometry.mesh import vertex_normals
from limner.render.raster import depth_map


@dataclass(frozen=True)
class Studio:
    """Lights in camera axes (x right, y down, z into the scene; directions point TOWARDS the light) and a finish.

    Strengths are relative to a white surface: 1 makes it white where the light hits it squarely.
    """

    key_direction: tuple[float, float, float] = (-0.62, -0.62, -0.52)  # above the camera's left shoulder
    key: float = 0.88
    key_size: float = 0.25  # radius of the lamp over its distance: softness of shadows
    fill_direction: tuple[float, float, float] = (0.80, -0.10, -0.60)
    fill: float = 0.11
    sky: tuple[float, float, float] = (0.37, 0.38, 0.40)  # soft light from above
    ground: tuple[float, float, float] = (0.135, 0.125, 0.12)  # and what the floor throws back
    wrap: float = 0.15  # how far light reaches round the terminator
    gloss: float = 0.08
    shininess: float = 28.0
    rim: float = 0.10


STUDIO = Studio()
SKY_DIRECTIONS, LAMP_DIRECTIONS = 20, 8  # shadow maps for the surrounding light, and spread over the key lamp


def shade(
    albedo: Float[Tensor, "*S 3"],
    normals: Float[Tensor, "*S 3"],
    toward_camera: Float[Tensor, "*S 3"],
    sky: Float[Tensor, "*S"],
    key: Float[Tensor, "*S"],
    studio: Studio = STUDIO,
) -> Float[Tensor, "*S 3"]:
    """Colour of surface points: Lambert key and fill, hemispheric ambient, a soft highlight and a pale rim.

    Args:
        albedo: surface colour, sRGB in [0, 1] (as are the colours returned).
        normals, toward_camera: unit vectors in camera axes.
        sky, key: which share in [0, 1] of the surrounding and of the key light reaches each point, see `visibility`.
    """
    toward_key, toward_fill = (_direction(d, normals) for d in (studio.key_direction, studio.fill_direction))
    up = (1 - normals[..., 1:2]) / 2
    above, below = normals.new_tensor(studio.sky), normals.new_tensor(studio.ground)
    ambient = (below + (above - below) * up) * sky[..., None]

    def lambert(toward_light: Tensor) -> Tensor:
        return ((normals @ toward_light + studio.wrap) / (1 + studio.wrap)).clamp_min(0)

    key_light = studio.key * lambert(toward_key) * key
    light = ambient + (key_light + studio.fill * lambert(toward_fill) * sky)[..., None]
    highlight = (normals * normalize(toward_camera + toward_key, dim=-1)).sum(-1).clamp_min(0) ** studio.shininess
    facing = (normals * toward_camera).sum(-1).clamp(0, 1)
    extra = studio.gloss * highlight * key + studio.rim * (1 - facing) ** 3 * up[..., 0] * sky
    return srgb_from_linear(linear_from_srgb(albedo) * light + extra[..., None])


def _direction(direction: tuple[float, float, float], like: Tensor) -> Tensor:
    return normalize(like.new_tensor(direction), dim=0)


def linear_from_srgb(color: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """sRGB values in [0, 1] to amounts of light (IEC 61966-2-1)."""
    return torch.where(color <= 0.04045, color / 12.92, ((color.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Amounts of light to sRGB values, clipped to [0, 1]."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def vertex_colors(
    vertices: Float[Tensor, "B V 3"],
    faces: Int64[Tensor, "F 3"],
    albedo: Float[Tensor, "B V 3"],
    sky: Float[Tensor, "B V"] | None = None,
    studio: Studio = STUDIO,
) -> Float[Tensor, "B V 3"]:
    """Shaded sRGB colours of meshes of uniform or painted `albedo`, seen from the origin of their camera frame.

    sky: their `sky_light`, if it is at hand.
    """
    lamp = _direction(studio.key_direction, vertices) + studio.key_size * spread(LAMP_DIRECTIONS, vertices)
    key = visibility(vertices, faces, normalize(lamp, dim=-1)).mean(1)
    sky = sky_light(vertices, faces) if sky is None else sky
    toward_camera = normalize(-vertices, dim=-1)
    return shade(albedo, vertex_normals(vertices, faces), toward_camera, sky, _smooth(key, faces), studio)


def sky_light(vertices: Float[Tensor, "B V 3"], faces: Int64[Tensor, "F 3"]) -> Float[Tensor, "B V"]:
    """Share in [0, 1] of the surrounding light that reaches each vertex: nearly the same however a mesh is turned."""
    around = spread(SKY_DIRECTIONS, vertices)
    cosine = torch.einsum("dj,bvj->bdv", around, vertex_normals(vertices, faces)).clamp_min(0)
    reached = visibility(vertices, faces, around)
    return _smooth((reached * cosine).sum(1) / cosine.sum(1).clamp_min(1e-6), faces)


@torch.no_grad()
def visibility(
    vertices: Float[Tensor, "B V 3"],
    faces: Int64[Tensor, "F 3"],
    toward: Float[Tensor, "D 3"],
    size: int = 128,
) -> Float[Tensor, "B D V"]:
    """1 where light from far away, from the directions `toward` (unit vectors), reaches a vertex past its own mesh.

    By shadow maps: the mesh is drawn, size x size pixels, from every direction. Only surfaces seen from behind enter
    the depth maps (Wang and Molnar 1994), so that a lit surface cannot shadow itself; whether a vertex
    faces the light is for the caller's cosine. 0 elsewhere.
    """
    low, high = vertices.amin(1, keepdim=True), vertices.amax(1, keepdim=True)
    radius = (high - low).norm(dim=-1, keepdim=True).clamp_min(1e-6) / 2
    unit = (vertices - (low + high) / 2) / radius
    turned = torch.einsum("dij,bvj->bdvi", _views(toward), unit).flatten(0, 1)
    views = torch.cat([(turned[..., :2] + 1) * (size / 2), turned[..., 2:]], -1)
    depth = depth_map(views, faces.flip(1), size, size, perspective=False, cull_back=True)
    pixel = views[..., :2].long().clamp(0, size - 1)
    nearest = depth.flatten(1).gather(1, pixel[..., 1] * size + pixel[..., 0])
    reached = views[..., 2] <= nearest + 1e-3
    return reached.view(len(vertices), len(toward), vertices.shape[1]).to(vertices.dtype)


def spread(count: int, like: Tensor) -> Float[Tensor, "D 3"]:
    """Unit vectors spread evenly over the sphere (Fibonacci lattice), on the device and in the type of `like`."""
    step = torch.arange(count, dtype=like.dtype, device=like.device) + 0.5
    height, turn = 1 - 2 * step / count, step * 2.399963  # the golden angle
    ring = (1 - height**2).sqrt()
    return torch.stack([ring * turn.cos(), height, ring * turn.sin()], -1)


def _views(toward: Float[Tensor, "D 3"]) -> Float[Tensor, "D 3 3"]:
    """Right-handed cameras (rows x right, y down, z into the scene) that look against the directions `toward`."""
    z = -toward
    helper = torch.eye(3, dtype=z.dtype, device=z.device)[z.abs().argmin(-1)]
    x = normalize(torch.linalg.cross(helper, z), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], 1)


def _smooth(values: Float[Tensor, "B V"], faces: Int64[Tensor, "F 3"]) -> Float[Tensor, "B V"]:
    """Mean over each vertex' triangles: takes the steps of single shadow edges out."""
    corners = faces.reshape(-1)
    means = values.index_select(1, corners).view(len(values), len(faces), 3).mean(-1).repeat_interleave(3, 1)
    total = torch.zeros_like(values).index_add_(1, corners, means)
    count = values.new_zeros(values.shape[1]).index_add_(0, corners, torch.ones_like(corners, dtype=values.dtype))
    return torch.where(count > 0, total / count.clamp_min(1), values)
