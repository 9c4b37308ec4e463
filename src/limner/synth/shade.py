"""The light on each spot of a person: soft light, key lights with shadows, crevices and highlights."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from limner.records import Rows
from limner.render.raster import Fragments, rasterize
from limner.synth.chart import light_frames
from limner.synth.scene import Scene
from limner.synth.surface import Surface, dot, own


@dataclass(frozen=True)
class Spots:
    """N seen spots of B people: which person, camera-frame position, normal (unit), openness to the surroundings, and
    soft light "3 N" that arrives there (irradiance / pi)."""

    sample: Int[Tensor, "N"]
    position: Float[Tensor, "3 N"]
    normal: Float[Tensor, "3 N"]
    openness: Float[Tensor, "N"]
    soft: Float[Tensor, "3 N"]


@dataclass(frozen=True)
class Corners:
    """The triangles behind N seen pixels: which image each is of, its three vertices' indices and weights, itself."""

    sample: Int[Tensor, "N"]
    index: Int[Tensor, "3 N"]
    weight: Float[Tensor, "3 N"]
    face: Int[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.sample)

    def part(self, rows: slice, image: int | None) -> "Corners":
        """Some of the pixels; all of one image if its number is given: it then counts as the only one."""
        sample = self.sample[rows] if image is None else torch.zeros_like(self.sample[rows])
        return Corners(sample, self.index[:, rows], self.weight[:, rows], self.face[rows])

    def mix_corners(self, values: Float[Tensor, "F 3 C"]) -> Float[Tensor, "C N"]:
        """Values of the triangles' own corners (texture coordinates, say) at the pixels."""
        found = values.flatten(1).index_select(0, self.face).mT.unflatten(0, (3, -1))
        return found[0] * self.weight[0] + found[1] * self.weight[1] + found[2] * self.weight[2]

    def mix(self, values: Float[Tensor, "#B V C"]) -> Float[Tensor, "C N"]:
        """Vertex values at the pixels (a batch of 1 serves all images)."""
        flat = values.reshape(-1, values.shape[-1])
        rows = self.index + self.sample * values.shape[1] if values.shape[0] > 1 else self.index
        result = flat.index_select(0, rows[0]).mT * self.weight[0]
        for corner in (1, 2):
            result = result.addcmul_(flat.index_select(0, rows[corner]).mT, self.weight[corner])
        return result.contiguous()


def corners_of(fragments: Fragments) -> Corners:
    """The triangles behind the covered pixels, in the order of `covered_pixels`."""
    face = fragments.triangle
    corners = fragments.faces.index_select(0, face).mT.contiguous()
    return Corners(fragments.samples, corners, fragments.weights.mT.contiguous(), face)


def crevices(fragments: Fragments, metre_px: Float[Tensor, "B"]) -> Float[Tensor, "B H W"]:
    """Darkening of pixels that lie behind their surroundings: unsharp masking of the depth (Luft et al., 2006).

    `metre_px` is how many pixels a metre takes at the person's depth. 1 is open, 0 is deep inside.
    """
    far = torch.where(fragments.covered, fragments.depth, 0.0).flatten(1).amax(1)
    depth = torch.minimum(fragments.depth, far[:, None, None] + 0.05)[:, None]
    half = avg_pool2d(depth, 2)
    result = torch.ones_like(half)
    for radius, strength in ((2, 1.1), (5, 1.5)):  # in pixels of the half-sized image
        around = _box_mean(half, radius)
        behind = ((half - around) * (0.5 * metre_px / radius)[:, None, None, None]).clamp_min(0)
        # deep steps are outlines of things in front, not crevices: they do not darken what is far behind
        result = result * torch.exp(-strength * behind * torch.exp(-behind))
    return interpolate(result, depth.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def _box_mean(images: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """Mean over squares of 2 radius + 1 pixels, rows first, then columns."""
    size = 2 * radius + 1
    rows = avg_pool2d(images, (1, size), 1, (0, radius), count_include_pad=False)
    return avg_pool2d(rows, (size, 1), 1, (radius, 0), count_include_pad=False)


@dataclass(frozen=True)
class ShadowMaps(Rows):
    """What a distant light sees of B people: depth "B M M" along its rays, and how camera-frame places get there."""

    frames: Float[Tensor, "B 3 3"]
    middle: Float[Tensor, "B 2"]
    half: Float[Tensor, "B 1"]
    depth: Float[Tensor, "B M M"]

    def reach(self, sample: Int[Tensor, "N"], position: Float[Tensor, "3 N"]) -> Float[Tensor, "N"]:
        """Share of the light that arrives at places of the given people; shadows have soft edges."""
        size = self.depth.shape[-1]
        frame = own(self.frames, sample)
        x, y, z = (dot(position, frame[axis]) for axis in range(3))
        middle, half = own(self.middle, sample), own(self.half, sample)[0]
        # a blocker counts from a little in front of the spot: map pixels are coarse
        nearness = 1 / (0.003 + 3.2 / size * half)
        scale = size / 2 / half
        x, y = (x - middle[0]) * scale + size / 2, (y - middle[1]) * scale + size / 2
        flat, start = self.depth.view(-1), sample * (size * size)
        behind = 2 - z * nearness
        reached = torch.zeros_like(z)
        for dx, dy in ((-1.3, -0.4), (0.4, -1.3), (1.3, 0.4), (-0.4, 1.3)):
            column = (x + dx).clamp(0, size - 1).long()
            row = (y + dy).clamp(0, size - 1).long()
            blocker = flat.index_select(0, start + row * size + column)
            reached = reached + (blocker * nearness + behind).clamp(0, 1)
        return reached / 4


def shadow_maps(
    vertices: Float[Tensor, "B V 3"],
    faces: Int[Tensor, "F 3"],
    corners: Corners,
    toward: Float[Tensor, "B 3"],
    size: int,
) -> ShadowMaps:
    """Shadow maps of lights in direction `toward` (camera axes).

    A map covers just what the image shows (`corners`), so that fingers throw sharp shadows in a close-up.
    """
    frames = light_frames(toward)
    lit = vertices @ frames.mT
    plane = lit[..., :2].reshape(-1, 2)
    seen = plane.index_select(0, corners.index[0] + corners.sample * vertices.shape[1])
    index = corners.sample[:, None].expand(-1, 2)
    low = torch.full_like(toward[:, :2], 1e6).scatter_reduce(0, index, seen, "amin")
    high = torch.full_like(toward[:, :2], -1e6).scatter_reduce(0, index, seen, "amax")
    empty = (high < low).any(-1, keepdim=True)
    low, high = torch.where(empty, -1.0, low), torch.where(empty, 1.0, high)
    middle, half = (low + high) / 2, ((high - low) / 2).amax(-1, keepdim=True) * 1.05 + 0.004
    pixels = ((lit[..., :2] - middle[:, None]) / half[:, None] + 1) * (size / 2)
    depth = rasterize(torch.cat([pixels, lit[..., 2:]], -1), faces, size, size, perspective=False).depth
    return ShadowMaps(frames, middle, half, depth.clamp_max(1e3))


def light_up(
    spots: Spots, surface: Surface, scene: Scene, up: Float[Tensor, "B 3"], shadow: Float[Tensor, "N"]
) -> Float[Tensor, "3 N"]:
    """Light that leaves each spot towards the camera (linear); `up`: where most of the soft light comes from."""
    s = spots.sample
    normal = unit(spots.normal + surface.relief)
    # relief turns the surface towards or away from the main soft light
    turn = dot(normal - spots.normal, own(up, s))
    soft = spots.soft * (1 + 0.7 * turn).clamp(0.3, 1.7)
    # crevices of skin glow a little in the skin's own colour
    open_ = spots.openness ** (1 - 0.6 * surface.albedo * surface.softness)
    soft = soft * open_
    view = -unit(spots.position)
    light, shine = soft, soft * ((1 - dot(normal, view).clamp(0, 1)) ** 4 * 0.10 + 0.012 * surface.gloss)
    bleed = surface.softness * open_.new_tensor([[0.28], [0.12], [0.08]])
    reach = 0.4 + 0.6 * open_
    for k in range(scene.key_direction.shape[1]):
        toward = own(scene.key_direction[:, k], s)
        color = own(scene.key_color[:, k], s) * (reach * shadow if k == 0 else reach)
        cosine = dot(normal, toward)
        light = light + color * ((cosine + bleed) / (1 + bleed)).clamp_min(0)
        lobe = dot(normal, unit(toward + view)).clamp_min(0) ** surface.sharpness
        shine = shine + color * (lobe * (cosine > 0) * surface.gloss * 0.25)
    return surface.albedo * light + shine


def unit(vectors: Float[Tensor, "3 N"]) -> Float[Tensor, "3 N"]:
    """Columns brought to length 1."""
    return vectors * dot(vectors, vectors).clamp_min(1e-20).rsqrt()
