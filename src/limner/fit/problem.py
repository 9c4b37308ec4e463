"""What does a stage of the fit minimise? The sum of the terms over its unknowns, as a problem for the solver."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.fit import terms
from limner.fit.points import KeypointLayer, Posed
from limner.fit.prior import PosePriors
from limner.fit.solver import Linearised
from limner.fit.terms import Residual
from limner.fit.unknowns import HAND_TURNS, Unknowns
from limner.geometry.camera import Camera


@dataclass(frozen=True)
class Seen:
    """N points of B people as a stage uses them: seen_px "B N 2", weight "B N" (0: ignored), sigma_px "B N"."""

    seen_px: Float[Tensor, "B N 2"]
    weight: Float[Tensor, "B N"]
    sigma_px: Float[Tensor, "B N"]
    camera: Camera

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, index: slice | Tensor) -> "Seen":
        return Seen(self.seen_px[index], self.weight[index], self.sigma_px[index], self.camera[index])


@dataclass(frozen=True)
class Anchor:
    """What a fit stays near: rotations "B 55 3 3" with stiffness "B 55" (1 / radian) up to a limit (in usual
    distances), and the depth of transl "B 3"."""

    pose: Float[Tensor, "B 55 3 3"]
    stiffness: Float[Tensor, "B 55"]
    transl: Float[Tensor, "B 3"]
    depth_stiffness: float
    limit: float = torch.inf

    def __getitem__(self, index: slice | Tensor) -> "Anchor":
        rows = (self.pose[index], self.stiffness[index], self.transl[index])
        return Anchor(*rows, self.depth_stiffness, self.limit)


@dataclass(frozen=True)
class Weights:
    """Which terms a stage has and how strong they are (1: calibrated)."""

    robust: float = 6.0
    body_pose: float = 1.0
    hand_pose: float = 1.0
    shape: float = 1.0
    upright: float = 1.0
    penetration: float = 0.0


@dataclass(frozen=True)
class FitProblem:
    """A stage's objective for B people; see `limner.fit.solver.Problem`. `layer` has the points of `seen`."""

    layer: KeypointLayer
    seen: Seen
    priors: PosePriors
    unknowns: Unknowns
    weights: Weights
    anchor: Anchor | None = None

    def __getitem__(self, index: Tensor) -> "FitProblem":
        anchor = None if self.anchor is None else self.anchor[index]
        return replace(self, seen=self.seen[index], anchor=anchor, priors=self.priors[index])

    def moved(self, state: BodyParams, step: Tensor) -> BodyParams:
        """Bodies after a step."""
        return self.unknowns.moved(state, step)

    def objective(self, state: BodyParams) -> Float[Tensor, "B"]:
        """Sum of all terms; infinite with a point behind the camera."""
        posed = self.layer(state)
        residual = terms.reprojection(posed.points, self.seen.camera, self.seen.seen_px, self.seen.sigma_px)
        robust = terms.geman_mcclure(residual.square().sum(-1), self.weights.robust)[0]
        value = (self.seen.weight * robust).sum(-1)
        for weight, term in self._priors(state):
            value = value + weight * (term.residual.square().sum(-1) + term.constant)
        if self.weights.penetration:
            depth = terms.penetration(posed, terms.capsules()).depth / terms.PENETRATION_SIGMA
            value = value + self.weights.penetration * depth.square().sum(-1)
        behind = (posed.points[..., 2] < terms.NEAREST_M).any(-1)
        return torch.where(behind | ~torch.isfinite(value), torch.inf, value)

    def linearised(self, state: BodyParams) -> Linearised:
        """Normal equations of all terms."""
        posed = self.layer(state)
        normal, gradient = self._data(state, posed)
        for weight, term in self._priors(state):
            _add(normal, gradient, weight, term)
        if self.weights.penetration:
            self._add_penetration(normal, gradient, posed)
        return Linearised(normal, gradient)

    def _data(self, state: BodyParams, posed: Posed) -> tuple[Tensor, Tensor]:
        camera, sigma = self.seen.camera, self.seen.sigma_px
        residual = terms.reprojection(posed.points, camera, self.seen.seen_px, sigma)
        weight = self.seen.weight * terms.geman_mcclure(residual.square().sum(-1), self.weights.robust)[1]
        axes = terms.reprojection_axes(posed.points, camera, sigma)
        root = weight.clamp_min(0).sqrt()[..., None]
        slope = self.layer.along(posed, self.unknowns, axes * root[..., None]).flatten(1, 2)
        return slope.mT @ slope, (slope * (residual * root).flatten(1)[..., None]).sum(1)

    def _priors(self, state: BodyParams) -> Iterator[tuple[float, Residual]]:
        """All terms but the points' and the penetration."""
        unknowns, weights = self.unknowns, self.weights
        yield weights.body_pose, terms.body_pose(self.priors.body, state, unknowns)
        yield 1.0, terms.hinges(state, unknowns)
        yield weights.upright, terms.upright(self.priors.upright, state, unknowns)
        if unknowns.num_betas:
            yield weights.shape, terms.coefficients(state.betas, unknowns.betas)
        if unknowns.num_expression:
            yield 1.0, terms.coefficients(state.expression, unknowns.expression)
        if JOINT["jaw"] in unknowns.joints:
            yield 1.0, terms.jaw(state, unknowns)
        for side, prior in (("left", self.priors.left_hand), ("right", self.priors.right_hand)):
            if HAND_TURNS[side][0] in unknowns.joints:
                yield weights.hand_pose, terms.hand_pose(prior, state, side, unknowns)
        if self.anchor is not None:
            joints = list(unknowns.joints)
            pose, near = state.full_pose()[:, joints], self.anchor.pose[:, joints]
            columns = unknowns.turns(unknowns.joints)
            stiff = self.anchor.stiffness[:, joints]
            yield 1.0, terms.near_rotations(pose, near, stiff, columns, self.anchor.limit)
            stiffness = self.anchor.depth_stiffness
            yield 1.0, terms.near_depth(state.transl, self.anchor.transl, stiffness, unknowns.translation)

    def _add_penetration(self, normal: Tensor, gradient: Tensor, posed: Posed) -> None:
        shape = terms.capsules()
        contact = terms.penetration(posed, shape)
        person, pair = (contact.depth > 0).nonzero(as_tuple=True)
        if not len(person):
            return
        touched, row = person.unique(return_inverse=True)
        used = (shape.ends.abs().sum((0, 1)) > 0).nonzero()[:, 0]
        some = posed.some(touched, used)
        eye = torch.eye(3, dtype=normal.dtype, device=normal.device).expand(len(touched), len(used), 3, 3)
        moves = self.layer.along(some, self.unknowns, eye)  # b n 3 C
        ends = shape.ends[shape.pairs].flatten(1, 2)[..., used].to(normal)  # Q 4 n
        axes = torch.einsum("qed,qen->qnd", contact.by_ends[person, pair], ends[pair])  # hits n 3
        slope = torch.einsum("qnd,qndc->qc", axes, moves[row]) / terms.PENETRATION_SIGMA
        depth = contact.depth[person, pair] / terms.PENETRATION_SIGMA
        weight = self.weights.penetration
        normal.index_add_(0, person, weight * slope[:, :, None] * slope[:, None])
        gradient.index_add_(0, person, weight * depth[:, None] * slope)


def _add(normal: Tensor, gradient: Tensor, weight: float, term: Residual) -> None:
    """Add a term to the normal equations in place; pinned columns are left out."""
    free = term.columns >= 0
    columns, slope = term.columns[free], term.slope
    if not bool(free.all()):
        slope = slope[..., free]
    if not len(columns):
        return
    gradient[:, columns] += weight * (slope * term.residual[..., None]).sum(1)
    first, last = int(columns[0]), int(columns[-1]) + 1
    square = weight * (slope.mT @ slope)
    if last - first == len(columns):
        normal[:, first:last, first:last] += square
    else:
        normal[:, columns[:, None], columns] += square
