"""Which colour, gloss and relief does a spot of a dressed person have?"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, normalize

from limner.synth.appearance import LAYERS, WORN, Looks
from limner.synth.chart import FIELD, BodyChart
from limner.synth.loose import LOOSE, LooseKit

_CELLS = 192
# Noise is two-dimensional; places on the surface are projected onto it along an odd direction, another for each use,
# so that no part of the body runs along it.
_PROJECTION = ((0.82, 0.31), (-0.27, 0.91), (0.58, 0.44))


@dataclass(frozen=True)
class Surface:
    """N spots: albedo "N 3" (linear), gloss "N" strength and sharpness "N" of the highlight, relief "N 3" to add to
    the normal, softness "N" (1: skin, light bleeds into the shade)."""

    albedo: Float[Tensor, "N 3"]
    gloss: Float[Tensor, "N"]
    sharpness: Float[Tensor, "N"]
    relief: Float[Tensor, "N 3"]
    softness: Float[Tensor, "N"]


@dataclass(frozen=True)
class Drape:
    """Clothes and hair on the vertices of B people: how deep inside each garment and the hair a vertex is (metres,
    negative outside; "B W G+1", hair last), and how far the cloth or hair on top stands off the skin ("B V").

    The W vertices are the body's V and those of the loose pieces."""

    depth: Float[Tensor, "B W G1"]
    offset: Float[Tensor, "B V"]

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Drape":
        return Drape(self.depth[index], self.offset[index])


def rows_of(values: Tensor, sample: Int[Tensor, "N"]) -> Tensor:
    """Each spot's own row of what people have; the only row as it is, where there is one person (it broadcasts)."""
    return values if len(values) == 1 else values.index_select(0, sample)


def noise_image(generator: Generator) -> Float[Tensor, "1 3 C C"]:
    """Smooth random numbers of about unit variance, three at each place."""
    shape = (1, 3, _CELLS, _CELLS)
    return torch.randn(shape, generator=generator, device=generator.device).clamp(-2, 2) * 1.4


def noise_at(image: Tensor, places: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Noise at places in cells of the image (it repeats, mirrored)."""
    return noise_on(image, places @ places.new_tensor(_PROJECTION))


def noise_on(image: Tensor, places: Float[Tensor, "N 2"]) -> Float[Tensor, "N 3"]:
    """As `noise_at`, for places on a plane."""
    grid = places * (2 / _CELLS)
    return grid_sample(image, grid[None, None], padding_mode="reflection", align_corners=False)[0, :, 0].mT


def garment_depth(
    place: Float[Tensor, "V 3"], edges: Float[Tensor, "B G 7"], chart: BodyChart
) -> Float[Tensor, "B V G"]:
    """How far inside each garment each T-pose place is (metres along the body; negative outside)."""
    x, y, z = place[:, 0:1].abs(), place[:, 1:2], place[:, 2:3]
    top, bottom, start, end, neck, v_neck, opening = edges[:, None].unbind(-1)
    root = chart.at("neck")
    from_neck = ((place - root) * place.new_tensor([0.9, 1.0, 0.9])).norm(dim=-1, keepdim=True)
    depth = torch.minimum(torch.minimum(top - y, y - bottom), torch.minimum(x - start, end - x))
    depth = torch.minimum(depth, from_neck - neck)
    below_v = (v_neck + 1.6 * x - y) * 0.53
    return torch.where(z > root[2], torch.minimum(depth, torch.minimum(below_v, x - opening)), depth)


def hair_depth(place: Float[Tensor, "V 3"], line: Float[Tensor, "B 4"], chart: BodyChart) -> Float[Tensor, "B V"]:
    """How far inside the hairline each T-pose place of the head is (metres; negative outside).

    The line starts at the forehead and falls backwards to the nape; temples are higher or lower than the middle.
    """
    x, y, z = place[:, 0].abs(), place[:, 1], place[:, 2]
    forehead, slope, recess, long = line[:, None].unbind(-1)
    behind = (chart.at("left_eye_smplx")[2] - z).clamp_min(0)
    fall = (slope * (behind - 0.03).clamp_min(0)).clamp_max(0.15)
    temples = recess * (x - 0.02).clamp(0, 0.03) * (1 - behind / 0.08).clamp(0, 1)
    return y - (forehead + temples - fall - long * torch.sigmoid((behind - 0.085) / 0.006))


def smooth_step(value: Tensor, width: float) -> Tensor:
    """0 below 0, 1 above `width`, smooth between."""
    share = (value * (1 / width)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def drape(chart: BodyChart, kit: LooseKit, looks: Looks, noise: Tensor) -> Drape:
    """Put the clothes and the hair on."""
    count, vertices = len(looks), len(chart.fields)
    place = chart.fields[:, :3]
    depth = garment_depth(place, looks.edges, chart)
    head = chart.fields[:, FIELD["head"]] > 0.5
    depth = torch.where(head[:, None], -1.0, depth)
    folds = noise_at(noise, (place[None] / 0.05 + looks.offset[:, None] * 60).flatten(0, 1))[:, 0].view(count, vertices)
    worn = (looks.thickness[:, None] * smooth_step(depth + 0.004, 0.012)).amax(-1)
    worn = worn * (1 + 0.35 * folds.clamp(-1, 1) * smooth_step(worn - 0.005, 0.01))
    bare = (chart.fields[:, FIELD["ears"]] > 0.5) | (chart.fields[:, FIELD["eyes"]] > 0.5)
    hair = torch.where(head & ~bare, hair_depth(place, looks.hair_line, chart), -1.0)
    volume = smooth_step(hair, 0.03) * looks.hair_volume[:, None] * (1 + 0.25 * folds.clamp(-1, 1))
    offset = torch.maximum(worn, volume * (looks.hair_strength[:, None] > 0.5))
    nowhere = depth.new_full((count, vertices, len(LAYERS) - len(WORN)), -1.0)
    on_body = torch.cat([depth, nowhere, hair[..., None]], -1)
    channel = torch.tensor([len(LAYERS) if p == "hair" else LAYERS.index(p) for p in LOOSE], device=depth.device)
    loose = torch.nn.functional.one_hot(channel[kit.piece], len(LAYERS) + 1) * 1.05 - 1.0
    return Drape(torch.cat([on_body, loose.to(depth.dtype).expand(count, -1, -1)], 1), offset)


def paint(
    field: Float[Tensor, "N F"],
    unrolled: Float[Tensor, "N 2"],
    depth: Float[Tensor, "N G1"],
    sample: Int[Tensor, "N"],
    looks: Looks,
    chart: BodyChart,
    noise: Tensor,
) -> Surface:
    """Colours at N spots, given the chart's fields, the place on the unrolled skin and the drape's depth there, and
    which person each belongs to."""
    place = field[:, :3]
    offset = rows_of(looks.offset, sample) * 60
    coarse = noise_at(noise, place * (1 / 0.035) + offset)
    fine = noise_on(noise, unrolled * (1 / 0.0045) + offset[:, :2])
    worn = depth[:, :-1] > 0
    priority, layer = torch.where(worn, rows_of(looks.priority, sample), 0.0).max(-1)
    dressed = (priority > 0).nonzero()[:, 0]
    bare = (priority <= 0).nonzero()[:, 0]
    result = _skin(field[bare], depth[bare, -1], sample[bare], looks, chart, noise, coarse[bare], fine[bare])
    cloth = _cloth(
        field[dressed], sample[dressed], layer[dressed], depth[dressed], looks, chart, coarse[dressed], fine[dressed]
    )

    def join(a: Tensor, b: Tensor) -> Tensor:
        whole = a.new_empty(len(field), *a.shape[1:])
        return whole.index_copy_(0, bare, a).index_copy_(0, dressed, b)

    return Surface(
        join(result.albedo, cloth.albedo).clamp(0.003, 0.92),
        join(result.gloss, cloth.gloss),
        join(result.sharpness, cloth.sharpness),
        join(result.relief, cloth.relief),
        join(result.softness, cloth.softness),
    )


def _skin(
    field: Tensor,
    hair: Tensor,
    sample: Tensor,
    looks: Looks,
    chart: BodyChart,
    noise: Tensor,
    coarse: Tensor,
    fine: Tensor,
) -> Surface:
    """Bare skin; what only heads have is worked out for their spots alone."""
    skin = rows_of(looks.skin, sample)
    uneven = coarse[:, 0] * rows_of(looks.blotch, sample) + fine[:, 0] * 0.025
    red = field[:, FIELD["redness"]] * rows_of(looks.redness, sample)
    color = skin * (1 + uneven)[:, None] * (1 + red[:, None] * skin.new_tensor([0.10, -0.22, -0.18]))
    spots = smooth_step(fine[:, 1] - 1.0, 0.5) * rows_of(looks.freckles, sample)
    color = color * (1 - spots[:, None] * skin.new_tensor([0.25, 0.4, 0.5]))
    nails = smooth_step(field[:, FIELD["nails"]] - 0.2, 0.5)
    color = torch.lerp(color, rows_of(looks.nails, sample), nails[:, None])
    gloss = rows_of(looks.oil, sample) * 0.35 + nails * 0.8
    surface = Surface(
        color, gloss, torch.full_like(gloss, 18.0), fine * 0.05 + coarse * 0.03, torch.ones_like(gloss)
    )
    heads = (field[:, FIELD["head"]] > 0.01).nonzero()[:, 0]
    return _head(surface, heads, field[heads], hair[heads], sample[heads], looks, chart, noise, fine[heads])


def _head(
    surface: Surface,
    rows: Tensor,
    field: Tensor,
    hair: Tensor,
    sample: Tensor,
    looks: Looks,
    chart: BodyChart,
    noise: Tensor,
    fine: Tensor,
) -> Surface:
    """The surface with faces and hair painted at `rows`, whose fields are given."""
    color, gloss = _face(surface.albedo[rows], surface.gloss[rows], field, sample, looks, fine)
    relief, sharpness = surface.relief[rows], surface.sharpness[rows]
    color, cover, bump = _hair(color, field, hair, sample, looks, noise)
    is_hair = cover > 0.5
    relief = torch.where(is_hair[:, None], bump, relief)
    gloss = torch.where(is_hair, 0.25, gloss)
    color, on_eye = _eyes(color, field, sample, looks, chart)
    gloss = torch.where(on_eye, 1.8, gloss)
    return Surface(
        surface.albedo.index_copy(0, rows, color),
        surface.gloss.index_copy(0, rows, gloss),
        surface.sharpness.index_copy(0, rows, torch.where(on_eye, 260.0, sharpness)),
        surface.relief.index_copy(0, rows, torch.where(on_eye[:, None], 0.0, relief)),
        surface.softness.index_copy(0, rows, (~(on_eye | is_hair)).to(gloss.dtype)),
    )


def _face(
    color: Tensor, gloss: Tensor, field: Tensor, sample: Tensor, looks: Looks, fine: Tensor
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """Lips, brows, lids, lashes, beard and the inside of the mouth."""
    dark = rows_of(looks.brow, sample)
    hairy = (0.65 + 0.35 * fine[:, 2]).clamp(0.1, 1)
    beard = field[:, FIELD["beard"]] * rows_of(looks.beard, sample) * hairy
    color = torch.lerp(color, dark, beard[:, None] * 0.9)
    lips = smooth_step(field[:, FIELD["lips"]] - 0.25, 0.5)
    painted = rows_of(looks.lips, sample) * (1 + 0.08 * fine[:, 0:1])
    color = torch.lerp(color, painted, lips[:, None])
    width = rows_of(looks.brow_width, sample)
    brow = 1 - smooth_step(field[:, FIELD["brow"]] - width * 0.6, 0.0025)
    brow = brow * rows_of(looks.brow_strength, sample) * hairy.clamp_min(0.4)
    color = torch.lerp(color, dark, brow[:, None])
    near = field[:, FIELD["lashes"]]
    lid = 1 - smooth_step(near - 0.003, 0.006)
    color = torch.lerp(color, rows_of(looks.shadow, sample), lid[:, None] * 0.7)
    lash = (1 - smooth_step(near - 0.0002, 0.0013)) * rows_of(looks.lashes, sample)
    color = color * (1 - 0.85 * lash[:, None])
    inside = field[:, FIELD["mouth"], None]
    tongue = color.new_tensor([0.25, 0.06, 0.05]).expand_as(color)
    teeth = smooth_step(field[:, FIELD["teeth"]] - 0.4, 0.3)[:, None]
    color = torch.lerp(color, tongue, inside)
    return torch.lerp(color, color.new_tensor([0.62, 0.58, 0.50]).expand_as(color), teeth), gloss + lips * 0.5


def _hair(
    albedo: Tensor, field: Tensor, hair: Tensor, sample: Tensor, looks: Looks, noise: Tensor
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"], Float[Tensor, "N 3"]]:
    """Hair in strands that run down: colours, how much is hair, and relief."""
    place = field[:, :3]
    offset = rows_of(looks.offset, sample) * 60
    strands = noise_at(noise, place * place.new_tensor([420.0, 60.0, 420.0]) + offset)
    locks = noise_at(noise, place * place.new_tensor([110.0, 22.0, 110.0]) + offset)
    depth = hair + 0.004 * strands[:, 1] + 0.003 * locks[:, 1]
    cover = smooth_step(depth + 0.004, 0.010) * rows_of(looks.hair_strength, sample)
    shade = (1 + 0.22 * strands[:, 0] + 0.22 * locks[:, 0]).clamp(0.25, 1.8)
    color = torch.lerp(albedo, rows_of(looks.hair, sample) * shade[:, None], cover[:, None])
    return color, cover, strands * 0.14 + locks * 0.16


def _eyes(
    albedo: Tensor, field: Tensor, sample: Tensor, looks: Looks, chart: BodyChart
) -> tuple[Float[Tensor, "N 3"], Tensor]:
    """Sclera, iris with a dark rim, pupil: rings about each eyeball's forward axis."""
    on_eye = field[:, FIELD["eyes"]] > 0.5
    rows = on_eye.nonzero()[:, 0]
    place, sample = field[rows, :3], sample[rows]
    left, right = chart.at("left_eye_smplx"), chart.at("right_eye_smplx")
    centre = torch.where(place[:, 0:1] > (left[0] + right[0]) / 2, left, right)
    outward = normalize(place - centre, dim=-1)
    angle = torch.atan2(outward[:, :2].norm(dim=-1), outward[:, 2])
    white = albedo.new_tensor([0.74, 0.68, 0.65]) * (1 - 0.35 * smooth_step(angle - 0.6, 0.7))[:, None]
    rays = 0.8 + 0.25 * torch.sin(torch.atan2(outward[:, 1], outward[:, 0]) * 23)
    iris = rows_of(looks.iris, sample) * (rays * (1 - 0.65 * smooth_step(angle - 0.38, 0.10)))[:, None]
    color = torch.lerp(iris, white, smooth_step(angle - 0.46, 0.06)[:, None])
    pupil = 1 - smooth_step(angle - rows_of(looks.pupil_rad, sample), 0.03)
    return albedo.index_copy(0, rows, color * (1 - 0.97 * pupil[:, None])), on_eye


def _cloth(
    field: Tensor,
    sample: Tensor,
    layer: Tensor,
    depth: Tensor,
    looks: Looks,
    chart: BodyChart,
    coarse: Tensor,
    fine: Tensor,
) -> Surface:
    """Garments on top: pattern, weave, hem, and the soles of shoes."""
    row = sample * len(LAYERS) + layer

    def of(values: Tensor) -> Tensor:
        return values.flatten(0, 1).index_select(0, row)

    share = _pattern(field, of(looks.pattern), of(looks.pattern_size), chart, coarse, fine)
    second = of(looks.color_b)
    color = torch.lerp(of(looks.color_a), second, share[:, None])
    hem = smooth_step(depth.gather(1, layer[:, None])[:, 0], 0.006)
    color = color * ((1 + 0.06 * fine[:, 0] + 0.05 * coarse[:, 0]) * (0.75 + 0.25 * hem))[:, None]
    sole = (layer == LAYERS.index("shoes")) & (field[:, 1] < chart.floor_y + 0.018)
    color = torch.where(sole[:, None], second, color)
    gloss = of(looks.gloss)
    relief = coarse * (of(looks.wrinkles) * 0.45)[:, None] + fine * 0.06
    return Surface(color, gloss, torch.full_like(gloss, 18.0), relief, torch.zeros_like(gloss))


def _pattern(
    field: Tensor, pattern: Tensor, size: Tensor, chart: BodyChart, coarse: Tensor, fine: Tensor
) -> Float[Tensor, "N"]:
    """Share of the second colour; see appearance.PATTERNS."""
    x, y, z = field[:, 0], field[:, 1], field[:, 2]
    shoulder = chart.at("left_shoulder")
    on_arm = (x.abs() > shoulder[0]) & (y > shoulder[1] - 0.16)
    turn = 2 * torch.pi / size
    a, b = torch.where(on_arm, x, y) * turn, torch.where(on_arm, y, x) * turn
    bands, stripes = torch.sigmoid(a.sin() * 8), torch.sigmoid(b.sin() * 8)
    patch = (x.abs() < 0.09) & ((y - shoulder[1] + 0.13).abs() < 0.08) & (z > 0)
    options = [
        torch.zeros_like(x),
        bands,
        stripes,
        (bands + stripes) / 2,
        smooth_step(coarse[:, 1] + 0.2, 0.3),
        patch * smooth_step(coarse[:, 2] + 0.1, 0.15),
        (0.3 + 0.3 * fine[:, 1]).clamp(0, 0.8),
        smooth_step(a.cos() + b.cos() - 1.1, 0.2),
    ]
    return torch.stack(options, -1).gather(1, pattern[:, None])[:, 0]
