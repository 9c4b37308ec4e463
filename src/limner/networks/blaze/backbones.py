"""The Blaze networks as backbones of the body, hand and face networks.

Each adapter turns a Blaze network's answers into `Features`: its points as keypoints in [-1, 1] of the crop and in 3D,
and a pooled vector made of just these points. The networks' outputs are linear read-outs of their pooled features, so
little is lost, and regressors can be trained on simulated points, millions of them, without rendering an image.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.backbone import Features
from limner.networks.blaze.depth import DepthBranch
from limner.networks.blaze.face import IBUG68_FROM_MESH
from limner.networks.blaze.pose import PoseFeatures, borne_out, mean_of_both, refined_landmarks

CLEAR_PROBABILITY = 0.4
"""A point whose heat map reaches this is as sure as its visibility says; dimmer ones are less sure in proportion."""
NUM_POSE_POINTS, NUM_HAND_POINTS, NUM_FACE_POINTS = 33, 21, 468


def body_evidence(keypoints: Float[Tensor, "B 33 3"], world: Float[Tensor, "B 33 3"]) -> Float[Tensor, "B 198"]:
    """Points (x, y in [-1, 1], visible or not) and their 3D about the mid-hips, metres.

    Only whether a confidence exceeds one half goes in: its exact values are a fingerprint by which a regressor learns
    the training crops' errors by heart (measured: 28 mm on training crops, 122 mm on others).
    """
    visible = (keypoints[..., 2:] > 0.5).to(keypoints.dtype)
    return torch.cat([torch.cat([keypoints[..., :2], visible], -1).flatten(1), world.flatten(1)], -1)


def hand_evidence(points: Float[Tensor, "B 21 3"], world: Float[Tensor, "B 21 3"]) -> Float[Tensor, "B 126"]:
    """Points (x, y in [-1, 1], depth from the wrist in the same unit) and their 3D in metres, about its mean."""
    return torch.cat([points.flatten(1), 10 * (world - world.mean(1, keepdim=True)).flatten(1)], -1)


def face_evidence(surface: Float[Tensor, "B 468 3"]) -> Float[Tensor, "B 1404"]:
    """Surface points (x, y in [-1, 1], depth in the same unit, its mean taken away)."""
    depth = surface[..., 2:] - surface[..., 2:].mean(1, keepdim=True)
    return torch.cat([surface[..., :2], depth], -1).flatten(1)


class BlazePoseBackbone(nn.Module):
    """Person crop (256 px, person upright): 33 points with visibility, and their 3D about the mid-hips in metres."""

    crop_size = 256
    num_features = 6 * NUM_POSE_POINTS

    def __init__(
        self,
        network: nn.Module,
        both_ways: bool = False,
        depth: DepthBranch | None = None,
        tuned: bool = False,
    ):
        """`network`: BlazePose, torch's or ONNX Runtime's. `depth`: says where the points are in 3D, instead of it.

        `both_ways`: look at the mirrored crop as well and take the mean of both answers (not while it is trained).

        `tuned`: the weights are not the shipped ones.

        Worth 1 percentage point of PCK@0.2 and 1.5 of PCK@0.1 on the dev photos of whole people.
        """
        super().__init__()
        self.network: nn.Module = network
        self.both_ways, self.depth, self.tuned = both_ways, depth, tuned

    def forward(self, pixels: Float[Tensor, "B 3 256 256"], seen: PoseFeatures | None = None) -> Features:
        """All 39 points are kept in `keypoints` (the last six place crops); the regressor gets the first 33.

        Confidence is the visibility, as far as the heat maps bear it out. `seen`: what `network` says of these crops,
        where it has been asked before.
        """
        seen = self._look(pixels, seen)
        if self.both_ways and not self.training:
            seen = mean_of_both(seen, self._look(pixels.flip(-1)))
        landmarks = refined_landmarks(seen.landmarks, seen.heatmaps)
        points = torch.cat([landmarks[..., :2] * 2 - 1, landmarks[..., 3:4]], -1)
        world = seen.world[:, :NUM_POSE_POINTS]
        pooled = body_evidence(points[:, :NUM_POSE_POINTS], world)
        clear = borne_out(landmarks, seen.heatmaps).div(CLEAR_PROBABILITY).clamp_max(1)
        points = torch.cat([points[..., :2], points[..., 2:] * clear[..., None]], -1)
        return Features(pooled, (), points, world, seen.presence)

    def _look(self, pixels: Tensor, seen: PoseFeatures | None = None) -> PoseFeatures:
        seen = self.network(pixels) if seen is None else seen
        if self.depth is None:
            return seen
        # the six points after the 33 place crops; nobody asks where they are in 3D
        return replace(seen, world=torch.cat([self.depth(seen.side16), seen.world[:, NUM_POSE_POINTS:]], 1))


class BlazeHandBackbone(nn.Module):
    """Right-hand crop (224 px, fingers up): 21 points and their 3D in metres."""

    crop_size = 224
    num_features = 6 * NUM_HAND_POINTS

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: nn.Module = network

    def forward(self, pixels: Float[Tensor, "B 3 224 224"]) -> Features:
        seen = self.network(pixels)
        in_crop = torch.cat([seen.landmarks[..., :2] * 2 - 1, seen.landmarks[..., 2:] * 2], -1)
        points = torch.cat([in_crop[..., :2], seen.presence[:, None, None].expand(-1, 21, 1)], -1)
        evidence = hand_evidence(in_crop, seen.world)
        return Features(evidence, (), points, seen.world, seen.presence, handedness=seen.handedness)


class BlazeFaceBackbone(nn.Module):
    """Face crop (192 px, eyes level): 468 surface points with depth; the 68 iBUG points among them are `keypoints`."""

    crop_size = 192
    num_features = 3 * NUM_FACE_POINTS

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: nn.Module = network

    def forward(self, pixels: Float[Tensor, "B 3 192 192"]) -> Features:
        seen = self.network(pixels)
        surface = torch.cat([seen.landmarks[..., :2] * 2 - 1, seen.landmarks[..., 2:] * 2], -1)
        ibug = surface[:, list(IBUG68_FROM_MESH), :2]
        points = torch.cat([ibug, seen.presence[:, None, None].expand(-1, 68, 1)], -1)
        return Features(face_evidence(surface), (), points, surface, seen.presence)
