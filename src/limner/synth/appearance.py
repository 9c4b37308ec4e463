"""Random skin, hair, eyes and clothes as numbers."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from limner.records import Rows
from limner.synth.chance import coin, log_uniform, normal, uniform
from limner.synth.chart import BodyChart

WORN = ("socks", "lower", "upper", "jacket", "shoes", "gloves")
LAYERS = (*WORN, "skirt", "glasses", "held")
"""Garments that lie on the body, then loose pieces (see loose.py) that are meshes of their own."""
EDGES = ("top_y", "bottom_y", "start_x", "end_x", "neck", "v_neck", "open_x")
"""What bounds a garment in the T-pose (metres): between two heights, between two |x| (sleeves), outside of a sphere
about the neck's root, below a V in front, and open in front up to |x|. Unused edges are far away."""
_FAR = 9.0

PATTERNS = ("plain", "bands", "stripes", "checks", "blotches", "print", "heather", "dots")

_SKIN = (
    (246, 224, 208), (240, 206, 184), (230, 190, 163), (214, 168, 137), (196, 146, 112), (174, 122, 88),
    (147, 98, 68), (117, 76, 51), (88, 56, 39), (62, 40, 30),
)  # fmt: skip
_HAIR = (
    (18, 15, 14), (26, 20, 17), (45, 31, 23), (70, 48, 33), (105, 76, 50), (150, 115, 74), (196, 162, 112),
    (222, 202, 168), (128, 62, 32), (120, 117, 114), (205, 204, 202),
)  # fmt: skip
_HAIR_WEIGHT = (4.0, 4.0, 4.0, 3.0, 2.0, 1.5, 1.5, 0.6, 0.8, 1.2, 1.0)
_IRIS = ((52, 33, 22), (74, 48, 30), (98, 70, 44), (104, 108, 72), (92, 118, 130), (110, 140, 165), (128, 132, 136))


@dataclass(frozen=True)
class Looks(Rows):
    """How B people look; colours are linear RGB, lengths metres. G layers in the order of LAYERS, of which the
    first W (WORN) have edges."""

    skin: Float[Tensor, "B 3"]
    blotch: Float[Tensor, "B"]
    redness: Float[Tensor, "B"]
    freckles: Float[Tensor, "B"]
    oil: Float[Tensor, "B"]
    lips: Float[Tensor, "B 3"]
    nails: Float[Tensor, "B 3"]
    brow: Float[Tensor, "B 3"]
    brow_width: Float[Tensor, "B"]
    brow_strength: Float[Tensor, "B"]
    lashes: Float[Tensor, "B"]
    shadow: Float[Tensor, "B 3"]
    iris: Float[Tensor, "B 3"]
    pupil_rad: Float[Tensor, "B"]
    hair: Float[Tensor, "B 3"]
    hair_line: Float[Tensor, "B 4"]
    hair_volume: Float[Tensor, "B"]
    hair_strength: Float[Tensor, "B"]
    beard: Float[Tensor, "B"]
    edges: Float[Tensor, "B W 7"]
    priority: Float[Tensor, "B G"]
    thickness: Float[Tensor, "B W"]
    wrinkles: Float[Tensor, "B G"]
    color_a: Float[Tensor, "B G 3"]
    color_b: Float[Tensor, "B G 3"]
    pattern: Int[Tensor, "B G"]
    pattern_size: Float[Tensor, "B G"]
    gloss: Float[Tensor, "B G"]
    offset: Float[Tensor, "B 3"]


def linear_from_srgb(srgb: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """sRGB values in [0, 1] to linear light."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _colors(rows: tuple[tuple[int, int, int], ...], device: torch.device) -> Float[Tensor, "N 3"]:
    return linear_from_srgb(torch.tensor(rows, dtype=torch.float32, device=device) / 255)


def sample_looks(chart: BodyChart, skirted: Bool[Tensor, "B"], generator: Generator) -> Looks:
    """Random people: skin, face, hair and clothes drawn independently, dark skin seldom with fair hair.

    Those `skirted` mostly wear no trousers under their skirt.
    """
    count = len(skirted)
    n = (count,)
    device = generator.device
    skin, tone = _skin(count, generator)
    hair = _hair_color(tone, count, generator)
    made_up = coin(generator, n, 0.25)
    lipstick = uniform(generator, (count, 3)) * skin.new_tensor([0.5, 0.08, 0.12]) + skin.new_tensor([0.15, 0.01, 0.02])
    natural = skin * skin.new_tensor([0.82, 0.55, 0.58]) * uniform(generator, (count, 1), 0.75, 1.05)
    painted = uniform(generator, (count, 3)) ** 2
    iris = _colors(_IRIS, device)
    dark_eyes = tone > 0.5
    choice = (uniform(generator, n) * torch.where(dark_eyes, 2.5, float(len(iris)))).long()
    garments = _garments(chart, skirted, generator)
    clear = (skin * 1.12 + skin.new_tensor([0.05, 0.03, 0.03])).clamp_max(0.9)
    return Looks(
        skin=skin,
        blotch=uniform(generator, n, 0.02, 0.10),
        redness=uniform(generator, n, 0.1, 0.9) * (1 - 0.6 * tone),
        freckles=uniform(generator, n, 0.1, 0.45) * coin(generator, n, 0.12) * (tone < 0.45),
        oil=uniform(generator, n, 0.2, 1.2),
        lips=torch.where((made_up & coin(generator, n, 0.7))[:, None], lipstick, natural),
        nails=torch.where(coin(generator, n, 0.15)[:, None], painted, clear),
        brow=hair * 0.55 + skin.new_tensor([0.01, 0.007, 0.005]),
        brow_width=uniform(generator, n, 0.0028, 0.0062),
        brow_strength=uniform(generator, n, 0.45, 0.95),
        lashes=torch.where(made_up, uniform(generator, n, 0.6, 1.0), uniform(generator, n, 0.15, 0.6)),
        shadow=skin * torch.where(made_up[:, None], uniform(generator, (count, 3), 0.35, 1.0), 0.92),
        iris=iris[choice.clamp_max(len(iris) - 1)] * uniform(generator, (count, 1), 0.6, 1.3),
        pupil_rad=uniform(generator, n, 0.14, 0.26),
        hair=hair,
        hair_line=_hair_lines(chart, count, generator),
        hair_volume=torch.where(coin(generator, n, 0.3), 0.002, uniform(generator, n, 0.006, 0.032)),
        hair_strength=torch.where(coin(generator, n, 0.08), uniform(generator, n, 0.0, 0.4), 1.0),
        beard=uniform(generator, n, 0.15, 0.95) * coin(generator, n, 0.25),
        offset=uniform(generator, (count, 3), -1, 1),
        **garments,
    )


def _skin(count: int, generator: Generator) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B"]]:
    """Skin colours and how dark they are (0 fair, 1 dark): evenly spread over the scale, a little off it."""
    table = _colors(_SKIN, generator.device)
    tone = uniform(generator, (count,))
    place = tone * (len(table) - 1.001)
    low = place.long()
    color = torch.lerp(table[low], table[low + 1], (place - low)[:, None])
    return (color * normal(generator, (count, 3), 0.05).exp()).clamp(0.005, 0.9), tone


def _hair_color(tone: Tensor, count: int, generator: Generator) -> Float[Tensor, "B 3"]:
    table = _colors(_HAIR, tone.device)
    weight = table.new_tensor(_HAIR_WEIGHT).expand(count, -1)
    dark = table.new_tensor([1.0, 1.0, 0.6, 0.2, 0.06, 0.04, 0.03, 0.03, 0.03, 0.5, 0.4])
    weight = torch.where((tone > 0.45)[:, None], weight * dark, weight)
    color = table[torch.multinomial(weight, 1, generator=generator)[:, 0]]
    dyed = coin(generator, (count, 1), 0.03)
    loud = uniform(generator, (count, 3), 0.02, 0.6)
    return torch.where(dyed, loud, color * normal(generator, (count, 1), 0.2).exp())


def _hair_lines(chart: BodyChart, count: int, generator: Generator) -> Float[Tensor, "B 4"]:
    """Hair lines as planes: height at the forehead, slope down to the nape, temple recess, length over the ears."""
    eye_y = float(chart.at("left_eye_smplx")[1])
    forehead = eye_y + uniform(generator, (count,), 0.042, 0.068)
    forehead = torch.where(coin(generator, (count,), 0.1), forehead + 0.04, forehead)  # receding
    slope = uniform(generator, (count,), 1.0, 2.2)
    recess = uniform(generator, (count,), -0.4, 0.5)
    long = coin(generator, (count,), 0.4) * uniform(generator, (count,), 0.02, 0.10)
    return torch.stack([forehead, slope, recess, long], -1)


def _garments(chart: BodyChart, skirted: Tensor, generator: Generator) -> dict[str, Tensor]:
    """Edges, colours and fabrics of all layers."""
    count = len(skirted)
    edges = torch.stack(
        [
            _socks(chart, count, generator), _lower(chart, skirted, generator), _upper(chart, count, generator),
            _jacket(chart, count, generator), _shoes(chart, count, generator), _gloves(chart, count, generator),
        ],
        1,
    )  # fmt: skip
    shape = (count, len(LAYERS))
    layer = {name: index for index, name in enumerate(LAYERS)}
    priority = edges.new_tensor([1.0, 3.0, 4.0, 6.0, 5.0, 7.0, 8.0, 8.0, 8.0]).repeat(count, 1)
    tucked = coin(generator, (count,), 0.3)
    priority[:, layer["upper"]] = torch.where(tucked, 2.0, 4.0)
    thickness = torch.stack(
        [
            torch.full((count,), 0.002, device=edges.device),
            log_uniform(generator, (count,), 0.003, 0.022),
            log_uniform(generator, (count,), 0.003, 0.020),
            uniform(generator, (count,), 0.014, 0.030),
            uniform(generator, (count,), 0.004, 0.010),
            uniform(generator, (count,), 0.001, 0.003),
        ],
        1,
    )
    loose = torch.nn.functional.pad((thickness / 0.02).clamp_max(1), (0, len(LAYERS) - len(WORN)))
    color_a, color_b = _fabric_colors(count, generator)
    patterned = edges.new_tensor([8.0, 1.0, 0.8, 0.7, 0.35, 1.4, 1.2, 0.4])
    pattern = torch.multinomial(patterned, count * len(LAYERS), replacement=True, generator=generator).view(shape)
    pattern[:, layer["shoes"]] = torch.where(coin(generator, (count,), 0.6), 0, pattern[:, layer["shoes"]])
    dress = coin(generator, (count,), 0.35)[:, None]
    for fabric in (color_a, color_b):
        fabric[:, layer["skirt"]] = torch.where(dress, fabric[:, layer["upper"]], fabric[:, layer["skirt"]])
    dark = coin(generator, (count,), 0.7)[:, None]
    color_a[:, layer["glasses"]] *= torch.where(dark, 0.08, 1.0)
    pattern[:, layer["glasses"]] = 0
    gloss = torch.where(coin(generator, shape, 0.12), uniform(generator, shape, 0.2, 0.8), 0.04)
    gloss[:, layer["glasses"]] = 1.0
    gloss[:, layer["held"]] = uniform(generator, (count,), 0.0, 1.0)
    return {
        "edges": edges,
        "priority": priority,
        "thickness": thickness,
        "wrinkles": uniform(generator, shape, 0.1, 0.45) + 0.25 * loose,
        "color_a": color_a,
        "color_b": color_b,
        "pattern": pattern,
        "pattern_size": log_uniform(generator, shape, 0.012, 0.14),
        "gloss": gloss,
    }


def _fabric_colors(count: int, generator: Generator) -> tuple[Float[Tensor, "B G 3"], Float[Tensor, "B G 3"]]:
    """Main and second colours: greys, blacks, whites and blues are commoner than loud colours."""
    shape = (count, len(LAYERS))

    def draw() -> Tensor:
        hue = uniform(generator, (*shape, 1))
        phase = hue.new_tensor([0.0, 1 / 3, 2 / 3])
        rainbow = (0.5 + 0.5 * torch.cos(2 * torch.pi * (hue - phase))).clamp_min(0.02)
        saturation = torch.where(coin(generator, (*shape, 1), 0.45), uniform(generator, (*shape, 1), 0, 0.15),
                                 uniform(generator, (*shape, 1), 0.2, 1.0))  # fmt: skip
        value = uniform(generator, (*shape, 1)) ** 1.7 * 0.82 + 0.012
        denim = coin(generator, (*shape, 1), 0.15)
        color = torch.lerp(torch.ones_like(rainbow), rainbow, saturation) * value
        blue = hue.new_tensor([0.06, 0.11, 0.22]) * uniform(generator, (*shape, 1), 0.3, 2.2)
        return torch.where(denim, blue, color).clamp(0.006, 0.88)

    return draw(), draw()


def _blank(count: int, device: torch.device) -> Float[Tensor, "B 7"]:
    """A garment that covers everything; edges are then drawn in."""
    return torch.tensor([_FAR, -_FAR, -_FAR, _FAR, -_FAR, _FAR, -_FAR], device=device).repeat(count, 1)


def _unless(worn: Tensor, edges: Tensor) -> Tensor:
    """Garments not worn cover nothing: their top is below the floor."""
    edges[:, 0] = torch.where(worn, edges[:, 0], -_FAR)
    return edges


def _between(low: float, high: float, share: Tensor) -> Tensor:
    return low + (high - low) * share


def _upper(chart: BodyChart, count: int, generator: Generator) -> Float[Tensor, "B 7"]:
    """T-shirts, long sleeves, tank tops, crop tops, long shirts and dresses; seldom nothing."""
    n = (count,)
    edges = _blank(count, generator.device)
    shoulder, elbow, wrist = (float(chart.at(f"left_{j}")[0]) for j in ("shoulder", "elbow", "wrist"))
    hip_y, knee_y, waist_y, ankle_y = (
        float(chart.at(name)[1]) for name in ("left_hip", "left_knee", "spine1", "left_ankle")
    )
    kind = uniform(generator, n)
    short = _between(shoulder + 0.05, elbow - 0.02, uniform(generator, n))
    long = _between(elbow + 0.05, wrist + 0.015, uniform(generator, n) ** 0.35)
    none = _between(shoulder * 0.62, shoulder + 0.03, uniform(generator, n))
    edges[:, 3] = torch.where(kind < 0.42, short, torch.where(kind < 0.80, long, none))
    hem = _between(hip_y - 0.10, waist_y + 0.02, uniform(generator, n))
    dress = _between(ankle_y + 0.1, hip_y - 0.12, uniform(generator, n) ** 0.6)
    cropped = _between(waist_y + 0.02, waist_y + 0.14, uniform(generator, n))
    which = uniform(generator, n)
    edges[:, 1] = torch.where(which < 0.1, dress, torch.where(which < 0.16, cropped, hem))
    edges[:, 0] = float(chart.at("neck")[1]) + uniform(generator, n, 0.01, 0.05)
    edges[:, 4] = uniform(generator, n, 0.06, 0.12)
    neck_y = float(chart.at("neck")[1])
    edges[:, 5] = torch.where(coin(generator, n, 0.3), neck_y - uniform(generator, n, 0.04, 0.20), _FAR)
    knee_long = (which < 0.1) & coin(generator, n, 0.6)
    edges[:, 1] = torch.where(knee_long, knee_y + uniform(generator, n, -0.05, 0.2), edges[:, 1])
    return _unless(coin(generator, n, 0.95), edges)


def _lower(chart: BodyChart, skirted: Tensor, generator: Generator) -> Float[Tensor, "B 7"]:
    """Trousers, shorts and briefs; under skirts mostly briefs."""
    count = len(skirted)
    n = (count,)
    edges = _blank(count, generator.device)
    hip_y, knee_y, ankle_y = (float(chart.at(f"left_{j}")[1]) for j in ("hip", "knee", "ankle"))
    waist_y = float(chart.at("spine1")[1])
    edges[:, 0] = _between(hip_y + 0.06, waist_y + 0.02, uniform(generator, n))
    kind = torch.where(skirted & coin(generator, n, 0.8), 1.0, uniform(generator, n))
    long = _between(ankle_y - 0.02, ankle_y + 0.10, uniform(generator, n))
    short = _between(knee_y - 0.06, hip_y - 0.14, uniform(generator, n))
    brief = _between(hip_y - 0.12, hip_y - 0.06, uniform(generator, n))
    edges[:, 1] = torch.where(kind < 0.62, long, torch.where(kind < 0.94, short, brief))
    return edges


def _jacket(chart: BodyChart, count: int, generator: Generator) -> Float[Tensor, "B 7"]:
    """Open or closed jackets and coats over the shirt."""
    n = (count,)
    edges = _blank(count, generator.device)
    hip_y, knee_y = float(chart.at("left_hip")[1]), float(chart.at("left_knee")[1])
    edges[:, 1] = torch.where(
        coin(generator, n, 0.8), hip_y + uniform(generator, n, -0.12, 0.1), knee_y + uniform(generator, n, -0.1, 0.2)
    )
    edges[:, 3] = float(chart.at("left_wrist")[0]) + uniform(generator, n, -0.06, 0.02)
    edges[:, 0] = float(chart.at("neck")[1]) + uniform(generator, n, 0.02, 0.06)
    edges[:, 4] = uniform(generator, n, 0.065, 0.11)
    edges[:, 6] = torch.where(coin(generator, n, 0.6), uniform(generator, n, 0.0, 0.10), -_FAR)
    return _unless(coin(generator, n, 0.17), edges)


def _shoes(chart: BodyChart, count: int, generator: Generator) -> Float[Tensor, "B 7"]:
    n = (count,)
    edges = _blank(count, generator.device)
    ankle_y, knee_y = float(chart.at("left_ankle")[1]), float(chart.at("left_knee")[1])
    low = _between(chart.floor_y + 0.05, ankle_y + 0.02, uniform(generator, n))
    boots = _between(ankle_y + 0.05, knee_y - 0.05, uniform(generator, n))
    edges[:, 0] = torch.where(coin(generator, n, 0.85), low, boots)
    return _unless(coin(generator, n, 0.8), edges)


def _socks(chart: BodyChart, count: int, generator: Generator) -> Float[Tensor, "B 7"]:
    n = (count,)
    edges = _blank(count, generator.device)
    edges[:, 0] = float(chart.at("left_ankle")[1]) + uniform(generator, n, 0.0, 0.22)
    return _unless(coin(generator, n, 0.45), edges)


def _gloves(chart: BodyChart, count: int, generator: Generator) -> Float[Tensor, "B 7"]:
    n = (count,)
    edges = _blank(count, generator.device)
    edges[:, 2] = float(chart.at("left_wrist")[0]) + uniform(generator, n, -0.05, 0.03)
    return _unless(coin(generator, n, 0.025), edges)
