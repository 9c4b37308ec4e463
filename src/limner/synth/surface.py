"""Colour, gloss and relief of each spot of a dressed person."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.synth.appearance import LAYERS, Looks
from limner.synth.chart import FIELD, BodyChart
from limner.synth.drape import smooth_step
from limner.synth.noise import noise_at, noise_on


@dataclass(frozen=True)
class Surface:
    """N spots: albedo "3 N" (linear), gloss "N" strength and sharpness "N" of the highlight, relief "3 N" to add to
    the normal, softness "N" (1: skin, light bleeds into the shade)."""

    albedo: Float[Tensor, "3 N"]
    gloss: Float[Tensor, "N"]
    sharpness: Float[Tensor, "N"]
    relief: Float[Tensor, "3 N"]
    softness: Float[Tensor, "N"]


@dataclass(frozen=True)
class _Sites:
    """N spots to be painted: the chart's fields, the drape's depth, the person, broad and fine noise there."""

    field: Float[Tensor, "F N"]
    depth: Float[Tensor, "G1 N"]
    sample: Int[Tensor, "N"]
    coarse: Float[Tensor, "3 N"]
    fine: Float[Tensor, "3 N"]

    def at(self, name: str) -> Float[Tensor, "N"]:
        """One channel of the chart."""
        return self.field[FIELD[name]]

    def __getitem__(self, rows: Int[Tensor, "M"]) -> "_Sites":
        parts = (self.field, self.depth, self.sample, self.coarse, self.fine)
        field, depth, sample, coarse, fine = (part.index_select(-1, rows) for part in parts)
        return _Sites(field, depth, sample, coarse, fine)


def own(values: Float[Tensor, "B *k"], sample: Int[Tensor, "N"]) -> Float[Tensor, "*k M"]:
    """Each spot's own value of what B people have, spots last; of one person it is left to broadcast (M = 1).

    Spots lie last everywhere in shading: operations then run along memory.
    """
    if len(values) == 1:
        return values[0][..., None]
    return values.movedim(0, -1).index_select(-1, sample)


def length(vectors: Float[Tensor, "k N"]) -> Float[Tensor, "N"]:
    """Lengths of vectors that lie in columns."""
    return dot(vectors, vectors).sqrt()


def dot(a: Float[Tensor, "k N"], b: Float[Tensor, "k M"]) -> Float[Tensor, "N"]:
    """Products of columns with columns (one column serves all)."""
    return sum((x * y for x, y in zip(a[1:], b[1:], strict=True)), a[0] * b[0])


def paint(
    field: Float[Tensor, "F N"],
    unrolled: Float[Tensor, "2 N"],
    depth: Float[Tensor, "G1 N"],
    sample: Int[Tensor, "N"],
    looks: Looks,
    chart: BodyChart,
    noise: Float[Tensor, "1 3 C C"],
) -> Surface:
    """Colours at N spots, given the chart's fields, the place on the unrolled skin and the drape's depth there, and
    which person each belongs to."""
    offset = own(looks.offset, sample) * 60
    coarse = noise_at(noise, field[:3] * (1 / 0.035) + offset)
    fine = noise_on(noise, unrolled * (1 / 0.0045) + offset[:2])
    priority, layer = ((depth[:-1] > 0) * own(looks.priority, sample)).max(0)
    dressed, bare = (priority > 0).nonzero()[:, 0], (priority <= 0).nonzero()[:, 0]
    sites = _Sites(field, depth, sample, coarse, fine)
    skin = _skin(sites[bare], looks, chart, noise)
    cloth = _cloth(sites[dressed], layer[dressed], looks, chart)

    def join(a: Tensor, b: Tensor) -> Tensor:
        whole = a.new_empty(*a.shape[:-1], field.shape[1])
        return whole.index_copy_(-1, bare, a).index_copy_(-1, dressed, b)

    return Surface(
        join(skin.albedo, cloth.albedo).clamp(0.003, 0.92),
        join(skin.gloss, cloth.gloss),
        join(skin.sharpness, cloth.sharpness),
        join(skin.relief, cloth.relief),
        join(skin.softness, cloth.softness),
    )


def _color(like: Tensor, red: float, green: float, blue: float) -> Float[Tensor, "3 1"]:
    return like.new_tensor([[red], [green], [blue]])


def _skin(sites: _Sites, looks: Looks, chart: BodyChart, noise: Tensor) -> Surface:
    """Bare skin; what only heads have is worked out for their spots alone."""
    sample, coarse, fine = sites.sample, sites.coarse, sites.fine
    uneven = 1 + coarse[0] * own(looks.blotch, sample) + fine[0] * 0.025
    red = sites.at("redness") * own(looks.redness, sample)
    color = own(looks.skin, sample) * uneven * (1 + red * _color(fine, 0.10, -0.22, -0.18))
    spots = smooth_step(fine[1] - 1.0, 0.5) * own(looks.freckles, sample)
    color = color * (1 - spots * _color(fine, 0.25, 0.4, 0.5))
    nails = smooth_step(sites.at("nails") - 0.2, 0.5)
    color = _over(color, own(looks.nails, sample), nails)
    gloss = own(looks.oil, sample) * 0.35 + nails * 0.8
    relief = fine * 0.05 + coarse * 0.03
    whole = Surface(color, gloss, torch.full_like(gloss, 18.0), relief, torch.ones_like(gloss))
    rows = (sites.at("head") > 0.01).nonzero()[:, 0]
    if len(rows) == 0:
        return whole
    heads = _head(color[:, rows], gloss[rows], relief[:, rows], sites[rows], looks, chart, noise)
    return Surface(
        color.index_copy_(1, rows, heads.albedo),
        gloss.index_copy_(0, rows, heads.gloss),
        whole.sharpness.index_copy_(0, rows, heads.sharpness),
        relief.index_copy_(1, rows, heads.relief),
        whole.softness.index_copy_(0, rows, heads.softness),
    )


def _head(
    color: Tensor, gloss: Tensor, relief: Tensor, sites: _Sites, looks: Looks, chart: BodyChart, noise: Tensor
) -> Surface:
    """The skin of heads with faces and hair painted on."""
    color, gloss = _face(color, gloss, sites, looks)
    color, cover, bump = _hair(color, sites, looks, noise)
    is_hair = cover > 0.5
    color, on_eye = _eyes(color, sites, looks, chart)
    return Surface(
        color,
        torch.where(on_eye, 1.8, torch.where(is_hair, 0.25, gloss)),
        torch.where(on_eye, 260.0, 18.0),
        torch.where(on_eye, 0.0, torch.where(is_hair, bump, relief)),
        (~(on_eye | is_hair)).to(gloss.dtype),
    )


def _over(below: Float[Tensor, "3 N"], above: Float[Tensor, "3 M"], share: Float[Tensor, "N"]) -> Float[Tensor, "3 N"]:
    """One colour painted over another, covering it by a share."""
    return below + (above - below) * share


def _face(color: Tensor, gloss: Tensor, sites: _Sites, looks: Looks) -> tuple[Float[Tensor, "3 N"], Float[Tensor, "N"]]:
    """Lips, brows, lids, lashes, beard and the inside of the mouth."""
    sample, fine = sites.sample, sites.fine
    dark = own(looks.brow, sample)
    hairy = (0.65 + 0.35 * fine[2]).clamp(0.1, 1)
    color = _over(color, dark, sites.at("beard") * own(looks.beard, sample) * hairy * 0.9)
    lips = smooth_step(sites.at("lips") - 0.25, 0.5)
    color = _over(color, own(looks.lips, sample) * (1 + 0.08 * fine[0]), lips)
    brow = 1 - smooth_step(sites.at("brow") - own(looks.brow_width, sample) * 0.6, 0.0025)
    color = _over(color, dark, brow * own(looks.brow_strength, sample) * hairy.clamp_min(0.4))
    near = sites.at("lashes")
    lid = 1 - smooth_step(near - 0.003, 0.006)
    color = _over(color, own(looks.shadow, sample), lid * 0.7)
    lash = (1 - smooth_step(near - 0.0002, 0.0013)) * own(looks.lashes, sample)
    color = color * (1 - 0.85 * lash)
    color = _over(color, _color(color, 0.25, 0.06, 0.05), sites.at("mouth"))
    teeth = smooth_step(sites.at("teeth") - 0.4, 0.3)
    return _over(color, _color(color, 0.62, 0.58, 0.50), teeth), gloss + lips * 0.5


def _hair(
    albedo: Tensor, sites: _Sites, looks: Looks, noise: Tensor
) -> tuple[Float[Tensor, "3 N"], Float[Tensor, "N"], Float[Tensor, "3 N"]]:
    """Hair in strands that run down: colours, how much is hair, and relief."""
    sample, place = sites.sample, sites.field[:3]
    offset = own(looks.offset, sample) * 60
    strands = noise_at(noise, place * _color(place, 420.0, 60.0, 420.0) + offset)
    locks = noise_at(noise, place * _color(place, 110.0, 22.0, 110.0) + offset)
    depth = sites.depth[-1] + 0.004 * strands[1] + 0.003 * locks[1]
    cover = smooth_step(depth + 0.004, 0.010) * own(looks.hair_strength, sample)
    shade = (1 + 0.22 * strands[0] + 0.22 * locks[0]).clamp(0.25, 1.8)
    return _over(albedo, own(looks.hair, sample) * shade, cover), cover, strands * 0.14 + locks * 0.16


def _eyes(albedo: Tensor, sites: _Sites, looks: Looks, chart: BodyChart) -> tuple[Float[Tensor, "3 N"], Tensor]:
    """Sclera, iris with a dark rim, pupil: rings about each eyeball's forward axis."""
    on_eye = sites.at("eyes") > 0.5
    rows = on_eye.nonzero()[:, 0]
    place, sample = sites.field[:3, rows], sites.sample[rows]
    left, right = chart.at("left_eye_smplx")[:, None], chart.at("right_eye_smplx")[:, None]
    outward = place - torch.where(place[0] > (left[0] + right[0]) / 2, left, right)
    angle = torch.atan2(length(outward[:2]), outward[2])
    white = _color(albedo, 0.74, 0.68, 0.65) * (1 - 0.35 * smooth_step(angle - 0.6, 0.7))
    rays = 0.8 + 0.25 * torch.sin(torch.atan2(outward[1], outward[0]) * 23)
    iris = own(looks.iris, sample) * (rays * (1 - 0.65 * smooth_step(angle - 0.38, 0.10)))
    color = _over(iris, white, smooth_step(angle - 0.46, 0.06))
    pupil = 1 - smooth_step(angle - own(looks.pupil_rad, sample), 0.03)
    return albedo.index_copy(1, rows, color * (1 - 0.97 * pupil)), on_eye


def _cloth(sites: _Sites, layer: Int[Tensor, "N"], looks: Looks, chart: BodyChart) -> Surface:
    """Garments on top: pattern, weave, hem, and the soles of shoes."""
    coarse, fine = sites.coarse, sites.fine
    row = sites.sample * len(LAYERS) + layer

    def of(values: Tensor) -> Tensor:
        return values.flatten(0, 1).movedim(0, -1).index_select(-1, row)

    second = of(looks.color_b)
    color = _over(of(looks.color_a), second, _pattern(sites, of(looks.pattern), of(looks.pattern_size), chart))
    hem = smooth_step(sites.depth.gather(0, layer[None])[0], 0.006)
    color = color * ((1 + 0.06 * fine[0] + 0.05 * coarse[0]) * (0.75 + 0.25 * hem))
    sole = (layer == LAYERS.index("shoes")) & (sites.at("y") < chart.floor_y + 0.018)
    color = torch.where(sole, second, color)
    gloss = of(looks.gloss)
    relief = coarse * (of(looks.wrinkles) * 0.45) + fine * 0.06
    return Surface(color, gloss, torch.full_like(gloss, 18.0), relief, torch.zeros_like(gloss))


def _pattern(sites: _Sites, pattern: Tensor, size: Tensor, chart: BodyChart) -> Float[Tensor, "N"]:
    """Share of the second colour; see appearance.PATTERNS."""
    x, y, z = sites.field[:3]
    coarse, fine = sites.coarse, sites.fine
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
        smooth_step(coarse[1] + 0.2, 0.3),
        patch * smooth_step(coarse[2] + 0.1, 0.15),
        (0.3 + 0.3 * fine[1]).clamp(0, 0.8),
        smooth_step(a.cos() + b.cos() - 1.1, 0.2),
    ]
    return torch.stack(options).gather(0, pattern[None])[0]
