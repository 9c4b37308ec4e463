"""The depth of each point of the body. BlazePose's last stage once more, trained on people whose depth is known."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.blaze.layers import Conv, InvertedBottleneck, as_input
from limner.networks.blaze.pose import MIRRORED_POINT, POSE_STAGES, BlazePose, PointHead
from limner.networks.shipped import load_weights

NUM_POINTS = 33
BELOW = 88  # channels of the stage below, at stride 16


class DepthBranch(nn.Module):
    """The top quarter of BlazePose as a second branch beside the first: 33 points in 3D, nothing else.

    It starts as an exact copy and is trained on synthetic people (`limner.train.depth`); what it reads, the encoder's
    output at stride 16, stays as real photos made it, and so do BlazePose's own points in the image.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks, channels = [], BELOW
        for spec in POSE_STAGES[-1]:
            blocks.append(InvertedBottleneck(channels, spec, tf_same=False))
            channels = spec.outputs
        self.stage = nn.Sequential(*blocks)
        top = 6 * channels
        self.top_expand = Conv(channels, top, relu6=True)
        self.top_depthwise = Conv(top, top, 3, depthwise=True, relu6=True)
        self.point_head = PointHead()
        self.output = nn.Conv2d(288, 3 * NUM_POINTS, 2)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # trains in half the time

    @classmethod
    def load(cls, path: Path) -> "DepthBranch":
        """The branch from the file that `limner train depth` wrote, in evaluation mode. Raises WeightsError."""
        return load_weights(cls(), path.stem, path)

    @classmethod
    @torch.no_grad()
    def copy_of(cls, pose: BlazePose) -> "DepthBranch":
        """A branch that says what BlazePose itself says: where training starts."""
        branch, trunk = cls(), pose.trunk
        branch.stage.load_state_dict(trunk.stages[-1].state_dict())
        branch.top_expand.load_state_dict(trunk.top_expand.state_dict())
        branch.top_depthwise.load_state_dict(trunk.top_depthwise.state_dict())
        branch.point_head.load_state_dict(pose.point_head.state_dict())
        count = 3 * NUM_POINTS  # the six points after these place crops
        branch.output.load_state_dict({key: value[:count] for key, value in pose.world_output.state_dict().items()})
        return branch

    def forward(self, side16: Float[Tensor, "B 88 16 16"]) -> Float[Tensor, "B 33 3"]:
        """BlazePose's features at stride 16 to its points in metres, origin mid-hips, axes of the upright crop."""
        top = self.top_depthwise(self.top_expand(self.stage(as_input(side16))))
        return self.output(self.point_head(top)).flatten(1).unflatten(1, (NUM_POINTS, 3))


def unmirrored_world(world: Float[Tensor, "B 33 3"]) -> Float[Tensor, "B 33 3"]:
    """The person's own points from those that were read from the crop's mirror image."""
    partner = MIRRORED_POINT[:NUM_POINTS]
    return world[:, partner] * world.new_tensor([-1.0, 1.0, 1.0])
