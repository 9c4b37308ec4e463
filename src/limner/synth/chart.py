"""What every spot of the body's surface knows of itself: fields that colours and clothes are painted by."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT
from limner.geometry.mesh import vertex_normals
from limner.render.raster import rasterize

FIELDS = (
    "x", "y", "z", "lips", "brow", "nails", "ears", "eyes", "mouth", "head", "openness", "lashes", "redness", "beard",
    "teeth",
)  # fmt: skip
"""Channels of `BodyChart.fields`: place in the T-pose (metres), soft memberships [0, 1], and
brow: distance to the eyebrow's middle line (metres); lashes: distance to the eyeball for skin (metres); openness: how
much of its sky a spot sees [0, 1]; head: how much it belongs to the head; redness, beard: where skin is so [0, 1]."""
FIELD = {name: index for index, name in enumerate(FIELDS)}


@dataclass(frozen=True)
class BodyChart:
    """fields "V C" of the mean body (see FIELDS), joints "55 3" of its T-pose, floor_y: its soles' height.

    unrolled "F 3 2": where the corners of its triangles lie when the skin is cut and spread out flat (metres).
    """

    fields: Float[Tensor, "V C"]
    unrolled: Float[Tensor, "F 3 2"]
    joints: Float[Tensor, "55 3"]
    floor_y: float

    def at(self, name: str) -> Float[Tensor, "3"]:
        """T-pose position of a joint."""
        return self.joints[JOINT[name]]


def make_chart(body_model: BodyModel) -> BodyChart:
    """Fields of a body model; regions come from its file (`region`, `region_names`) where it stores them."""
    template, joints = body_model.v_template.float(), body_model.joint_template.float()
    faces = body_model.faces
    regions = _Regions(body_model)
    weights = body_model.weights.float()
    head = weights[:, [JOINT[n] for n in ("head", "jaw", "left_eye_smplx", "right_eye_smplx")]].sum(-1)
    eyes = regions.member("sclera", "iris", "pupil")
    if not bool(eyes.any()):
        eyes = weights[:, [JOINT["left_eye_smplx"], JOINT["right_eye_smplx"]]].sum(-1)
    landmarks = (template[body_model.landmark_vertices] * body_model.landmark_barycentric[..., None].float()).sum(1)
    fields = torch.stack(
        [
            *template.unbind(-1),
            regions.member("lips"),
            _brow_distance(template, landmarks, head),
            regions.member("fingernail", "toenail"),
            regions.member("ear"),
            eyes,
            regions.member("mouth_inside", "tongue"),
            head,
            openness(template, faces, joints),
            _lash_distance(template, eyes, joints, head),
            _redness(template, landmarks, joints, head),
            _beard(template, landmarks, head),
            regions.member("teeth"),
        ],
        -1,
    )
    return BodyChart(fields, _unrolled(body_model), joints, float(template[:, 1].min()))


def _unrolled(body_model: BodyModel) -> Float[Tensor, "F 3 2"]:
    """The file's texture coordinates (`vt`, `ft`) in metres; without them, a front view."""
    extra, template = body_model.assets.extra, body_model.v_template.float()
    corners = template[body_model.faces]
    if "vt" not in extra or "ft" not in extra:
        return corners[..., :2] + corners[..., 2:] * 0.7
    uv = torch.as_tensor(extra["vt"]).float()[torch.as_tensor(extra["ft"]).long()].to(template.device)
    length, flat = ((c[:, 1] - c[:, 0]).norm(dim=-1) for c in (corners, uv))
    return uv * (length / flat.clamp_min(1e-6)).median()


class _Regions:
    """Memberships in the regions that the body file names; nobody is a member of a region it does not know."""

    def __init__(self, body_model: BodyModel):
        extra = body_model.assets.extra
        self.like = body_model.v_template.float()[:, 0]
        self.names = [str(name) for name in extra["region_names"]] if "region_names" in extra else []
        self.label = torch.as_tensor(extra["region"]).long().to(self.like.device) if self.names else None

    def member(self, *names: str) -> Float[Tensor, "V"]:
        """1 for the vertices of any of the named regions."""
        result = torch.zeros_like(self.like)
        for name in names:
            if name in self.names and self.label is not None:
                result = torch.maximum(result, (self.label == self.names.index(name)).to(result.dtype))
        return result


def _brow_distance(template: Tensor, landmarks: Tensor, head: Tensor) -> Float[Tensor, "V"]:
    """Distance to the two eyebrow lines (iBUG 17..26, the first ten inner landmarks), at most 5 cm."""
    distance = torch.full_like(head, 0.05)
    for line in (landmarks[:5], landmarks[5:10]):
        for a, b in zip(line[:-1], line[1:], strict=True):
            share = (((template - a) @ (b - a)) / (b - a).square().sum().clamp_min(1e-9)).clamp(0, 1)
            distance = torch.minimum(distance, (template - a - share[:, None] * (b - a)).norm(dim=-1))
    return torch.where(head > 0.5, distance, 0.05)


def _lash_distance(template: Tensor, eyes: Tensor, joints: Tensor, head: Tensor) -> Float[Tensor, "V"]:
    """How far skin is from the eyeball, at most 3 cm; eyeballs themselves count as far."""
    distance = torch.full_like(eyes, 0.03)
    for name in ("left_eye_smplx", "right_eye_smplx"):
        centre = joints[JOINT[name]]
        ball = eyes > 0.5
        near = ball & ((template - centre).norm(dim=-1) < 0.03)
        radius = (template[near] - centre).norm(dim=-1).median() if bool(near.any()) else template.new_tensor(0.012)
        distance = torch.minimum(distance, (template - centre).norm(dim=-1) - radius)
    return torch.where((eyes > 0.5) | (head < 0.5), 0.03, distance.clamp_min(0))


def _redness(template: Tensor, landmarks: Tensor, joints: Tensor, head: Tensor) -> Float[Tensor, "V"]:
    """Cheeks, nose tip, chin, knuckles, elbows and knees are redder than the rest."""
    result = torch.zeros_like(head)
    eyes = landmarks[19:31].unflatten(0, (2, 6)).mean(1)
    mouth = landmarks[[31, 37]]
    cheeks = eyes * 0.45 + mouth * 0.55
    cheeks = cheeks + (cheeks - cheeks.flip(0)) * 0.22
    spots = [(cheeks[0], 0.022, 1.0), (cheeks[1], 0.022, 1.0), (landmarks[13], 0.014, 0.8)]
    for index, name in enumerate(JOINT):
        if index >= 25:
            spots.append((joints[JOINT[name]], 0.008, 0.5))
        elif "elbow" in name or "knee" in name:
            spots.append((joints[JOINT[name]], 0.05, 0.4))
    for centre, radius, strength in spots:
        near = torch.exp(-0.5 * ((template - centre).norm(dim=-1) / radius) ** 2) * strength
        result = torch.maximum(result, near)
    return result


def _beard(template: Tensor, landmarks: Tensor, head: Tensor) -> Float[Tensor, "V"]:
    """Where beards grow: around and below the mouth, along the jaw."""
    mouth = landmarks[31:43].mean(0)
    nose = landmarks[16]
    below = torch.sigmoid(((mouth[1] + nose[1]) / 2 + 0.006 - template[:, 1]) / 0.003)
    # the beard's upper edge rises towards the ears
    side = template[:, 0].abs()
    along = torch.sigmoid((mouth[1] + 0.004 + (side - 0.03).clamp_min(0) * 0.9 - template[:, 1]) / 0.004)
    chin = torch.sigmoid((template[:, 1] - (mouth[1] - 0.085)) / 0.006)
    front = torch.sigmoid((template[:, 2] - (mouth[2] - 0.085)) / 0.006)
    return head * torch.maximum(below * torch.exp(-((side / 0.035) ** 4)), along) * chin * front


@torch.no_grad()
def openness(
    template: Float[Tensor, "V 3"], faces: Tensor, joints: Float[Tensor, "55 3"], directions: int = 32, size: int = 192
) -> Float[Tensor, "V"]:
    """Share of the directions in front of each vertex that are not blocked by the T-posed body (cosine-weighted).

    Depth maps of whole body, head and hands from evenly spread directions; each vertex takes the closest look at it.
    """
    normals = vertex_normals(template[None], faces)[0]
    middle = (template.amax(0) + template.amin(0)) / 2
    head, hands = joints[JOINT["head"]], [joints[JOINT[f"{s}_middle1"]] for s in ("left", "right")]
    views = [(middle, float((template - middle).norm(dim=-1).max()), 0.012)]
    views += [(head + head.new_tensor([0.0, 0.04, 0.03]), 0.19, 0.0025)] + [(hand, 0.13, 0.0018) for hand in hands]
    result = torch.ones(len(template), device=template.device)
    for centre, radius, bias in views:
        inside = (template - centre).norm(dim=-1) < radius
        seen = _seen_share(template, normals, faces, centre, radius, bias, directions, size)
        result = torch.where(inside, seen, result)
    return result


def _seen_share(
    template: Tensor, normals: Tensor, faces: Tensor, centre: Tensor, radius: float, bias: float, count: int, size: int
) -> Float[Tensor, "V"]:
    index = torch.arange(count, device=template.device) + 0.5
    polar, azimuth = torch.acos(1 - 2 * index / count), torch.pi * (1 + 5**0.5) * index
    toward = torch.stack([polar.sin() * azimuth.cos(), polar.cos(), polar.sin() * azimuth.sin()], -1)
    frames = light_frames(toward)
    local = (template - centre) @ frames.mT  # N V 3, z away from the light
    pixels = torch.cat([(local[..., :2] / radius + 1) * (size / 2), local[..., 2:]], -1)
    got, total = torch.zeros_like(template[:, 0]), torch.full_like(template[:, 0], 1e-6)
    for start in range(0, count, 8):  # few at a time: keeps memory low
        part = pixels[start : start + 8]
        depth = rasterize(part, faces, size, size, perspective=False).depth
        grid = (part[..., :2] / (size / 2) - 1)[:, None]
        front = torch.nn.functional.grid_sample(
            depth.clamp_max(1e3)[:, None], grid, mode="nearest", align_corners=False, padding_mode="border"
        )[:, 0, 0]
        cosine = (normals @ toward[start : start + 8].mT).clamp_min(0).mT
        got += (cosine * (part[..., 2] < front + bias)).sum(0)
        total += cosine.sum(0)
    return (got / total).clamp(0, 1)


def light_frames(toward: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Rotations into axes whose z leads away from a light that lies in direction `toward`."""
    z = -toward
    helper = torch.where(z[:, 1:2].abs() > 0.9, z.new_tensor([1.0, 0.0, 0.0]), z.new_tensor([0.0, 1.0, 0.0]))
    x = torch.nn.functional.normalize(torch.linalg.cross(helper, z), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], 1)
