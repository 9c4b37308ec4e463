"""Random numbers from an explicit generator, on its device, whole batches at a time."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor


def uniform(
    generator: Generator, shape: tuple[int, ...], low: float | int = 0.0, high: float | int = 1.0
) -> Float[Tensor, "..."]:
    """Evenly spread numbers in [low, high)."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(
    generator: Generator, shape: tuple[int, ...], low: float | int, high: float | int
) -> Float[Tensor, "..."]:
    """Numbers in [low, high) whose logarithm is evenly spread: every ratio is as likely as its double."""
    return low * (high / low) ** uniform(generator, shape)


def normal(
    generator: Generator, shape: tuple[int, ...], sigma: float | int = 1.0, limit: float | int = 3.0
) -> Float[Tensor, "..."]:
    """Gaussian numbers of mean 0, clamped at `limit` sigmas."""
    return torch.randn(shape, generator=generator, device=generator.device).clamp(-limit, limit) * sigma


def coin(generator: Generator, shape: tuple[int, ...], chance: float) -> Bool[Tensor, "..."]:
    """True with the given chance."""
    return torch.rand(shape, generator=generator, device=generator.device) < chance


def pick(generator: Generator, weights: Float[Tensor, "N"], count: int) -> Int[Tensor, "count"]:
    """Indices drawn with chances in proportion to `weights`, with replacement."""
    return torch.multinomial(weights, count, replacement=True, generator=generator)
