"""The residual networks of He et al. (CVPR 2016), depths 18 and 50, under torchvision's parameter names."""

from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.backbone import Features, Normalise
from limner.networks.layers import conv, conv_norm, norm

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut is projected where the size changes."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = conv(channels_in, channels, 3, stride)
        self.bn1 = norm(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = norm(channels)
        self.downsample = _projection(channels_in, channels, stride)

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d i j"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        return conv_norm(conv_norm(x, self.conv1, self.bn1), self.conv2, self.bn2, shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 to four times the width.

    `projection`: the shortcut; by default a 1x1 convolution with batch norm where the size changes.
    """

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int = 1, projection: nn.Module | None = None):
        super().__init__()
        wide = channels * self.expansion
        self.conv1 = conv(channels_in, channels, 1)
        self.bn1 = norm(channels)
        self.conv2 = conv(channels, channels, 3, stride)
        self.bn2 = norm(channels)
        self.conv3 = conv(channels, wide, 1)
        self.bn3 = norm(wide)
        self.downsample = _projection(channels_in, wide, stride) if projection is None else projection

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d i j"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = conv_norm(conv_norm(x, self.conv1, self.bn1), self.conv2, self.bn2)
        return conv_norm(x, self.conv3, self.bn3, shortcut)


def _projection(channels_in: int, channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(conv(channels_in, channels, 1, stride), norm(channels))


def layer(
    block: type[BasicBlock] | type[Bottleneck], channels_in: int, channels: int, count: int, stride: int = 1
) -> nn.Sequential:
    """`count` blocks of one width, the first with the stride."""
    first = block(channels_in, channels, stride)
    return nn.Sequential(first, *(block(channels * block.expansion, channels) for _ in range(count - 1)))


class ResNet(nn.Module):
    """ResNet-18 or -50 without the classifier: a `Backbone`. Pooled features are the mean of the last map."""

    def __init__(self, depth: int = 18, crop_size: int = 224):
        super().__init__()
        block = BasicBlock if depth == 18 else Bottleneck
        counts = BLOCKS[depth]
        self.crop_size = crop_size
        self.num_features = 512 * block.expansion
        self.normalise = Normalise()
        self.conv1 = conv(3, 64, 7, 2)
        self.bn1 = norm(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = layer(block, 64, 64, counts[0])
        self.layer2 = layer(block, 64 * block.expansion, 128, counts[1], 2)
        self.layer3 = layer(block, 128 * block.expansion, 256, counts[2], 2)
        self.layer4 = layer(block, 256 * block.expansion, 512, counts[3], 2)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Features:
        """RGB crops in [0, 1]; maps at 1/32, 1/16, 1/8 and 1/4 of the crop."""
        x = self.maxpool(conv_norm(self.normalise(pixels), self.conv1, self.bn1))
        maps: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.insert(0, x)
        return Features(x.mean((2, 3)), tuple(maps))
