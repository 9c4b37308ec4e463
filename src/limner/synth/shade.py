"""How bright is each spot of a person? Soft light, key lights with shadows, crevices and highlights."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from limner.render.raster import Fragments, rasterize
from limner.synth.chart import light_frames
from limner.synth.light import Panoramas, harmonics
from limner.synth.scene import Scene
from limner.synth.surface import Surface


@dataclass(frozen=True)
class Spots:
    """The N covered pixels of B images: which image, where on it, camera-frame position, normal (unit), openness."""

    pixel: Int[Tensor, "N"]
    sample: Int[Tensor, "N"]
    position: Float[Tensor, "N 3"]
    normal: Float[Tensor, "N 3"]
    openness: Float[Tensor, "N"]


def at_spots(values: Float[Tensor, "#B V C"], fragments: Fragments, sample: Int[Tensor, "N"]) -> Float[Tensor, "N C"]:
    """Vertex values at the covered pixels only (a batch of 1 serves all images)."""
    pixel = fragments.covered_pixels
    face = fragments.face.view(-1).index_select(0, pixel)
    weight = fragments.barycentric.view(-1, 3).index_select(0, pixel)
    flat = values.reshape(-1, values.shape[-1])
    offset = sample * values.shape[1] if values.shape[0] > 1 else torch.zeros_like(sample)
    result = torch.zeros(len(pixel), values.shape[-1], dtype=values.dtype, device=values.device)
    for corner in range(3):
        row = fragments.faces[:, corner].index_select(0, face) + offset
        result = result + flat.index_select(0, row) * weight[:, corner, None]
    return result


def crevices(fragments: Fragments, metre_px: Float[Tensor, "B"]) -> Float[Tensor, "B H W"]:
    """Darkening of pixels that lie behind their surroundings: unsharp masking of the depth (Luft et al., 2006).

    `metre_px` is how many pixels a metre takes at the person's depth. 1 is open, 0 is deep inside.
    """
    covered = fragments.covered
    far = torch.where(covered, fragments.depth, 0.0).flatten(1).amax(1)
    depth = torch.where(covered, fragments.depth, far[:, None, None] + 0.05)[:, None]
    result = torch.ones_like(depth)
    for radius, strength in ((3, 1.1), (9, 1.5)):
        around = _box_mean(depth, radius)
        behind = ((depth - around) * (metre_px / radius)[:, None, None, None]).clamp_min(0)
        # deep steps are outlines of things in front, not crevices: they do not darken what is far behind
        result = result * torch.exp(-strength * behind * torch.exp(-behind))
    return result[:, 0]


def _box_mean(images: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """Mean over squares of 2 radius + 1 pixels, rows first, then columns."""
    size = 2 * radius + 1
    rows = avg_pool2d(images, (1, size), 1, (0, radius), count_include_pad=False)
    return avg_pool2d(rows, (size, 1), 1, (radius, 0), count_include_pad=False)


def shadows(
    vertices: Float[Tensor, "B V 3"],
    faces: Int[Tensor, "F 3"],
    spots: Spots,
    toward: Float[Tensor, "B 3"],
    size: int,
) -> Float[Tensor, "N"]:
    """Share of a distant light, in direction `toward` (camera axes), that reaches each spot; edges are soft.

    The shadow map covers just what the image shows, so that fingers throw sharp shadows in a close-up.
    """
    count = len(vertices)
    frames = light_frames(toward)
    local = torch.einsum("nij,nj->ni", frames[spots.sample], spots.position)
    low = torch.full((count, 2), 1e6, device=local.device)
    index = spots.sample[:, None].expand(-1, 2)
    low = low.scatter_reduce(0, index, local[:, :2], "amin")
    high = (-low).scatter_reduce(0, index, local[:, :2], "amax")
    empty = (high < low).any(-1, keepdim=True)
    low, high = torch.where(empty, -1.0, low), torch.where(empty, 1.0, high)
    middle, half = (low + high) / 2, ((high - low) / 2).amax(-1, keepdim=True) * 1.03 + 1e-3
    lit = vertices @ frames.mT
    pixels = ((lit[..., :2] - middle[:, None]) / half[:, None] + 1) * (size / 2)
    depth = rasterize(torch.cat([pixels, lit[..., 2:]], -1), faces, size, size, perspective=False).depth
    texel = 2 * half[:, 0] / size
    # first where the light hits, then how far in front of the spot: far blockers (1.5 texels away) count as shadow
    bias = (0.003 + 1.6 * texel)[spots.sample]
    unit = ((local[:, :2] - middle[spots.sample]) / half[spots.sample] + 1) * (size / 2)
    depth = depth.clamp_max(1e3).view(-1)
    reached = torch.zeros_like(bias)
    for dx, dy in ((-0.9, -0.3), (0.3, -0.9), (0.9, 0.3), (-0.3, 0.9)):
        column = (unit[:, 0] + dx * 1.4).clamp(0, size - 1).long()
        row = (unit[:, 1] + dy * 1.4).clamp(0, size - 1).long()
        blocker = depth.index_select(0, (spots.sample * size + row) * size + column)
        reached = reached + ((blocker - local[:, 2] + bias) / bias + 1).clamp(0, 1)
    return reached / 4


def light_up(
    spots: Spots, surface: Surface, scene: Scene, panoramas: Panoramas, shadow: Float[Tensor, "N"]
) -> Float[Tensor, "N 3"]:
    """Light that leaves each spot towards the camera (linear)."""
    s = spots.sample
    normal = normalize(spots.normal + surface.relief, dim=-1)
    basis = harmonics(torch.einsum("nij,nj->ni", scene.pano_from_camera[s], normal))
    ambient = panoramas.ambient[scene.panorama] * scene.ambient[:, None, None]
    soft = torch.einsum("nk,nkc->nc", basis, ambient[s]).clamp_min(0.01)
    # crevices of skin glow a little in the skin's own colour
    open_ = spots.openness[:, None]
    open_ = open_ ** torch.lerp(torch.ones_like(surface.albedo), 1 - 0.6 * surface.albedo, surface.softness[:, None])
    light = soft * open_
    view = -normalize(spots.position, dim=-1)
    shine = torch.zeros_like(light)
    bleed = surface.softness[:, None] * light.new_tensor([0.28, 0.12, 0.08])
    for k in range(scene.key_direction.shape[1]):
        toward, color = scene.key_direction[s, k], scene.key_color[s, k]
        cosine = (normal * toward).sum(-1)
        reach = (shadow if k == 0 else torch.ones_like(shadow))[:, None]
        reach = reach * (0.4 + 0.6 * open_)
        diffuse = ((cosine[:, None] + bleed) / (1 + bleed)).clamp_min(0)
        light = light + color * diffuse * reach
        middle = normalize(toward + view, dim=-1)
        lobe = (normal * middle).sum(-1).clamp_min(0) ** surface.sharpness
        shine = shine + color * (lobe * (cosine > 0) * surface.gloss)[:, None] * reach * 0.25
    rim = (1 - (normal * view).sum(-1).clamp(0, 1)) ** 4
    shine = shine + soft * open_ * (rim * 0.10 + 0.012 * surface.gloss)[:, None]
    return surface.albedo * light + shine
