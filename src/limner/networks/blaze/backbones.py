"""How do the Blaze networks fit the socket of ExPose's body, hand and face networks?

Each adapter turns a Blaze network's answers into `Features`: its points as keypoints in [-1, 1] and in 3D, and a
pooled vector = [keypoints, 3D points, raw features]. The points come first, so that a regressor can be trained on
simulated points alone (`evidence`) long before it sees an image.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.backbone import Features
from limner.networks.blaze.face import IBUG68_FROM_MESH, BlazeFace
from limner.networks.blaze.hand import BlazeHand
from limner.networks.blaze.pose import BlazePose

NUM_POSE_POINTS = 33
NUM_POSE_RAW = NUM_HAND_RAW = 1152
NUM_FACE_RAW = 288


def evidence(
    keypoints: Float[Tensor, "B K 3"], points3d: Float[Tensor, "B N 3"], raw: Float[Tensor, "B R"]
) -> Float[Tensor, "B F"]:
    """The pooled vector of the adapters: points first, then what else the network saw."""
    return torch.cat([keypoints.flatten(1), points3d.flatten(1), raw], -1)


def num_evidence(points: int, raw: int) -> int:
    """Length of `evidence` for a network whose 2D and 3D points are the same."""
    return 6 * points + raw


class BlazePoseBackbone(nn.Module):
    """Person crop (256 px, person upright): 33 points with visibility, and their 3D about the mid-hips in metres."""

    crop_size = 256
    num_features = num_evidence(NUM_POSE_POINTS, NUM_POSE_RAW)

    def __init__(self, network: BlazePose):
        super().__init__()
        self.network = network

    def forward(self, pixels: Float[Tensor, "B 3 256 256"]) -> Features:
        """All 39 points are kept in `keypoints` (the last six place crops); the regressor gets the first 33."""
        seen = self.network(pixels)
        points = torch.cat([seen.landmarks[..., :2] * 2 - 1, seen.landmarks[..., 3:4]], -1)
        body, world = points[:, :NUM_POSE_POINTS], seen.world[:, :NUM_POSE_POINTS]
        return Features(evidence(body, world, seen.pooled), seen.maps[::-1], points, world, seen.presence)


class BlazeHandBackbone(nn.Module):
    """Right-hand crop (224 px, fingers up): 21 points and their 3D about the hand's centre in metres."""

    crop_size = 224
    num_features = num_evidence(21, NUM_HAND_RAW)

    def __init__(self, network: BlazeHand):
        super().__init__()
        self.network = network

    def forward(self, pixels: Float[Tensor, "B 3 224 224"]) -> Features:
        seen = self.network(pixels)
        depth = seen.landmarks[..., 2:] * 2
        points = torch.cat([seen.landmarks[..., :2] * 2 - 1, seen.presence[:, None, None].expand(-1, 21, 1)], -1)
        # the image-space depth of the points is a third coordinate beside the metric 3D: keep it in place of a
        # confidence, which the network gives only once for the whole hand
        regressor_points = torch.cat([points[..., :2], depth], -1)
        return Features(
            evidence(regressor_points, seen.world, seen.pooled),
            (seen.map,),
            points,
            seen.world,
            seen.presence,
        )


class BlazeFaceBackbone(nn.Module):
    """Face crop (192 px, eyes level): 468 surface points with depth; the 68 iBUG points among them are `keypoints`."""

    crop_size = 192
    num_features = 468 * 3 + NUM_FACE_RAW

    def __init__(self, network: BlazeFace):
        super().__init__()
        self.network = network

    def forward(self, pixels: Float[Tensor, "B 3 192 192"]) -> Features:
        seen = self.network(pixels)
        surface = torch.cat([seen.landmarks[..., :2] * 2 - 1, seen.landmarks[..., 2:] * 2], -1)
        ibug = surface[:, list(IBUG68_FROM_MESH), :2]
        points = torch.cat([ibug, seen.presence[:, None, None].expand(-1, 68, 1)], -1)
        pooled = torch.cat([surface.flatten(1), seen.pooled], -1)
        return Features(pooled, (), points, surface, seen.presence)
