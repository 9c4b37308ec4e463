"""Which colour, gloss and relief does a spot of a dressed person have?"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, normalize

from limner.synth.appearance import LAYERS, Looks
from limner.synth.chart import FIELD, BodyChart

_CELLS = 24


@dataclass(frozen=True)
class Surface:
    """N spots: albedo "N 3" (linear), gloss "N" strength and sharpness "N" of the highlight, relief "N 3" to add to
    the normal, softness "N" (1: skin, light bleeds into the shade)."""

    albedo: Float[Tensor, "N 3"]
    gloss: Float[Tensor, "N"]
    sharpness: Float[Tensor, "N"]
    relief: Float[Tensor, "N 3"]
    softness: Float[Tensor, "N"]


def noise_volume(generator: Generator) -> Float[Tensor, "1 3 C C C"]:
    """Smooth random numbers of about unit variance in a cube, three at each place."""
    shape = (1, 3, _CELLS, _CELLS, _CELLS)
    return torch.randn(shape, generator=generator, device=generator.device).clamp(-2, 2) * 1.4


def noise_at(volume: Tensor, places: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Noise at places in cells of the volume (it repeats, mirrored)."""
    grid = (places * (2 / _CELLS)).view(1, 1, 1, -1, 3)
    return grid_sample(volume, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0, :, 0, 0].mT


def garment_depth(place: Float[Tensor, "N 3"], edges: Float[Tensor, "N G 7"], chart: BodyChart) -> Float[Tensor, "N G"]:
    """How far inside each garment a T-pose place is (metres along the body; negative outside)."""
    x, y, z = place[:, 0:1].abs(), place[:, 1:2], place[:, 2:3]
    top, bottom, start, end, neck, v_neck, opening = edges.unbind(-1)
    root = chart.at("neck")
    from_neck = ((place - root) * place.new_tensor([0.9, 1.0, 0.9])).norm(dim=-1, keepdim=True)
    depth = torch.minimum(torch.minimum(top - y, y - bottom), torch.minimum(x - start, end - x))
    depth = torch.minimum(depth, from_neck - neck)
    front = z > root[2]
    below_v = (v_neck + 1.6 * x - y) * 0.53
    depth = torch.where(front, torch.minimum(depth, torch.minimum(below_v, x - opening)), depth)
    return depth


def hair_depth(place: Float[Tensor, "*n 3"], line: Float[Tensor, "*n 4"], chart: BodyChart) -> Float[Tensor, "*n"]:
    """How far inside the hairline a T-pose place of the head is (metres; negative outside)."""
    x, y, z = place[..., 0].abs(), place[..., 1], place[..., 2]
    eye = chart.at("left_eye_smplx")
    forehead, slope, recess, long = line.unbind(-1)
    behind = (eye[2] - z).clamp_min(0)
    # the line starts at the forehead and falls backwards to the nape; temples are higher or lower than the middle
    fall = (slope * (behind - 0.03).clamp_min(0)).clamp_max(0.15)
    height = forehead + recess * (x - 0.02).clamp(0, 0.03) * (1 - behind / 0.08).clamp(0, 1) - fall - long * (behind > 0.085)
    return y - height


def _smooth_step(value: Tensor, width: float) -> Tensor:
    share = (value / width).clamp(0, 1)
    return share * share * (3 - 2 * share)


def cloth_offsets(
    chart: BodyChart, looks: Looks, volume: Tensor
) -> Float[Tensor, "B V"]:
    """How far clothes and hair stand off the skin at every vertex (metres)."""
    count, vertices = len(looks), len(chart.fields)
    place = chart.fields[:, :3]
    edges = looks.edges[:, None].expand(-1, vertices, -1, -1).flatten(0, 1)
    depth = garment_depth(place.repeat(count, 1), edges, chart).view(count, vertices, -1)
    folds = noise_at(volume, (place[None] / 0.05 + looks.offset[:, None] * 40).flatten(0, 1))[:, 0].view(count, vertices)
    thick = looks.thickness[:, None] * _smooth_step(depth + 0.004, 0.012)
    worn = thick.amax(-1)
    worn = worn * (1 + 0.35 * folds.clamp(-1, 1) * _smooth_step(worn - 0.005, 0.01))
    hair = hair_depth(place[None], looks.hair_line[:, None], chart)
    hair = _smooth_step(hair, 0.03) * looks.hair_volume[:, None] * (1 + 0.25 * folds.clamp(-1, 1))
    head = chart.fields[:, FIELD["head"]] > 0.5
    bald = (chart.fields[:, FIELD["ears"]] > 0.5) | (chart.fields[:, FIELD["eyes"]] > 0.5)
    on_head = (head & ~bald).to(hair.dtype) * looks.hair_strength[:, None]
    return torch.maximum(worn * ~head, hair * on_head)


def paint(
    field: Float[Tensor, "N F"], sample: Int[Tensor, "N"], looks: Looks, chart: BodyChart, volume: Tensor
) -> Surface:
    """Colours at N spots, given the chart's fields there and which person each belongs to."""
    place = field[:, :3]
    offset = looks.offset[sample] * 40
    coarse = noise_at(volume, place / 0.035 + offset)
    fine = noise_at(volume, place / 0.0045 + offset)
    albedo, gloss = _skin(field, sample, looks, coarse, fine)
    relief = fine * 0.05 + coarse * 0.03
    sharpness = torch.full_like(gloss, 18.0)
    softness = torch.ones_like(gloss)

    albedo, is_hair = _hair(albedo, field, sample, looks, chart, volume, offset)
    relief = torch.where(is_hair[:, None] > 0.5, fine * 0.18 + coarse * 0.12, relief)
    gloss = torch.where(is_hair > 0.5, 0.25, gloss)

    albedo, on_eye = _eyes(albedo, field, sample, looks, chart)
    gloss = torch.where(on_eye, 4.0, gloss)
    sharpness = torch.where(on_eye, 220.0, sharpness)
    relief = torch.where(on_eye[:, None], 0.0, relief)

    depth = garment_depth(place, looks.edges[sample], chart)
    depth = torch.where(field[:, FIELD["head"], None] > 0.5, -1.0, depth)
    worn, layer = torch.where(depth > 0, looks.priority[sample], 0.0).max(-1)
    dressed = worn > 0
    cloth = _cloth(field, sample, layer, depth, looks, chart, coarse, fine)
    albedo = torch.where(dressed[:, None], cloth, albedo)
    strength = looks.wrinkles[sample, layer][:, None]
    relief = torch.where(dressed[:, None], coarse * strength * 0.45 + fine * 0.06, relief)
    gloss = torch.where(dressed, looks.gloss[sample, layer], gloss)
    softness = torch.where(dressed | on_eye | (is_hair > 0.5), 0.0, softness)
    return Surface(albedo.clamp(0.003, 0.92), gloss, sharpness, relief, softness)


def _skin(
    field: Tensor, sample: Tensor, looks: Looks, coarse: Tensor, fine: Tensor
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """Bare skin with lips, nails, brows, lashes and beard."""
    skin = looks.skin[sample]
    uneven = coarse[:, 0:1] * looks.blotch[sample][:, None] + fine[:, 0:1] * 0.025
    red = field[:, FIELD["redness"], None] * looks.redness[sample][:, None]
    color = skin * (1 + uneven) * (1 + red * skin.new_tensor([0.10, -0.22, -0.18]))
    spots = _smooth_step(fine[:, 1:2] - 1.0, 0.5) * looks.freckles[sample][:, None]
    color = color * (1 - spots * skin.new_tensor([0.25, 0.4, 0.5]))
    gloss = looks.oil[sample] * 0.35

    hairy = (0.65 + 0.35 * fine[:, 2]).clamp(0.1, 1)
    beard = field[:, FIELD["beard"]] * looks.beard[sample] * hairy
    color = torch.lerp(color, looks.brow[sample], beard[:, None] * 0.9)
    lips = _smooth_step(field[:, FIELD["lips"]] - 0.25, 0.5)
    color = torch.lerp(color, looks.lips[sample] * (1 + 0.08 * fine[:, 0:1]), lips[:, None])
    nails = _smooth_step(field[:, FIELD["nails"]] - 0.2, 0.5)
    color = torch.lerp(color, looks.nails[sample], nails[:, None])
    gloss = gloss + lips * 0.5 + nails * 0.8

    brow = 1 - _smooth_step(field[:, FIELD["brow"]] - looks.brow_width[sample] * 0.6, 0.0025)
    color = torch.lerp(color, looks.brow[sample], (brow * looks.brow_strength[sample] * hairy.clamp_min(0.4))[:, None])
    near = field[:, FIELD["lashes"]]
    lid = 1 - _smooth_step(near - 0.003, 0.006)
    color = torch.lerp(color, looks.shadow[sample], lid[:, None] * 0.7)
    lash = (1 - _smooth_step(near - 0.0002, 0.0013)) * looks.lashes[sample]
    color = torch.lerp(color, color.new_tensor([0.012, 0.01, 0.009]).expand_as(color), lash[:, None] * 0.85)
    inside = field[:, FIELD["mouth"], None]
    return torch.lerp(color, color.new_tensor([0.25, 0.06, 0.05]).expand_as(color), inside), gloss


def _hair(
    albedo: Tensor, field: Tensor, sample: Tensor, looks: Looks, chart: BodyChart, volume: Tensor, offset: Tensor
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """Hair on the scalp, in strands that run down; returns colours and how much is hair."""
    place = field[:, :3]
    strands = noise_at(volume, place * place.new_tensor([420.0, 60.0, 420.0]) + offset)
    locks = noise_at(volume, place * place.new_tensor([110.0, 22.0, 110.0]) + offset)
    depth = hair_depth(place, looks.hair_line[sample], chart) + 0.004 * strands[:, 1] + 0.003 * locks[:, 1]
    head = (field[:, FIELD["head"]] > 0.5) & (field[:, FIELD["ears"]] < 0.5) & (field[:, FIELD["eyes"]] < 0.5)
    cover = _smooth_step(depth + 0.004, 0.010) * head * looks.hair_strength[sample]
    shade = (1 + 0.22 * strands[:, 0] + 0.22 * locks[:, 0]).clamp(0.25, 1.8)
    return torch.lerp(albedo, looks.hair[sample] * shade[:, None], cover[:, None]), cover


def _eyes(
    albedo: Tensor, field: Tensor, sample: Tensor, looks: Looks, chart: BodyChart
) -> tuple[Float[Tensor, "N 3"], Tensor]:
    """Sclera, iris with a dark rim, pupil: rings about each eyeball's forward axis."""
    on_eye = field[:, FIELD["eyes"]] > 0.5
    place = field[:, :3]
    left, right = chart.at("left_eye_smplx"), chart.at("right_eye_smplx")
    centre = torch.where(place[:, 0:1] > (left[0] + right[0]) / 2, left, right)
    outward = normalize(place - centre, dim=-1)
    angle = torch.atan2(outward[:, :2].norm(dim=-1), outward[:, 2])
    white = albedo.new_tensor([0.74, 0.68, 0.65]) * (1 - 0.35 * _smooth_step(angle - 0.6, 0.7))[:, None]
    rays = 0.8 + 0.25 * torch.sin(torch.atan2(outward[:, 1], outward[:, 0]) * 23)
    iris = looks.iris[sample] * (rays * (1 - 0.65 * _smooth_step(angle - 0.38, 0.10)))[:, None]
    color = torch.lerp(iris, white, _smooth_step(angle - 0.46, 0.06)[:, None])
    pupil = 1 - _smooth_step(angle - looks.pupil_rad[sample], 0.03)
    color = color * (1 - 0.97 * pupil[:, None])
    return torch.where(on_eye[:, None], color, albedo), on_eye


def _cloth(
    field: Tensor,
    sample: Tensor,
    layer: Tensor,
    depth: Tensor,
    looks: Looks,
    chart: BodyChart,
    coarse: Tensor,
    fine: Tensor,
) -> Float[Tensor, "N 3"]:
    """Colours of the garment on top: pattern, weave, hem, and the pale or dark soles of shoes."""
    x, y, z = field[:, 0], field[:, 1], field[:, 2]
    shoulder = chart.at("left_shoulder")
    on_arm = (x.abs() > shoulder[0]) & (y > shoulder[1] - 0.16)
    along = torch.where(on_arm, x.abs(), y)
    across = torch.where(on_arm, y, x)
    size = looks.pattern_size[sample, layer]
    a, b = along / size, across / size
    bands = _wave(a)
    stripes = _wave(b)
    checks = (bands + stripes) / 2
    blotches = _smooth_step(coarse[:, 1] + 0.2, 0.3)
    chest = shoulder[1] - 0.13
    patch = ((x.abs() < 0.09) & ((y - chest).abs() < 0.08) & (z > 0)).to(x.dtype)
    print_ = patch * _smooth_step(coarse[:, 2] + 0.1, 0.15)
    heather = (0.3 + 0.3 * fine[:, 1]).clamp(0, 0.8)
    dots = _smooth_step(torch.cos(2 * torch.pi * a) + torch.cos(2 * torch.pi * b) - 1.1, 0.2)
    options = torch.stack([torch.zeros_like(x), bands, stripes, checks, blotches, print_, heather, dots], -1)
    share = options.gather(1, looks.pattern[sample, layer][:, None])
    color = torch.lerp(looks.color_a[sample, layer], looks.color_b[sample, layer], share)
    color = color * (1 + 0.06 * fine[:, 0:1] + 0.05 * coarse[:, 0:1])
    hem = depth.gather(1, layer[:, None])
    color = color * (1 - 0.25 * (1 - _smooth_step(hem, 0.006)))
    sole = (layer == LAYERS.index("shoes")) & (y < chart.floor_y + 0.018)
    return torch.where(sole[:, None], looks.color_b[sample, layer], color)


def _wave(turns: Tensor) -> Tensor:
    """Soft-edged bands, half of each turn."""
    return torch.sigmoid(torch.sin(2 * torch.pi * turns) * 8)
