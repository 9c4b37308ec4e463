"""What hangs loose on people: skirts, long hair, glasses and things in hands, as small meshes of their own."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.body.skinning import blend, pose_joints
from limner.records import Rows
from limner.synth.chance import coin, log_uniform, uniform
from limner.synth.chart import FIELD, BodyChart

LOOSE = ("hair", "skirt", "glasses", "held")
_SKIRT_GRID, _HAIR_GRID, _HELD_GRID, _RIM = (10, 33), (14, 25), (9, 13), 17


@dataclass(frozen=True)
class Sheet:
    """A surface around the body in its T-pose: "R M" places, which body vertex each follows in shape, and its skin.

    rest "R M 3" metres; outward "R M 3" unit; nearest "R M"; weights and joints "R*M K" as in `skinning.blend`;
    height "R" of the rows.
    """

    rest: Float[Tensor, "R M 3"]
    outward: Float[Tensor, "R M 3"]
    nearest: Int[Tensor, "R M"]
    weights: Float[Tensor, "RM K"]
    joints: Int[Tensor, "RM K"]
    height: Float[Tensor, "R"]


@dataclass(frozen=True)
class LooseKit:
    """All loose things of a body model: the two sheets, the faces of all pieces (counted from 0), which piece of LOOSE
    each vertex belongs to, and the T-pose places "L 3" that their patterns are painted by."""

    skirt: Sheet
    hair: Sheet
    faces: Int[Tensor, "F 3"]
    piece: Int[Tensor, "L"]
    places: Float[Tensor, "L 3"]


@dataclass(frozen=True)
class LooseChoice(Rows):
    """What B people have: `on` "B 4" per piece of LOOSE, and its measures (metres, shares)."""

    on: Float[Tensor, "B 4"]
    skirt_length: Float[Tensor, "B"]
    skirt_flare: Float[Tensor, "B"]
    hair_length: Float[Tensor, "B"]
    hair_open: Float[Tensor, "B"]
    hair_volume: Float[Tensor, "B"]
    wave: Float[Tensor, "B 3"]
    glasses: Float[Tensor, "B 4"]
    held_half: Float[Tensor, "B 3"]
    held_power: Float[Tensor, "B"]
    held_right: Float[Tensor, "B"]


def make_kit(body_model: BodyModel, chart: BodyChart) -> LooseKit:
    """Measure the body for skirts and hair and put the faces of all pieces together."""
    skirt, hair = _skirt_sheet(body_model, chart), _hair_sheet(body_model, chart)
    counts = [_HAIR_GRID[0] * _HAIR_GRID[1], _SKIRT_GRID[0] * _SKIRT_GRID[1], 2 * (3 * _RIM + 1) + 12,
              _HELD_GRID[0] * _HELD_GRID[1]]  # fmt: skip
    parts = [_grid_faces(*_HAIR_GRID), _grid_faces(*_SKIRT_GRID), _glasses_faces(), _grid_faces(*_HELD_GRID)]
    starts = [sum(counts[:k]) for k in range(len(counts))]
    device = chart.fields.device
    faces = torch.cat([part + start for part, start in zip(parts, starts, strict=True)]).to(device)
    piece = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device)
    places = torch.cat(
        [
            _spread(hair.rest[None], _grid(_HAIR_GRID, 1.0, 1.0, 1, device)).flatten(1, 2)[0],
            _spread(skirt.rest[None], _grid(_SKIRT_GRID, 1.0, 1.0, 1, device)).flatten(1, 2)[0],
            torch.zeros(counts[2] + counts[3], 3, device=device),
        ]
    )
    return LooseKit(skirt, hair, faces, piece, places)


def loosened(chart: BodyChart, kit: LooseKit) -> BodyChart:
    """The chart of body and loose pieces together, to paint by."""
    count = len(kit.piece)
    extra = torch.zeros(count, chart.fields.shape[1], device=chart.fields.device)
    extra[:, :3] = kit.places
    extra[:, FIELD["head"]] = (kit.piece == LOOSE.index("hair")).to(extra.dtype)
    extra[:, FIELD["openness"]] = 0.9
    extra[:, FIELD["brow"]] = 0.05
    extra[:, FIELD["lashes"]] = 0.03
    corners = kit.places[kit.faces]
    flat = torch.stack([corners[..., 0] + 0.7 * corners[..., 2], corners[..., 1]], -1)
    return replace(chart, fields=torch.cat([chart.fields, extra]), unrolled=torch.cat([chart.unrolled, flat]))


def sample_loose(params: BodyParams, generator: Generator) -> LooseChoice:
    """Who wears a skirt, long hair or glasses, and whose half-closed hand holds something."""
    count = len(params)
    n = (count,)
    right = coin(generator, n, 0.5)
    hand = torch.where(right[:, None, None, None], params.right_hand_pose, params.left_hand_pose)
    grip = (torch.rad2deg(_angle(hand[:, 4])) > 25) & (torch.rad2deg(_angle(hand[:, 4])) < 75)
    grip &= (torch.rad2deg(_angle(hand[:, 3])) > 20) & (torch.rad2deg(_angle(hand[:, 3])) < 78)
    hair, skirt, glasses = (coin(generator, n, chance) for chance in (0.30, 0.14, 0.13))
    on = torch.stack([hair, skirt, glasses, grip & coin(generator, n, 0.4)], -1)
    flat = coin(generator, n, 0.35)
    radius, length = log_uniform(generator, n, 0.012, 0.042), log_uniform(generator, n, 0.03, 0.13)
    rod = torch.stack([radius, radius, length], -1)
    slab = torch.stack([length * 0.45, torch.full_like(radius, 0.005), length * 0.8], -1)
    size = torch.stack([uniform(generator, n, 0.019, 0.030), uniform(generator, n, 0.013, 0.026)], -1)
    return LooseChoice(
        on=on.to(params.betas.dtype),
        skirt_length=log_uniform(generator, n, 0.28, 0.85),
        skirt_flare=uniform(generator, n, 0.0, 0.16),
        hair_length=log_uniform(generator, n, 0.16, 0.6),
        hair_open=uniform(generator, n, 0.66, 1.0),
        hair_volume=uniform(generator, n, 0.006, 0.028),
        wave=uniform(generator, (count, 3)) * radius.new_tensor([0.007, 8.0, 6.0]) + radius.new_tensor([0.0, 3.0, 0.0]),
        glasses=torch.cat([size, uniform(generator, (count, 1), 2, 6), coin(generator, (count, 1), 0.3).float()], -1),
        held_half=torch.where(flat[:, None], slab, rod),
        held_power=torch.where(flat, 8.0, torch.where(coin(generator, n, 0.5), 2.0, 7.0)),
        held_right=right.to(params.betas.dtype),
    )


def _angle(rotation: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B"]:
    return torch.acos(((rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))


def loose_vertices(
    kit: LooseKit, choice: LooseChoice, body_model: BodyModel, params: BodyParams
) -> Float[Tensor, "B L 3"]:
    """Posed loose things (camera axes, metres, with `transl`); what a person does not have lies behind the camera."""
    rest = body_model.rest_joints(params)
    absolute, posed = pose_joints(params.full_pose(), rest)
    hair = _posed_hair(kit.hair, choice, body_model, params, rest, absolute, posed)
    skirt = _posed_skirt(kit.skirt, choice, body_model, params, rest, absolute, posed)
    glasses = _glasses(choice, rest, absolute, posed)
    held = _held(choice, rest, absolute, posed)
    vertices = torch.cat([hair, skirt, glasses, held], 1) + params.transl[:, None]
    present = choice.on[:, kit.piece] > 0.5
    return torch.where(present[..., None], vertices, -1.0)


def _grid_faces(rows: int, columns: int) -> Int[Tensor, "F 3"]:
    """Two triangles for each cell of a grid of vertices."""
    index = torch.arange(rows * columns).view(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return torch.cat([torch.stack([a, c, b], -1).view(-1, 3), torch.stack([b, c, d], -1).view(-1, 3)])


def _grid(
    shape: tuple[int, int], down: Tensor | float, across: Tensor | float, count: int, device: torch.device
) -> Float[Tensor, "B r m 2"]:
    """Where on a sheet the vertices of a piece lie: the first share `down` of its rows, the middle share of columns."""
    v = torch.linspace(0, 1, shape[0], device=device)[None, :, None]
    u = torch.linspace(-1, 1, shape[1], device=device)[None, None]
    down = down[:, None, None] if isinstance(down, Tensor) else down
    across = across[:, None, None] if isinstance(across, Tensor) else across
    return torch.stack([(u * across).expand(count, *shape), (v * down * 2 - 1).expand(count, *shape)], -1)


def _spread(sheet: Float[Tensor, "B R M 3"], grid: Float[Tensor, "B r m 2"]) -> Float[Tensor, "B r m 3"]:
    """Places of the sheet at grid positions, interpolated."""
    image = sheet.permute(0, 3, 1, 2)
    return grid_sample(image, grid, padding_mode="border", align_corners=True).permute(0, 2, 3, 1)


def _posed_sheet(
    sheet: Sheet,
    push: Float[Tensor, "B R M"],
    body_model: BodyModel,
    params: BodyParams,
    rest: Tensor,
    absolute: Tensor,
    posed: Tensor,
) -> Float[Tensor, "B R M 3"]:
    """The sheet pushed outwards, following the body's shape and pose."""
    nearest = sheet.nearest.flatten()
    basis = body_model.directions[: params.betas.shape[1], nearest]
    moved = torch.einsum("bs,snc->bnc", params.betas, basis).unflatten(1, sheet.nearest.shape)
    place = (sheet.rest + moved + push[..., None] * sheet.outward).flatten(1, 2)
    return blend(place, rest, absolute, posed, sheet.weights, sheet.joints).unflatten(1, sheet.nearest.shape)


def _posed_hair(
    sheet: Sheet, choice: LooseChoice, body_model: BodyModel, params: BodyParams, rest: Tensor, absolute: Tensor,
    posed: Tensor,
) -> Float[Tensor, "B L 3"]:  # fmt: skip
    rows, columns = sheet.nearest.shape
    turn = torch.linspace(-torch.pi, torch.pi, columns, device=rest.device)[None, None]
    depth = sheet.height[0] - sheet.height
    size, waves, phase = choice.wave.unbind(-1)
    angle = turn * waves[:, None, None] + phase[:, None, None] + depth[None, :, None] * 9
    locks = torch.sin(angle) * size[:, None, None]
    full = (depth / 0.06).clamp(0, 1)[None, :, None]
    push = choice.hair_volume[:, None, None] * (0.3 + 0.7 * full) + locks * full + 0.003
    whole = _posed_sheet(sheet, push, body_model, params, rest, absolute, posed)
    share = choice.hair_length / (sheet.height[0] - sheet.height[-1])
    grid = _grid(_HAIR_GRID, share.clamp(max=1), choice.hair_open, len(params), rest.device)
    return _spread(whole, grid).flatten(1, 2)


def _posed_skirt(
    sheet: Sheet, choice: LooseChoice, body_model: BodyModel, params: BodyParams, rest: Tensor, absolute: Tensor,
    posed: Tensor,
) -> Float[Tensor, "B L 3"]:  # fmt: skip
    rows, columns = sheet.nearest.shape
    turn = torch.linspace(-torch.pi, torch.pi, columns, device=rest.device)[None, None]
    depth = ((sheet.height[0] - sheet.height)[None] / choice.skirt_length[:, None]).clamp(0, 1.5)[..., None]
    size, waves, phase = choice.wave.unbind(-1)
    folds = torch.sin(turn * waves.round()[:, None, None] + phase[:, None, None]) * size[:, None, None] * 2.5
    push = 0.012 + depth * (choice.skirt_flare[:, None, None] + folds)
    whole = _posed_sheet(sheet, push, body_model, params, rest, absolute, posed)
    share = choice.skirt_length / (sheet.height[0] - sheet.height[-1])
    return _spread(whole, _grid(_SKIRT_GRID, share.clamp(max=1), 1.0, len(params), rest.device)).flatten(1, 2)


def _skirt_sheet(body_model: BodyModel, chart: BodyChart) -> Sheet:
    """A tube around hips and both legs, from above the hips to the ankles."""
    top, bottom = float(chart.at("left_hip")[1]) + 0.10, float(chart.at("left_ankle")[1]) + 0.04
    height = torch.linspace(top, bottom, 30, device=chart.fields.device)
    turn = torch.linspace(-torch.pi, torch.pi, 49, device=height.device)
    centre = chart.at("pelvis") * chart.joints.new_tensor([0.0, 0.0, 1.0])
    body = chart.fields[:, 0].abs() < 0.35
    radius = _hull(chart.fields[:, :3], body, centre, height, turn)
    # a skirt hangs from the widest place above
    radius = torch.maximum(radius, radius.cummax(0).values * 0.92)
    place, outward = _tube(centre, height, turn, radius)
    left = _follow(place, chart, chart.fields[:, 0] > 0.0, body_model.weights)
    right = _follow(place, chart, chart.fields[:, 0] < 0.0, body_model.weights)
    share = torch.sigmoid(place[..., 0] / 0.035)[..., None]
    weights = (left * share + right * (1 - share)).flatten(0, 1)
    # above the legs' parting the cloth stays with the pelvis rather than with one thigh
    hold = ((height - float(chart.at("left_hip")[1]) + 0.12) / 0.2).clamp(0, 1)[:, None].expand(place.shape[:2])
    weights = _towards(weights, hold.flatten(), "pelvis")
    return _sheet(place, outward, chart, weights, height)


def _hair_sheet(body_model: BodyModel, chart: BodyChart) -> Sheet:
    """Round the back and sides of the head and down the back; 0 is the back, +-1 (of pi) would be the face."""
    head = chart.fields[:, FIELD["head"]] > 0.5
    crown = float(chart.fields[head, 1].max())
    height = torch.linspace(crown - 0.035, float(chart.at("spine1")[1]), 40, device=chart.fields.device)
    turn = torch.linspace(-2.1, 2.1, 41, device=height.device)
    eyes = chart.at("left_eye_smplx")
    centre = chart.joints.new_tensor([0.0, 0.0, float(eyes[2]) - 0.085])
    skull = _hull(chart.fields[:, :3], head, centre, height, turn + torch.pi)
    skull = skull.cummax(0).values * 0.985  # hair falls straight from the widest place
    trunk = (chart.fields[:, 0].abs() < 0.17) & ~head
    back = _hull(chart.fields[:, :3], trunk, centre, height, turn + torch.pi)
    behind = (turn.abs() < 1.1)[None] & (back < 0.25)
    radius = torch.where(behind, torch.maximum(skull, back + 0.008), skull)
    place, outward = _tube(centre, height, turn + torch.pi, radius)
    weights = torch.zeros(place.shape[0] * place.shape[1], len(JOINT), device=place.device)
    weights[:, JOINT["spine3"]] = 1.0
    neck = float(chart.at("neck")[1])
    hold = ((height - neck + 0.06) / 0.12).clamp(0, 1)[:, None].expand(place.shape[:2]).flatten()
    return _sheet(place, outward, chart, _towards(weights, hold, "head"), height)


def _hull(
    points: Tensor, chosen: Tensor, centre: Tensor, height: Float[Tensor, "R"], turn: Float[Tensor, "M"]
) -> Float[Tensor, "R M"]:
    """Largest distance from a vertical axis, in each direction, of the points at about each height.

    The direction of angle 0 is +z, that of pi/2 is +x.
    """
    away = (points - centre)[chosen]
    direction = torch.stack([turn.sin(), turn.cos()], -1)
    reach = away[:, [0, 2]] @ direction.mT  # N M
    side = (away[:, [0, 2]] @ torch.stack([turn.cos(), -turn.sin()], -1).mT).abs()
    ahead = torch.where((reach > 0) & (side < 0.3 * reach + 0.012), reach, 0.0)
    near = (away[:, 1:2] - (height - centre[1])[None]).abs() < 0.016  # N R
    rows = [torch.where(near[:, r, None], ahead, 0.0).amax(0) for r in range(len(height))]
    radius = torch.stack(rows)
    smooth = torch.nn.functional.pad(radius[None, None], (1, 1, 1, 1), mode="replicate")
    return torch.maximum(radius, torch.nn.functional.avg_pool2d(smooth, 3, 1)[0, 0])


def _tube(centre: Tensor, height: Tensor, turn: Tensor, radius: Float[Tensor, "R M"]) -> tuple[Tensor, Tensor]:
    outward = torch.stack([turn.sin(), torch.zeros_like(turn), turn.cos()], -1)
    place = centre + outward[None] * radius[..., None]
    place = torch.cat([place[..., :1], height[:, None, None].expand(-1, len(turn), 1), place[..., 2:]], -1)
    return place, outward.expand(len(height), -1, -1)


def _nearest(place: Float[Tensor, "R M 3"], chart: BodyChart, chosen: Tensor) -> Int[Tensor, "R M"]:
    """The nearest of the chosen body vertices, arms left out."""
    points = torch.where((chosen & (chart.fields[:, 0].abs() < 0.3))[:, None], chart.fields[:, :3], 99.0)
    return torch.cdist(place.flatten(0, 1), points).argmin(-1).view(place.shape[:2])


def _follow(place: Tensor, chart: BodyChart, chosen: Tensor, weights: Tensor) -> Float[Tensor, "R M 55"]:
    return weights.to(place.dtype)[_nearest(place, chart, chosen)]


def _towards(weights: Float[Tensor, "N 55"], share: Float[Tensor, "N"], joint: str) -> Float[Tensor, "N 55"]:
    """Weights moved towards a joint by a share."""
    result = weights * (1 - share[:, None])
    result[:, JOINT[joint]] += share
    return result


def _sheet(place: Tensor, outward: Tensor, chart: BodyChart, weights: Tensor, height: Tensor) -> Sheet:
    everywhere = torch.ones(len(chart.fields), dtype=torch.bool, device=place.device)
    top = weights.topk(6, dim=-1)
    share = top.values / top.values.sum(-1, keepdim=True)
    return Sheet(place, outward, _nearest(place, chart, everywhere), share, top.indices, height)


def _glasses_faces() -> Int[Tensor, "F 3"]:
    """Two rims with their lenses (a fan about the centre), bridge and two temples."""
    faces: list[Tensor] = []
    ring = torch.arange(_RIM - 1)
    for side in (0, 1):
        outer = side * (3 * _RIM + 1)
        inner, lens, centre = outer + _RIM, outer + 2 * _RIM, outer + 3 * _RIM
        faces.append(torch.stack([outer + ring, inner + ring, outer + ring + 1], -1))
        faces.append(torch.stack([outer + ring + 1, inner + ring, inner + ring + 1], -1))
        faces.append(torch.stack([lens + ring, torch.full_like(ring, centre), lens + ring + 1], -1))
    start = 2 * (3 * _RIM + 1)
    quads = torch.tensor([[0, 1, 2], [2, 1, 3]])
    faces += [quads + start + 4 * k for k in range(3)]
    return torch.cat(faces)


def _glasses(choice: LooseChoice, rest: Tensor, absolute: Tensor, posed: Tensor) -> Float[Tensor, "B L 3"]:
    """Glasses before the eyes, rigid with the head. Clear lenses shrink to a point of the rim: they do not show."""
    width, height, power, dark = choice.glasses[:, :, None].unbind(1)
    angle = torch.linspace(0, 2 * torch.pi, _RIM, device=rest.device)[None]
    cos, sin = angle.cos(), angle.sin()
    shape = (cos.abs() ** power + sin.abs() ** power) ** (-1 / power)
    x, y = cos * shape * width, sin * shape * height
    flat = torch.zeros_like(x)
    outer = torch.stack([x, y, flat], -1)
    inner = outer * (1 - 0.0032 / width[..., None])
    eyes = torch.stack([rest[:, JOINT["left_eye_smplx"]], rest[:, JOINT["right_eye_smplx"]]], 1)
    centre = eyes + rest.new_tensor([[0.001, -0.002, 0.031], [-0.001, -0.002, 0.031]])
    point = inner[:, :1]
    disc = torch.where(dark[..., None] > 0.5, inner, point)
    middle = torch.where(dark[..., None] > 0.5, torch.zeros_like(point), point)
    parts = []
    for side in (0, 1):
        lens = torch.cat([outer, inner, disc, middle], 1) * rest.new_tensor([1.0 if side == 0 else -1.0, 1.0, 1.0])
        parts.append(lens + centre[:, side, None])
    thick = rest.new_tensor([0.0, 0.0016, 0.0])
    left, right = centre[:, 0], centre[:, 1]
    reach = torch.cat([width, flat[:, :1], flat[:, :1]], -1)
    bridge = [left - reach + thick, left - reach - thick, right + reach + thick, right + reach - thick]
    parts.append(torch.stack(bridge, 1))
    for sign, end in ((1.0, left), (-1.0, right)):
        hinge = end + reach * sign
        ear = hinge + rest.new_tensor([0.012 * sign, 0.004, -0.105])
        parts.append(torch.stack([hinge + thick, hinge - thick, ear + thick, ear - thick], 1))
    head = rest[:, JOINT["head"]]
    turned = (torch.cat(parts, 1) - head[:, None]) @ absolute[:, JOINT["head"]].mT
    return turned + posed[:, None, JOINT["head"]]


def _held(choice: LooseChoice, rest: Tensor, absolute: Tensor, posed: Tensor) -> Float[Tensor, "B L 3"]:
    """A rod, a ball-like thing or a slab in the palm, across the fingers' knuckles, rigid with the hand."""
    rows, columns = _HELD_GRID
    v = torch.linspace(-torch.pi / 2, torch.pi / 2, rows, device=rest.device)[:, None].expand(rows, columns)
    u = torch.linspace(-torch.pi, torch.pi, columns, device=rest.device)[None].expand(rows, columns)
    round_ = torch.stack([v.cos() * u.cos(), v.cos() * u.sin(), v.sin()], -1).view(1, -1, 3)
    power = choice.held_power[:, None, None]
    solid = round_ / (round_.abs() ** power).sum(-1, keepdim=True) ** (1 / power) * choice.held_half[:, None]
    right = choice.held_right[:, None] > 0.5
    sign = torch.where(right, -1.0, 1.0)
    knuckle = torch.where(right, rest[:, JOINT["right_middle1"]], rest[:, JOINT["left_middle1"]])
    below = -(choice.held_half[:, 1:2] + 0.012)
    centre = knuckle + torch.cat([sign * 0.004, below, torch.zeros_like(below)], -1)
    wrist = torch.where(right, rest[:, JOINT["right_wrist"]], rest[:, JOINT["left_wrist"]])
    at = torch.where(right, posed[:, JOINT["right_wrist"]], posed[:, JOINT["left_wrist"]])
    turn = torch.where(right[..., None], absolute[:, JOINT["right_wrist"]], absolute[:, JOINT["left_wrist"]])
    return (solid + (centre - wrist)[:, None]) @ turn.mT + at[:, None]
