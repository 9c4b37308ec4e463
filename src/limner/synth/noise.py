"""What is uneven on skin, hair and cloth: smooth random numbers at places of a surface."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

_CELLS = 192
# Noise is two-dimensional; places on the surface are projected onto it along an odd direction, so that hardly any part
# of the body runs along it.
_PROJECTION = ((0.82, -0.27, 0.58), (0.31, 0.91, 0.44))


def noise_image(generator: Generator) -> Float[Tensor, "1 3 C C"]:
    """Smooth random numbers of about unit variance, three at each place."""
    shape = (1, 3, _CELLS, _CELLS)
    return torch.randn(shape, generator=generator, device=generator.device).clamp(-2, 2) * 1.4


def noise_at(image: Float[Tensor, "1 3 C C"], places: Float[Tensor, "3 N"]) -> Float[Tensor, "3 N"]:
    """Noise at places in cells of the image (it repeats, mirrored)."""
    return noise_on(image, places.new_tensor(_PROJECTION) @ places)


def noise_on(image: Float[Tensor, "1 3 C C"], places: Float[Tensor, "2 N"]) -> Float[Tensor, "3 N"]:
    """As `noise_at`, for places on a plane."""
    grid = places.mT * (2 / _CELLS)
    return grid_sample(image, grid[None, None], padding_mode="reflection", align_corners=False)[0, :, 0]
