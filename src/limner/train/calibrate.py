"""Attachment of a frozen backbone's points to our body, fitted on rendered evidence."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.body.skinning import pose_joints
from limner.data.evidence import Evidence
from limner.networks.blaze.pose import POSE_POINTS

NUM_POINTS = 33
MIN_CONFIDENCE = 0.5


def carrier_of(point: str) -> str:
    """The joint that one of BlazePose's points rides on."""
    side, _, rest = point.partition("_")
    if point == "nose" or rest.startswith(("eye", "ear")) or point.startswith("mouth"):
        return "head"
    match rest:
        case "pinky" | "index" | "thumb":
            return f"{side}_wrist"
        case "heel":
            return f"{side}_ankle"
        case "foot_index":
            return f"{side}_foot"
        case "hip":
            return "pelvis"
    return point


@dataclass(frozen=True)
class FittedAttachment:
    """joint "K", offset "K 3" metres in the joint's axes, sigma "K" usual 2D error as a share of the crop's side."""

    joint: Int[Tensor, "K"]
    offset: Float[Tensor, "K 3"]
    sigma: Float[Tensor, "K"]


def nowhere() -> FittedAttachment:
    """Of parts whose backbone's points ride on no joints."""
    return FittedAttachment(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3), torch.zeros(0))


def attached_points(model: BodyModel, params: BodyParams, attachment: FittedAttachment) -> Float[Tensor, "B K 3"]:
    """Where BlazePose's points lie on these people, camera axes, `transl` included, metres."""
    absolute, joints = pose_joints(params.full_pose(), model.rest_joints(params))
    offset = (absolute[:, attachment.joint] @ attachment.offset[..., None])[..., 0]
    return joints[:, attachment.joint] + offset + params.transl[:, None]


@torch.no_grad()
def fit_attachment(model: BodyModel, evidence: Evidence, steps: int = 8) -> FittedAttachment:
    """Offsets that bring the riding points onto the seen ones: Gauss-Newton on robust errors, a point at a time."""
    params, camera = evidence.params, evidence.camera
    absolute, joints = pose_joints(params.full_pose(), model.rest_joints(params))
    joints = joints + params.transl[:, None]
    index = torch.tensor([JOINT[carrier_of(name)] for name in POSE_POINTS[:NUM_POINTS]])
    rotation, origin = absolute[:, index], joints[:, index]
    seen_px = evidence.squares.photo_from_unit(evidence.keypoints[:, :NUM_POINTS, :2])
    sure = (evidence.keypoints[:, :NUM_POINTS, 2] > MIN_CONFIDENCE) & (evidence.presence > MIN_CONFIDENCE)[:, None]
    side = evidence.squares.size_px[:, None]
    offset = torch.zeros(NUM_POINTS, 3)
    error = torch.zeros(NUM_POINTS)
    for _ in range(steps):
        points = origin + (rotation @ offset[..., None])[..., 0]
        residual = (camera.project(points) - seen_px) / side[..., None]
        slope = rotation[..., :2, :] - points[..., :2, None] / points[..., 2:, None] * rotation[..., 2:, :]
        slope = slope * (camera.focal_px[:, None] / points[..., 2] / side)[..., None, None]
        length = residual.norm(dim=-1)
        weight = sure / (1 + (length / 0.02).square())
        error = torch.where(sure, length, torch.nan).nanmedian(0).values
        normal = torch.einsum("nkia,nk,nkib->kab", slope, weight, slope) + 1e-3 * torch.eye(3)
        offset = offset - torch.linalg.solve(normal, torch.einsum("nkia,nk,nki->ka", slope, weight, residual))
    return FittedAttachment(index, offset, error)


@torch.no_grad()
def fit_face_vertices(model: BodyModel, evidence: Evidence, chunk: int = 39) -> Int[Tensor, "468"]:
    """For each point of the face mesh, the vertex of our body that it lies on: the smallest median error in crops."""
    good = (evidence.presence > 0.9) & (evidence.visible[:, 76:127].float().mean(1) > 0.8)
    evidence = evidence[good]
    head = model.weights[:, [JOINT["head"], JOINT["jaw"]]].sum(1) > 0.5
    front = model.v_template[:, 2] > model.joint_template[JOINT["head"], 2] - 0.02
    candidates = (head & front).nonzero()[:, 0]
    mesh = model.restricted(candidates)(evidence.params)
    unit = evidence.squares.unit_from_photo(evidence.camera.project(mesh.vertices))
    surface = evidence.pooled.unflatten(1, (468, 3))[..., :2]
    best = []
    for points in surface.split(chunk, dim=1):
        distance = torch.cdist(points.mT.contiguous().mT, unit)
        best.append(distance.median(0).values.argmin(-1))
    return candidates[torch.cat(best)]
