"""The objective of a stage of the fit: the sum of its terms over its unknowns, as a problem for the solver."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.fit import terms
from limner.fit.points import KeypointLayer, Posed
from limner.fit.prior import MixturePrior, PosePriors, Residual
from limner.fit.proximity import ProximityPrior
from limner.fit.terms import Contact
from limner.fit.unknowns import BODY_TURNS, HAND_TURNS, Unknowns
from limner.optimise.points import ObservedPoints, Reprojected
from limner.optimise.solver import Linearised
from limner.records import Rows


@dataclass(frozen=True)
class Term(Rows):
    """A residual, and the columns of the unknowns that its slope is by (-1: a pinned one)."""

    at: Residual
    columns: Sequence[int] = field(metadata={"shared": True})


@dataclass(frozen=True)
class FitForward(Rows):
    """What is worked out once at a state: the posed bodies, their points as seen, all terms but the points', and, where
    it counts, how deep limbs lie in each other."""

    posed: Posed
    reprojected: Reprojected
    terms: tuple[Term, ...]
    contact: Contact | None


@dataclass(frozen=True)
class FitProblem(Rows):
    """A stage's objective for B people; see `limner.optimise.solver.Problem`.

    observed: the points of `layer`; penetration: whether limbs in each other cost; near: what the bodies stay near;
    held "B": the Gaussian of a mixture prior of the body pose that counts for each, instead of the likeliest.
    """

    observed: ObservedPoints
    layer: KeypointLayer = field(metadata={"shared": True})
    priors: PosePriors = field(metadata={"shared": True})
    unknowns: Unknowns = field(metadata={"shared": True})
    penetration: bool = field(default=False, metadata={"shared": True})
    near: ProximityPrior | None = None
    held: Int[Tensor, "B"] | None = None

    def moved(self, state: BodyParams, step: Tensor) -> BodyParams:
        """Bodies after a step."""
        return self.unknowns.moved(state, step)

    def forward(self, state: BodyParams) -> FitForward:
        """Bodies and terms at a state."""
        posed = self.layer(state)
        contact = terms.penetration(posed) if self.penetration else None
        return FitForward(posed, self.observed.at(posed.points), tuple(self._terms(state)), contact)

    def cost(self, state: BodyParams) -> Float[Tensor, "B"]:
        """The objective of a state that was not looked at yet."""
        return self.objective(state, self.forward(state))

    def objective(self, state: BodyParams, forward: FitForward) -> Float[Tensor, "B"]:
        """Sum of all terms; infinite with a point behind the camera."""
        value = self.observed.cost(forward.reprojected)
        for term in forward.terms:
            value = value + term.at.cost
        if forward.contact is not None:
            value = value + (forward.contact.depth / terms.PENETRATION_SIGMA).square().sum(-1)
        return torch.where(torch.isfinite(value), value, torch.inf)

    def linearised(self, state: BodyParams, forward: FitForward) -> Linearised:
        """Normal equations of all terms."""
        residual, slopes = self.observed.linearised(forward.reprojected)
        slope = self.layer.along(forward.posed, self.unknowns, slopes).flatten(1, 2)
        normal, gradient = slope.mT @ slope, (slope.mT @ residual[..., None])[..., 0]
        for term in forward.terms:
            _add(normal, gradient, term)
        if forward.contact is not None:
            self._add_penetration(normal, gradient, forward.posed, forward.contact)
        return Linearised(normal, gradient)

    def _terms(self, state: BodyParams) -> Iterator[Term]:
        """All terms but the points' and the penetration."""
        unknowns, prior = self.unknowns, self.priors.body
        held = prior(state.body_pose, self.held) if isinstance(prior, MixturePrior) else prior(state.body_pose)
        yield Term(held, unknowns.turns(BODY_TURNS[1:]))
        yield Term(terms.hinges(state), unknowns.turns(tuple(terms.HINGES)))
        yield Term(terms.upright(self.priors.upright, state), unknowns.turns(BODY_TURNS[:1]))
        if unknowns.num_betas:
            yield Term(terms.coefficients(state.betas), unknowns.betas)
        if unknowns.num_expression:
            yield Term(terms.coefficients(state.expression), unknowns.expression)
        if JOINT["jaw"] in unknowns.joints:
            yield Term(terms.jaw(state), unknowns.turns((JOINT["jaw"],)))
        for side, hand, pose in (
            ("left", self.priors.left_hand, state.left_hand_pose),
            ("right", self.priors.right_hand, state.right_hand_pose),
        ):
            if HAND_TURNS[side][0] in unknowns.joints:
                yield Term(hand(pose), unknowns.turns(HAND_TURNS[side]))
        if self.near is not None:
            joints = list(unknowns.joints)
            there, stiffness = self.near.pose[:, joints], self.near.stiffness[:, joints]
            at = terms.near_rotations(state.full_pose()[:, joints], there, stiffness, self.near.limit)
            yield Term(at, unknowns.turns(joints))
            at = terms.near_depth(state.transl, self.near.transl, self.near.depth_stiffness)
            yield Term(at, unknowns.translation)

    def _add_penetration(self, normal: Tensor, gradient: Tensor, posed: Posed, contact: Contact) -> None:
        shape = terms.capsules(normal.device)
        person, pair = (contact.depth > 0).nonzero(as_tuple=True)
        touched, row = person.unique(return_inverse=True)
        used = (shape.ends.abs().sum((0, 1)) > 0).nonzero()[:, 0]
        some = posed.some(touched, used)
        eye = torch.eye(3, dtype=normal.dtype, device=normal.device).expand(len(touched), len(used), 3, 3)
        moves = self.layer.along(some, self.unknowns, eye)  # b n 3 C
        ends = shape.ends[shape.pairs].flatten(1, 2)[..., used].to(normal)  # Q 4 n
        axes = torch.einsum("qed,qen->qnd", contact.by_ends[person, pair], ends[pair])  # hits n 3
        slope = torch.einsum("qnd,qndc->qc", axes, moves[row]) / terms.PENETRATION_SIGMA
        depth = contact.depth[person, pair] / terms.PENETRATION_SIGMA
        normal.index_add_(0, person, slope[:, :, None] * slope[:, None])
        gradient.index_add_(0, person, depth[:, None] * slope)


def _add(normal: Tensor, gradient: Tensor, term: Term) -> None:
    """Add a term to the normal equations in place; pinned columns are left out."""
    free = [k for k, column in enumerate(term.columns) if column >= 0]
    columns, slope = [term.columns[k] for k in free], term.at.slope
    if not columns:
        return
    if len(free) < len(term.columns):
        slope = slope[..., free]
    gradient[:, columns] += (slope * term.at.residual[..., None]).sum(1)
    square, first, last = slope.mT @ slope, columns[0], columns[-1] + 1
    if last - first == len(columns):
        normal[:, first:last, first:last] += square
    else:
        rows = torch.tensor(columns, device=normal.device)
        normal[:, rows[:, None], rows] += square
