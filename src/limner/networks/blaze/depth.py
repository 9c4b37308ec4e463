"""How deep is each point of the body? BlazePose's last stage once more, trained on people whose depth is known."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.blaze.layers import as_input
from limner.networks.blaze.pose import MIRRORED_POINT, BlazePose

NUM_POINTS = 33


class DepthBranch(nn.Module):
    """The top quarter of BlazePose as a second branch beside the first: 33 points in 3D, nothing else.

    It starts as an exact copy and is trained on synthetic people (`limner.train.depth`); what it reads, the encoder's
    output at stride 16, stays as real photos made it, and so do BlazePose's own points in the image.
    """

    def __init__(self, pose: BlazePose):
        """`pose` gives the layers' shapes and first weights."""
        super().__init__()
        self.stage = copy.deepcopy(pose.trunk.stages[-1])
        self.top_expand = copy.deepcopy(pose.trunk.top_expand)
        self.top_depthwise = copy.deepcopy(pose.trunk.top_depthwise)
        self.point_head = copy.deepcopy(pose.point_head)
        whole = pose.world_output
        self.output = nn.Conv2d(whole.in_channels, 3 * NUM_POINTS, 2)
        with torch.no_grad():
            self.output.weight.copy_(whole.weight[: 3 * NUM_POINTS])
            assert self.output.bias is not None and whole.bias is not None
            self.output.bias.copy_(whole.bias[: 3 * NUM_POINTS])
        self.to(memory_format=torch.channels_last)  # trains in half the time

    def forward(self, side16: Float[Tensor, "B 88 16 16"]) -> Float[Tensor, "B 33 3"]:
        """BlazePose's features at stride 16 to its points in metres, origin mid-hips, axes of the upright crop."""
        top = self.top_depthwise(self.top_expand(self.stage(as_input(side16))))
        return self.output(self.point_head(top)).flatten(1).unflatten(1, (NUM_POINTS, 3))


def unmirrored_world(world: Float[Tensor, "B 33 3"]) -> Float[Tensor, "B 33 3"]:
    """The person's own points from those that were read from the crop's mirror image."""
    partner = MIRRORED_POINT[:NUM_POINTS]
    return world[:, partner] * world.new_tensor([-1.0, 1.0, 1.0])
