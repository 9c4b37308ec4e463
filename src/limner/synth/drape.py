"""Garments and hair laid onto the body's vertices."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.records import Rows
from limner.synth.appearance import LAYERS, WORN, Looks
from limner.synth.chart import FIELD, BodyChart
from limner.synth.loose import LOOSE, LooseKit
from limner.synth.noise import noise_at


@dataclass(frozen=True)
class Drape(Rows):
    """Clothes and hair on the vertices of B people: how deep inside each garment and the hair a vertex is (metres,
    negative outside; "B W G+1", hair last), and how far the cloth or hair on top stands off the skin ("B V").

    The W vertices are the body's V and those of the loose pieces."""

    depth: Float[Tensor, "B W G1"]
    offset: Float[Tensor, "B V"]


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
    spots = (place[None] / 0.05 + looks.offset[:, None] * 60).flatten(0, 1)
    folds = noise_at(noise, spots.mT)[0].view(count, vertices)
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
