"""Surroundings of people: camera, light, background and occluders."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, normalize

from limner.geometry.camera import Camera
from limner.records import Rows
from limner.synth.chance import coin, log_uniform, normal, uniform
from limner.synth.light import Panoramas, harmonics
from limner.synth.photo import PhotoStyle, sample_styles
from limner.synth.poses import about_y

BACKGROUNDS = ("panorama", "studio", "clutter")
_OCCLUDERS = 2


@dataclass(frozen=True)
class Scene(Rows):
    """Surroundings of B people, in the virtual photo.

    panorama "B" which one; pano_from_camera "B 3 3"; ambient "B" strength of its soft light; key_direction "B 2 3"
    towards the two key lights, camera axes, key_color "B 2 3"; background "B" index into BACKGROUNDS; backdrop
    "B 2 3" its two colours; level "B" blur of the panorama; seed_place "B 2" where in the noise the clutter is taken;
    bounded "B": the photo ends at its edges (black beyond); occluder_* "B 2 ..." shapes in front of the person.
    """

    panorama: Int[Tensor, "B"]
    pano_from_camera: Float[Tensor, "B 3 3"]
    ambient: Float[Tensor, "B"]
    key_direction: Float[Tensor, "B 2 3"]
    key_color: Float[Tensor, "B 2 3"]
    background: Int[Tensor, "B"]
    backdrop: Float[Tensor, "B 2 3"]
    level: Int[Tensor, "B"]
    seed_place: Float[Tensor, "B 2"]
    bounded: Bool[Tensor, "B"]
    occluder_on: Bool[Tensor, "B 2"]
    occluder_center_px: Float[Tensor, "B 2 2"]
    occluder_half_px: Float[Tensor, "B 2 2"]
    occluder_angle: Float[Tensor, "B 2"]
    occluder_power: Float[Tensor, "B 2"]
    occluder_color: Float[Tensor, "B 2 2 3"]
    style: PhotoStyle


def place_people(
    points: Float[Tensor, "B N 3"],
    anchors: Float[Tensor, "B A 3"],
    photo_px: int,
    generator: Generator,
) -> tuple[Camera, Float[Tensor, "B 3"]]:
    """Cameras and root positions so that people fill the photo as people do.

    `points`: the body's surface about its root (camera axes, metres); `anchors`: places close-ups may be centred on.
    Two thirds show the whole person filling 40-95 % of the photo, others are cut off at an edge or are close-ups.
    """
    n = (len(points),)
    low, high = points.amin(1), points.amax(1)
    extent = (high - low)[:, :2].amax(-1)
    whole = uniform(generator, n, 0.42, 0.92)
    close = coin(generator, n, 0.24)
    fill = torch.where(close, log_uniform(generator, n, 1.0, 2.8), whole)
    focal = log_uniform(generator, n, 0.62, 3.2) * photo_px
    depth = focal * extent / (fill * photo_px)
    # nobody is photographed from nearer than half a metre: go back and zoom in
    nearest = -low[:, 2] + 0.5
    focal = focal * (torch.maximum(depth, nearest) / depth)
    depth = torch.maximum(depth, nearest)
    middle = (low + high) / 2
    which = torch.randint(anchors.shape[1], n, generator=generator, device=points.device)
    anchor = torch.where(close[:, None], anchors[torch.arange(len(anchors), device=points.device), which], middle)
    room = (1 - fill).clamp_min(0.08) / 2
    cut = coin(generator, n, 0.15)[:, None]
    shift = uniform(generator, (*n, 2), -1, 1) * torch.where(cut, 0.45, room[:, None])
    target = (0.5 + shift) * photo_px
    camera = Camera(focal, torch.full((*n, 2), photo_px / 2, device=points.device))
    at = depth + anchor[:, 2]
    xy = (target - camera.center_px) * (at / focal)[:, None] - anchor[:, :2]
    return camera, torch.cat([xy, depth[:, None]], -1)


def sample_scenes(
    panoramas: Panoramas,
    camera_from_world: Float[Tensor, "B 3 3"],
    marks_px: Float[Tensor, "B K 2"],
    boxes: Float[Tensor, "B 4"],
    skin: Float[Tensor, "B 3"],
    generator: Generator,
) -> Scene:
    """Surroundings for people with `skin` (linear RGB), keypoints at `marks_px`, filling `boxes` (pixels)."""
    count = len(boxes)
    n = (count,)
    which = torch.randint(len(panoramas), n, generator=generator, device=boxes.device)
    spin = about_y(uniform(generator, n, -torch.pi, torch.pi))
    pano_from_camera = spin @ camera_from_world.mT
    direction, color = _keys(panoramas, which, pano_from_camera, camera_from_world, generator)
    ambient = torch.where(coin(generator, n, 0.25), uniform(generator, n, 0.45, 0.9), 1.0)
    kind = torch.multinomial(boxes.new_tensor([0.6, 0.2, 0.2]), count, replacement=True, generator=generator)
    size = (boxes[:, 2:] - boxes[:, :2]).amax(-1)
    style = sample_styles(count, size, generator)
    arriving = _arriving(panoramas, which, pano_from_camera, ambient, direction, color)
    facing = arriving.mean(-1)
    # cameras set exposure and, not quite, white balance by the light they find
    balance = (facing[:, None] / arriving) ** 0.8
    # people are the subject: half of the difference between fair and dark skin is evened out by the exposure
    metered = (0.35 / skin.mean(-1)) ** 0.4
    style = replace(style, exposure=style.exposure * 0.5 / facing * metered, white=style.white * balance)
    # backdrops are lit like the person: their colours are given as light that leaves them
    hue = uniform(generator, (count, 2, 3), 0.3, 1.0) ** 1.5
    grey = hue.mean(-1, keepdim=True)
    hue = torch.where(coin(generator, (count, 1, 1), 0.5), torch.lerp(grey, hue, 0.12), hue)
    backdrop = hue * uniform(generator, (count, 1, 1), 0.1, 1.1) * arriving[:, None]
    return Scene(
        panorama=which,
        pano_from_camera=pano_from_camera,
        ambient=ambient,
        key_direction=direction,
        key_color=color,
        background=kind,
        backdrop=backdrop,
        level=torch.randint(3, n, generator=generator, device=boxes.device),
        seed_place=uniform(generator, (count, 2), -1, 1),
        bounded=coin(generator, n, 0.6),
        style=style,
        **_occluders(marks_px, size, facing, generator),
    )


def _keys(
    panoramas: Panoramas, which: Tensor, pano_from_camera: Tensor, camera_from_world: Tensor, generator: Generator
) -> tuple[Float[Tensor, "B 2 3"], Float[Tensor, "B 2 3"]]:
    """The panorama's brightest spot, and sometimes a lamp or a flash besides (camera axes)."""
    count = len(which)
    n = (count,)
    own = (pano_from_camera.mT @ panoramas.key_direction[which][..., None])[..., 0]
    own_color = panoramas.key_color[which]
    lamp = normalize(normal(generator, (count, 3)) + own.new_tensor([0.0, 0.8, 0.0]), dim=-1)
    lamp = (camera_from_world @ lamp[..., None])[..., 0]
    flash = normalize(normal(generator, (count, 3), 0.15) + own.new_tensor([0.0, -0.1, -1.0]), dim=-1)
    extra = torch.where(coin(generator, (count, 1), 0.25), flash, lamp)
    warm = normal(generator, n, 0.15)
    strength = log_uniform(generator, n, 0.15, 1.6) * coin(generator, n, 0.6)
    extra_color = torch.stack([warm, torch.zeros_like(warm), -warm], -1).exp() * strength[:, None]
    # where the panorama has no strong spot, the lamp is the light that throws the shadow
    first = own_color.mean(-1, keepdim=True) >= extra_color.mean(-1, keepdim=True)
    directions = torch.stack([torch.where(first, own, extra), torch.where(first, extra, own)], 1)
    colors = torch.stack([torch.where(first, own_color, extra_color), torch.where(first, extra_color, own_color)], 1)
    return directions, colors


def _arriving(
    panoramas: Panoramas, which: Tensor, pano_from_camera: Tensor, ambient: Tensor, direction: Tensor, color: Tensor
) -> Float[Tensor, "B 3"]:
    """Mean light on surfaces that face the camera and sideways: what an exposure meter sees."""
    normals = direction.new_tensor([[0.0, 0.0, -1.0], [0.6, -0.2, -0.75], [-0.6, -0.2, -0.75], [0.0, -0.7, -0.7]])
    normals = normalize(normals, dim=-1).expand(len(which), -1, -1)
    light = soft_light(panoramas, which, pano_from_camera, normals) * ambient[:, None, None]
    cosine = (normals @ direction.mT).clamp_min(0)
    return (light + cosine @ color).mean(1).clamp_min(0.02)


def soft_light(
    panoramas: Panoramas, which: Tensor, pano_from_camera: Float[Tensor, "B 3 3"], normals: Float[Tensor, "B N 3"]
) -> Float[Tensor, "B N 3"]:
    """Light of the surroundings without key light on surfaces with the given normals (camera axes)."""
    basis = harmonics(normals @ pano_from_camera.mT)
    return (basis @ panoramas.ambient[which]).clamp_min(0.01)


def _occluders(marks_px: Tensor, size: Float[Tensor, "B"], facing: Tensor, generator: Generator) -> dict[str, Tensor]:
    """Up to two things in front of the person, near one of its keypoints: small ones at hands, large ones anywhere."""
    count = len(size)
    shape = (count, _OCCLUDERS)
    which = torch.randint(marks_px.shape[1], shape, generator=generator, device=size.device)
    center = marks_px.gather(1, which[..., None].expand(-1, -1, 2))
    center = center + normal(generator, (*shape, 2)) * size[:, None, None] * 0.05
    long = log_uniform(generator, shape, 0.012, 0.30) * size[:, None]
    thin = log_uniform(generator, shape, 0.05, 0.5)
    slim = torch.where(coin(generator, shape, 0.5), uniform(generator, shape, 0.5, 1.0), thin)
    color = uniform(generator, (*shape, 2, 3), 0.02, 0.95) ** 1.8 * facing[:, None, None, None]
    return {
        "occluder_on": coin(generator, shape, 0.17),
        "occluder_center_px": center,
        "occluder_half_px": torch.stack([long, long * slim], -1),
        "occluder_angle": uniform(generator, shape, 0, torch.pi),
        "occluder_power": torch.where(coin(generator, shape, 0.5), 2.0, 9.0),
        "occluder_color": color,
    }


def occlusion(scene: Scene, points_px: Float[Tensor, "B N 2"], edge_px: Float[Tensor, "B"]) -> Float[Tensor, "B N 2"]:
    """How much each occluder covers places of the photo, 0..1; its edge is `edge_px` wide."""
    away = points_px[:, :, None] - scene.occluder_center_px[:, None]
    cos, sin = scene.occluder_angle.cos()[:, None], scene.occluder_angle.sin()[:, None]
    u = away[..., 0] * cos + away[..., 1] * sin
    v = away[..., 1] * cos - away[..., 0] * sin
    half = scene.occluder_half_px[:, None]
    power = scene.occluder_power[:, None]
    reach = ((u / half[..., 0]).abs() ** power + (v / half[..., 1]).abs() ** power + 1e-9) ** (1 / power)
    inside = (1 - reach) * half.amin(-1)
    return (inside / edge_px[:, None, None] + 0.5).clamp(0, 1) * scene.occluder_on[:, None]


def backgrounds(
    scene: Scene,
    panoramas: Panoramas,
    camera: Camera,
    noise: Float[Tensor, "1 6 M M"],
    points_px: Float[Tensor, "B N 2"],
) -> Float[Tensor, "B N 3"]:
    """Light that comes from behind the person at places of the photo (linear)."""
    local = (points_px - camera.center_px[:, None]) / camera.focal_px[:, None, None]
    rays = torch.cat([local, torch.ones_like(local[..., :1])], -1)
    result = torch.zeros_like(rays)
    for index, kind in enumerate(BACKGROUNDS):
        chosen = (scene.background == index).nonzero()[:, 0]
        if len(chosen) == 0:
            continue
        part = scene[chosen]
        if kind == "panorama":
            world = rays[chosen] @ part.pano_from_camera.mT
            color = panoramas.look(part.panorama, world, part.level)
        else:
            unit = points_px[chosen] / (2 * camera.center_px[chosen, None])
            color = _studio(part, unit, noise) if kind == "studio" else _clutter(part, unit, noise)
        result = result.index_copy(0, chosen, color)
    return result


def _texture(noise: Tensor, place: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 6"]:
    grid = place[:, None]
    image = noise.expand(len(place), -1, -1, -1)
    return grid_sample(image, grid, padding_mode="reflection", align_corners=False)[:, :, 0].mT


def _studio(scene: Scene, unit: Float[Tensor, "B N 2"], noise: Tensor) -> Float[Tensor, "B N 3"]:
    """A wall in two shades, brighter about one spot, faintly uneven."""
    tilt = scene.seed_place[:, None]
    share = ((unit - 0.5) * tilt).sum(-1, keepdim=True) * 0.8 + 0.5
    glow = torch.exp(-((unit - 0.5 - 0.3 * tilt).square().sum(-1, keepdim=True)) * 3)
    soft = _texture(noise, unit * 0.15 + tilt)[..., :1]
    first, second = scene.backdrop[:, None, 0], scene.backdrop[:, None, 1]
    color = torch.lerp(first, torch.lerp(first, second, 0.4), share.clamp(0, 1))
    return color * (0.7 + 0.5 * glow + 0.05 * soft)


def _clutter(scene: Scene, unit: Float[Tensor, "B N 2"], noise: Tensor) -> Float[Tensor, "B N 3"]:
    """Blurred things without a name: patches of noise, edges and colours at three scales."""
    place = scene.seed_place[:, None]
    broad = _texture(noise, unit * 0.08 + place)
    middle = _texture(noise, unit * 0.35 + place.flip(-1))
    small = _texture(noise, unit * 1.5 - place)
    edges = torch.sigmoid((middle[..., :1] + 0.5 * broad[..., 1:2]) * 9)
    color = torch.lerp(scene.backdrop[:, None, 0], scene.backdrop[:, None, 1], edges)
    patches = torch.sigmoid((broad[..., 2:3] + 0.4 * small[..., 1:2]) * 7)
    other = (0.45 + 0.35 * torch.tanh(broad[..., 3:6])) * scene.backdrop.mean((1, 2))[:, None, None] * 1.6
    color = torch.lerp(color, other, patches)
    return (color * (1 + 0.25 * small[..., :1] + 0.2 * middle[..., 3:4])).clamp_min(0)
