"""Priors of body and hand poses: mixtures of Gaussians that ship with limner, or an owner's VPoser."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.errors import WeightsError
from limner.geometry.rotation import (
    mirror_rotation,
    nearest_rotation,
    rotation_from_axis_angle,
    rotation_to_axis_angle,
    rotvec_and_slope,
    skew,
)
from limner.reading.tensor_file import read_tensors
from limner.reading.told import told_as
from limner.records import Rows

PRIOR_FILE = "pose_prior.safetensors"


TYPICAL = 10
"""So many mean poses of the body's likeliest Gaussians serve as starts."""


@dataclass(frozen=True)
class Residual(Rows):
    """A linearised term of the objective: cost = |residual|^2 + constant.

    residual "B M"; slope "B M T": how it changes with its T unknowns (of a pose: when its joints are turned about their
    own axes); constant "B" >= 0, None: none.
    """

    residual: Float[Tensor, "B M"]
    slope: Float[Tensor, "B M T"]
    constant: Float[Tensor, "B"] | None = None

    @property
    def cost(self) -> Float[Tensor, "B"]:
        """Twice the negative log-likelihood, up to a constant that is the same for everybody."""
        squared = self.residual.square().sum(-1)
        return squared if self.constant is None else squared + self.constant


@runtime_checkable
class PosePrior(Protocol):
    """What a fit asks of a prior of local joint rotations "B J 3 3"."""

    def __call__(self, pose: Float[Tensor, "B J 3 3"]) -> Residual:
        """The prior at some poses."""


@dataclass(frozen=True)
class MixturePrior:
    """K Gaussians over the rotation vectors of J joints; the likeliest one counts (SMPLify, Bogo et al. 2016, eq. 4).

    reference "J 3 3": rotation vectors are taken relative to these rotations, so that they stay well below a half turn;
    mean "K 3J"; whitening "K 3J 3J": |whitening @ (x - mean)|^2 is the squared Mahalanobis distance; cost "K": what a
    component adds for being rare or wide, the least is 0.
    """

    reference: Float[Tensor, "J 3 3"]
    mean: Float[Tensor, "K T"]
    whitening: Float[Tensor, "K T T"]
    cost: Float[Tensor, "K"]

    def __call__(self, pose: Float[Tensor, "B J 3 3"], held: Int[Tensor, "B"] | None = None) -> Residual:
        """The prior at some poses; held: the Gaussian that counts for each instead of the likeliest."""
        vector, slope = rotvec_and_slope(self.reference.mT @ pose)
        apart = vector.flatten(1)[:, None] - self.mean  # B K T
        residual = torch.einsum("kij,bkj->bki", self.whitening, apart)
        best = (residual.square().sum(-1) + self.cost).argmin(1) if held is None else held
        people = torch.arange(len(best), device=best.device)
        white = self.whitening[best].unflatten(2, (-1, 3))  # B T J 3
        by_turn = torch.einsum("btjc,bjcd->btjd", white, slope).flatten(2)
        return Residual(residual[people, best], by_turn, self.cost[best])

    def likeliest(self, pose: Float[Tensor, "B J 3 3"]) -> Int[Tensor, "B"]:
        """Which Gaussian explains each pose best."""
        return self.costs(pose).argmin(1)

    def costs(self, pose: Float[Tensor, "B J 3 3"]) -> Float[Tensor, "B K"]:
        """What each pose costs with each of the Gaussians."""
        vector = rotation_to_axis_angle(self.reference.mT @ pose).flatten(1)
        white = torch.einsum("kij,bkj->bki", self.whitening, vector[:, None] - self.mean)
        return white.square().sum(-1) + self.cost

    def poses(self) -> Float[Tensor, "K J 3 3"]:
        """The components' mean poses."""
        return self.reference @ rotation_from_axis_angle(self.mean.unflatten(1, (-1, 3)))


@dataclass(frozen=True)
class UprightPrior:
    """Which way is up in the photo for the pelvis, given the likeliest Gaussian of the body pose.

    Most cameras are held level and most people stand or sit; up "K 3" in the pelvis' axes and whitening "K 3 3". The
    cost of lying or of a tilted camera is bounded by `limit` (Geman-McClure is applied by the caller).
    """

    body: MixturePrior
    up: Float[Tensor, "K 3"]
    whitening: Float[Tensor, "K 3 3"]

    def __call__(self, orient: Float[Tensor, "B 3 3"], pose: Float[Tensor, "B 21 3 3"]) -> Residual:
        """The prior at some orientations in camera axes (y down)."""
        best = self.body.likeliest(pose)
        up = -orient[:, 1]
        white = self.whitening[best]
        residual = (white @ (up - self.up[best])[..., None])[..., 0]
        return Residual(residual, white @ skew(up))  # a turn d about the pelvis' own axes moves `up` by up x d


@dataclass(frozen=True)
class MirroredPrior:
    """A prior of right hands for left hands."""

    prior: PosePrior

    def __call__(self, pose: Float[Tensor, "B J 3 3"]) -> Residual:
        """The prior of the mirrored pose; a turn about x keeps its sign in a mirror, the others change it."""
        at = self.prior(mirror_rotation(pose))
        sign = pose.new_tensor([1.0, -1.0, -1.0]).repeat(pose.shape[1])
        return Residual(at.residual, at.slope * sign, at.constant)


@dataclass(frozen=True)
class PosePriors:
    """The priors of a fit: body pose "B 21 3 3", left and right hand "B 15 3 3"."""

    body: PosePrior
    left_hand: PosePrior
    right_hand: PosePrior
    upright: UprightPrior
    typical_body: Float[Tensor, "K 21 3 3"]
    typical_hand: Float[Tensor, "15 3 3"]


def load_priors(path: str | Path) -> PosePriors:
    """The priors of a file that `tools/build_pose_prior.py` made. Raises WeightsError."""
    cure = (
        "It is no pose prior that limner can read: expected a file made by tools/build_pose_prior.py. Install limner "
        "again, or build the file anew."
    )
    with told_as(WeightsError, path, cure):
        arrays = {name: value.float() for name, value in read_tensors(Path(path))[0].items()}
        body, hand = (
            MixturePrior(
                nearest_rotation(arrays[f"{part}.reference"]),  # half precision is no longer a rotation
                *(arrays[f"{part}.{name}"] for name in ("mean", "whitening", "cost")),
            )
            for part in ("body", "hand")
        )
        upright = UprightPrior(body, arrays["body.up"], arrays["body.up_whitening"])
    typical = body.poses()[body.cost.argsort()[:TYPICAL]]
    # a hand's likeliest Gaussian may be a fist: the mean of all hands is near enough to every one
    return PosePriors(body, MirroredPrior(hand), hand, upright, typical, hand.reference)


@cache
def shipped_priors() -> PosePriors:
    """The priors that ship with limner (docs/cards/pose-prior.md)."""
    return load_priors(Path(str(files("limner.assets") / PRIOR_FILE)))
