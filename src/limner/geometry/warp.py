"""Crops of frames: the only place in limner that resamples pixels."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from limner.geometry.box import Squares
from limner.records import Rows


@dataclass(frozen=True)
class Crops(Rows):
    """Square cut-outs: pixels "B 3 S S" in [0, 1], where they came from, and which were mirrored left to right."""

    pixels: Float[Tensor, "B 3 S S"]
    squares: Squares
    mirrored: Bool[Tensor, "B"]

    def photo_from_unit(self, points: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 2"]:
        """[-1, 1] of the (possibly mirrored) crop to photo pixels."""
        return self.squares.photo_from_unit(_flip_x(points, self.mirrored))

    def unit_from_photo(self, points_px: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 2"]:
        """Photo pixels to [-1, 1] of the (possibly mirrored) crop."""
        return _flip_x(self.squares.unit_from_photo(points_px), self.mirrored)


def _flip_x(points: Tensor, mirrored: Tensor) -> Tensor:
    sign = torch.stack([1 - 2 * mirrored.to(points.dtype), torch.ones_like(mirrored, dtype=points.dtype)], -1)
    return points * sign[:, None]


def unit_grid(size: int, like: Tensor) -> Float[Tensor, "S S 2"]:
    """[-1, 1] coordinates (x, y) of the pixel centres of an S x S crop whose edges lie at +-1."""
    axis = _centres(size, like)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1)


def _centres(size: int, like: Tensor) -> Float[Tensor, "S"]:
    return (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5) * (2 / size) - 1


def resample(
    images: Float[Tensor, "B C H W"],
    squares: Squares,
    size: int,
    mirror: Bool[Tensor, "B"] | None = None,
    samples: int = 1,
) -> Float[Tensor, "B C S S"]:
    """Bilinear crops, differentiable in the images and in the squares; black outside the image.

    A pixel is the mean of samples x samples looks. No low-pass filter beyond: for crops that shrink the image more use
    `crop`, or images reduced before.
    """
    height, width = images.shape[-2:]
    # the map from the crop's [-1, 1] to the image's is affine: three points say all of it
    frame = images.new_tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).expand(len(squares), 3, 2)
    if mirror is not None:
        frame = _flip_x(frame, mirror)
    points = squares.photo_from_unit(frame) * (2 / images.new_tensor([width, height])) - 1
    center, along_x, along_y = points[:, 0], points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    axis = _centres(size, images)
    row = along_x[:, None, None] * axis[:, None]  # "B 1 S 2"
    column = along_y[:, None, None] * axis[:, None, None] + center[:, None, None]  # "B S 1 2"
    within = [((k + 0.5) / samples - 0.5) * (2 / size) for k in range(samples)]
    shifts = [along_x * x + along_y * y for y in within for x in within]
    looks = [
        grid_sample(
            images, row + (column + shift[:, None, None]), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        for shift in shifts
    ]
    return looks[0] if samples == 1 else sum(looks[1:], looks[0]) / len(looks)


@dataclass(frozen=True)
class Frames:
    """F pictures, photos or frames of clips, which may differ in size: pixels "3 H W" each, uint8 RGB."""

    pixels: tuple[UInt8[Tensor, "3 _ _"], ...]

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def size_px(self) -> Float[Tensor, "F 2"]:
        """Width and height of each, on the device of the pixels."""
        sizes = [(float(one.shape[2]), float(one.shape[1])) for one in self.pixels]
        return torch.tensor(sizes, device=self.pixels[0].device)

    def crop(
        self, frame: Int[Tensor, "B"], squares: Squares, size: int, mirror: Bool[Tensor, "B"] | None = None
    ) -> Crops:
        """Cut squares out of the frames at full resolution, anti-aliased when they shrink.

        Only the pixels under each square are read, so a 100-megapixel photo costs no more than a small one. Outside of
        a frame is black.
        """
        if mirror is None:
            mirror = torch.zeros_like(frame, dtype=torch.bool)
        cuts = [
            _crop_one(self.pixels[number], squares[i : i + 1], size, mirror[i : i + 1])
            for i, number in enumerate(frame.tolist())
        ]
        pixels = torch.cat(cuts) if cuts else torch.zeros(0, 3, size, size, device=squares.size_px.device)
        return Crops(pixels, squares, mirror)


def crop(photo: UInt8[Tensor, "3 H W"], squares: Squares, size: int, mirror: Bool[Tensor, "B"] | None = None) -> Crops:
    """Squares cut out of one photo: `Frames.crop`."""
    return Frames((photo,)).crop(torch.zeros_like(squares.size_px, dtype=torch.int64), squares, size, mirror)


def _block_means(pixels: UInt8[Tensor, "3 h w"], side: int) -> Float[Tensor, "3 i j"]:
    """Means of square blocks, the last ones of what there is of them: a third of the time of `avg_pool2d`."""
    sums = pixels[:, ::side].float().contiguous()
    for row in range(1, side):
        some = pixels[:, row::side]
        sums[:, : some.shape[1]] += some
    means = sums if side == 1 else sums[:, :, ::side].clone()
    for column in range(1, side):
        some = sums[:, :, column::side]
        means[:, :, : some.shape[2]] += some
    height, width = means.shape[1:]
    rows, columns = (means.new_full((count,), float(side)) for count in (height, width))
    rows[-1], columns[-1] = pixels.shape[1] - (height - 1) * side, pixels.shape[2] - (width - 1) * side
    return means if side == 1 else means / (rows[:, None] * columns)


def _crop_one(photo: Tensor, square: Squares, size: int, mirror: Tensor) -> Tensor:
    height, width = photo.shape[-2:]
    shrink = float(square.size_px[0]) / size
    reduce = max(1, int(shrink))  # whole-number box filter before, at most a factor of 2 is left for the grid
    corners = square.corners_px()[0]
    # 2 * reduce: room for the bilinear taps and for blocks that start at a multiple of `reduce`
    x0, y0 = ((corners.amin(0) / reduce).floor().long() * reduce - 2 * reduce).clamp_min(0).tolist()
    x1, y1 = (corners.amax(0).ceil().long() + 2 * reduce).tolist()
    x1, y1 = min(x1, width), min(y1, height)
    if x1 <= x0 or y1 <= y0:
        return torch.zeros(1, 3, size, size, device=photo.device)
    region = _block_means(photo[:, y0:y1, x0:x1], reduce)[None]  # 0 to 255 until the end: fewer pixels to divide
    moved = Squares(
        (square.center_px - square.center_px.new_tensor([x0, y0])) / reduce,
        square.size_px / reduce,
        square.angle_rad,
    )
    if shrink / reduce > 1.05:  # residual factor up to 2: four samples a pixel, averaged
        return resample(region, moved, size, mirror, samples=2).div_(255)
    return resample(region, moved, size, mirror).div_(255)
