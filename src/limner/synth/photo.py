"""What a camera does to what it sees: exposure, lens and motion blur, resolution, noise and JPEG blocks."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from limner.geometry.warp import unit_grid
from limner.records import Rows
from limner.synth.chance import coin, log_uniform, normal, uniform


@dataclass(frozen=True)
class PhotoStyle(Rows):
    """Imperfections of B photos.

    exposure "B", white "B 3" colour gains, contrast "B" and saturation "B" (1 is neutral), pixel_px "B" size of a true
    sensor pixel in pixels of the virtual photo, blur "B" lens blur in true pixels, motion "B 2" path of the camera in
    true pixels while the shutter was open, noise "B" of bright pixels, chroma "B" share of coloured noise,
    quality "B" of JPEG in [0, 1] (1: no blocks).
    """

    exposure: Float[Tensor, "B"]
    white: Float[Tensor, "B 3"]
    contrast: Float[Tensor, "B"]
    saturation: Float[Tensor, "B"]
    pixel_px: Float[Tensor, "B"]
    blur: Float[Tensor, "B"]
    motion: Float[Tensor, "B 2"]
    noise: Float[Tensor, "B"]
    chroma: Float[Tensor, "B"]
    quality: Float[Tensor, "B"]


def sample_styles(count: int, person_px: Float[Tensor, "B"], generator: Generator) -> PhotoStyle:
    """Photo styles; `person_px` is how high the person is in the virtual photo: true photos show them at 90-1200 px."""
    n = (count,)
    small = coin(generator, n, 0.3)
    true_height = torch.where(small, log_uniform(generator, n, 110, 420), log_uniform(generator, n, 350, 1600))
    warmth = normal(generator, n, 0.08)
    tint = normal(generator, n, 0.04)
    white = torch.stack([warmth, tint, -warmth], -1).exp()
    moving = coin(generator, n, 0.1) * log_uniform(generator, n, 2.0, 9.0)
    direction = uniform(generator, n, 0, torch.pi)
    return PhotoStyle(
        exposure=normal(generator, n, 0.32, limit=2).exp(),
        white=white,
        contrast=normal(generator, n, 0.14, limit=2).exp(),
        saturation=torch.where(coin(generator, n, 0.05), 0.0, normal(generator, n, 0.16, limit=2).exp()),
        pixel_px=(person_px / true_height).clamp_min(0.2),
        blur=torch.where(coin(generator, n, 0.25), uniform(generator, n, 0.3, 1.8), uniform(generator, n, 0.15, 0.5)),
        motion=torch.stack([direction.cos(), direction.sin()], -1) * moving[:, None],
        noise=log_uniform(generator, n, 0.002, 0.04),
        chroma=uniform(generator, n, 0.1, 0.5),
        quality=torch.where(coin(generator, n, 0.75), uniform(generator, n, 0.35, 0.97), 1.0),
    )


def develop(
    linear: Float[Tensor, "B R R 3"],
    style: PhotoStyle,
    square_px: Float[Tensor, "B"],
    size: int,
    generator: Generator,
) -> Float[Tensor, "B 3 S S"]:
    """The finished crop, [0, 1], of what fell on the sensor.

    `linear` is drawn at R >= S pixels (linear light), `square_px` is the side of the crop in virtual photo pixels. The
    crop is brought to the resolution the true photo would have, noise and JPEG come on there, then it is enlarged.
    """
    # nobody crops what is a mere dozen pixels wide
    true_pixels = (square_px / style.pixel_px).clamp(0.16 * size, size)
    exposed = (linear * (style.exposure[:, None] * style.white)[:, None, None]).clamp(0, 4)
    down = resampling(true_pixels, linear.shape[1], size, style.blur)
    small = _tone(_both_ways(down, _smear(exposed, style, true_pixels)), style)
    small = _jpeg(_noise(small, style, generator), style.quality)
    rows = (true_pixels.round() < size).nonzero()[:, 0]
    if len(rows) > 0:
        up = enlargement(true_pixels[rows], size)
        small = small.index_copy(0, rows, _both_ways(up, small[rows]))
    return small.clamp(0, 1).permute(0, 3, 1, 2)


def _both_ways(
    matrix: Float[Tensor, "B rows source"], images: Float[Tensor, "B source source 3"]
) -> Float[Tensor, "B rows rows 3"]:
    """Rows and columns of each image resampled by the image's own matrix: two large products."""
    down = torch.bmm(matrix, images.flatten(2)).unflatten(2, images.shape[2:])  # B rows source 3
    across = torch.bmm(matrix, down.transpose(1, 2).flatten(2))  # columns, then (rows, colour)
    return across.unflatten(2, (-1, images.shape[-1])).transpose(1, 2).contiguous()


def _tone(x: Tensor, style: PhotoStyle) -> Tensor:
    """Exposed linear light to display values: a soft shoulder, sRGB curve, contrast, saturation."""
    # straight up to 0.6, then rolling off towards 1 as film does
    x = torch.where(x > 0.6, 0.6 + 0.4 * (1 - torch.exp(-(x - 0.6) / 0.4)), x)
    x = torch.where(x > 0.0031308, 1.055 * x.clamp_min(1e-8) ** (1 / 2.4) - 0.055, 12.92 * x)
    grey = (x[..., :1] + x[..., 1:2] + x[..., 2:]) / 3
    x = torch.lerp(grey, x, style.saturation[:, None, None, None])
    return ((x - 0.45) * style.contrast[:, None, None, None] + 0.45).clamp(0, 1)


def resampling(
    pixels: Float[Tensor, "B"], source: int, rows: int, blur: Float[Tensor, "B"]
) -> Float[Tensor, "B rows source"]:
    """Matrices that reduce a line of `source` samples to round(pixels) ones (the first rows; the others are zero).

    Each result is the mean under a Gaussian of a pixel's own width, widened by `blur` pixels.
    """
    count = pixels.round()[:, None, None]
    row = torch.arange(rows, device=pixels.device)[None, :, None]
    column = (torch.arange(source, device=pixels.device)[None, None] + 0.5) / source * count
    sigma = (0.16 + blur.square()).sqrt()[:, None, None]
    # not narrower than the samples themselves, or lines would be lost between them
    sigma = torch.maximum(sigma, 0.4 * count / source)
    weight = torch.exp(-0.5 * ((column - row - 0.5) / sigma).square()) * (row < count)
    return weight / weight.sum(-1, keepdim=True).clamp_min(1e-9)


def enlargement(pixels: Float[Tensor, "B"], size: int) -> Float[Tensor, "B S S"]:
    """Matrices that interpolate linearly from the first round(pixels) samples of a line to `size` samples."""
    count = pixels.round()[:, None, None]
    row = torch.arange(size, device=pixels.device)[None, :, None]
    column = torch.arange(size, device=pixels.device)[None, None]
    position = torch.minimum(((row + 0.5) / size * count - 0.5).clamp_min(0), count - 1)
    return (1 - (position - column).abs()).clamp_min(0) * (column < count)


def _smear(images: Tensor, style: PhotoStyle, true_pixels: Tensor) -> Tensor:
    """Motion blur along a straight path, for the few photos that have it."""
    moving = style.motion.abs().amax(-1) > 0
    chosen = moving.nonzero()[:, 0]
    if len(chosen) == 0:
        return images
    blurred = images[chosen].permute(0, 3, 1, 2)
    path = style.motion[chosen] / true_pixels[chosen, None]  # as a share of the crop
    taps = torch.linspace(-1, 1, 9, device=images.device)
    grid = unit_grid(images.shape[1], images).expand(len(chosen), -1, -1, -1)
    total = torch.zeros_like(blurred)
    for tap in taps:
        moved = grid + (path * tap)[:, None, None]
        total = total + grid_sample(blurred, moved, padding_mode="border", align_corners=False)
    return images.index_copy(0, chosen, (total / len(taps)).permute(0, 2, 3, 1))


def _noise(images: Tensor, style: PhotoStyle, generator: Generator) -> Tensor:
    """Shot and read noise, partly coloured."""
    grey = torch.randn(images[..., :1].shape, generator=generator, device=images.device)
    color = torch.randn(images.shape, generator=generator, device=images.device)
    chroma = style.chroma[:, None, None, None]
    level = style.noise[:, None, None, None] * (0.4 + images.clamp_min(0)).sqrt()
    return (images + (grey * (1 - chroma) + color * chroma) * level).clamp(0, 1)


_LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def _jpeg(images: Tensor, quality: Float[Tensor, "B"]) -> Tensor:
    """What JPEG keeps at a quality (IJG scale / 100): quantised 8 x 8 cosine blocks of luma and, coarser, chroma."""
    lossy: Bool[Tensor, "B"] = quality < 1
    size = images.shape[1]
    if size % 8 or not bool(lossy.any()):
        return images
    matrix = images.new_tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    k = torch.arange(8, device=images.device, dtype=images.dtype)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    ycc = (images @ (matrix.T * 255)).permute(0, 3, 1, 2)
    blocks = ycc.unfold(2, 8, 8).unfold(3, 8, 8)
    cosines = basis @ (blocks - 128 * (torch.arange(3, device=images.device) == 0)[:, None, None, None, None]) @ basis.T
    scale = torch.where(quality < 0.5, 0.5 / quality.clamp_min(0.02), 2 - 2 * quality).clamp_min(0.02)
    table = images.new_tensor(_LUMA_TABLE).view(8, 8)
    chroma = (17 + 17 * (k[None] + k[:, None])).clamp_max(99)  # close to the standard's table
    tables = torch.stack([table, chroma, chroma])[None, :, None, None]
    step = (tables * scale[:, None, None, None, None, None]).clamp_min(1)
    kept = basis.T @ (torch.round(cosines / step) * step) @ basis
    flat = kept.permute(0, 1, 2, 4, 3, 5).reshape(ycc.shape)
    flat = flat + 128 * (torch.arange(3, device=images.device) == 0)[:, None, None]
    result = flat.permute(0, 2, 3, 1) @ (torch.linalg.inv(matrix).T / 255)
    return torch.where(lossy[:, None, None, None], result, images)
