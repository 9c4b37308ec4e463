"""Fits of people to 2D keypoints, from the start to their status: the whole method, top to bottom."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from limner.body.keypoints import EXTRA_VERTEX_NAMES, INNER_FACE_NAMES, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS
from limner.fit.depth_flips import with_better_flips
from limner.fit.points import POINTS, KeypointLayer
from limner.fit.prior import PosePriors, shipped_priors
from limner.fit.proximity import loosened, near_estimate
from limner.fit.records import SCORES, SWAPS, Fits, FitTargets, join_fits, swapped_targets
from limner.fit.search import (
    Hypotheses,
    descended,
    distinct,
    judged,
    mean_hypotheses,
    some_descended,
    with_better_gaussians,
)
from limner.fit.stage import Stage, measured_sigma
from limner.fit.status import Finding, reprojections, rows_without, scores_of, status_of, usable, with_usable_points
from limner.fit.unknowns import BODY_TURNS, WHOLE_TURNS, Unknowns
from limner.optimise.solver import SolverOptions
from limner.records import choose, join, put

THREE = ("index3", "middle3", "pinky3")
KNUCKLES = tuple(f"{side}_{finger}1" for side in ("left", "right") for finger in ("index", "pinky"))
COARSE_POINTS = tuple(sorted(indices_of(BODY_JOINTS + EXTRA_VERTEX_NAMES[:11] + KNUCKLES)))
"""Points that say where trunk, limbs, head and wrists are."""
BODY_POINTS = tuple(sorted({*COARSE_POINTS, *indices_of(INNER_FACE_NAMES)}))
FINGERS = tuple(f"{side}_{name}" for side in ("left", "right") for name in ("thumb2", "thumb3", *THREE))
LIMB_POINTS = tuple(sorted({*COARSE_POINTS, *indices_of(FINGERS)}))
"""Fingers say which way an arm is twisted."""

MIDDLE_MARGIN, FINE_MARGIN = 200.0, 40.0
"""Bodies that cost so much more than the person's best after a stage are given up."""
DOUBTED_TOGETHER = 8
"""People of so many batches who fit badly are fitted again together: one alone costs as much as seven of a batch."""
SWAPPED_RATIO = 0.6
"""An estimate this much nearer to the exchanged points makes them suspicious."""


@dataclass(frozen=True)
class FitOptions:
    """Numbers of a fit.

    batch           so many people at once
    views, extra    yaws tried from typical poses, and further pairs of pose and yaw
    kept, finalists how many of them go on to the body's stages, and how many different ones at most to the end
    retry           whether badly fitting people with a start are fitted from typical poses too
    try_swaps       whether badly fitting people are fitted again with left and right exchanged
    doubtful        a body reprojection (share of the box) that counts as bad for both
    strange         a negative log-likelihood of the body pose that does, too
    swap_gain       the exchange must lower the objective to this share to be believed
    """

    batch: int = 64
    views: int = 8
    extra: int = 16
    kept: int = 10
    finalists: int = 3
    try_swaps: bool = True
    retry: bool = True
    doubtful: float = 0.035
    strange: float = 125.0
    swap_gain: float = 0.8


class Fitter:
    """Fits SMPL-X people to 2D keypoints, many at once: no networks, no photo.

    fitter = Fitter(BodyModel.load())
    fits = fitter(targets)                  # from typical poses, several views tried
    fits = fitter(targets, start=params)    # from an estimate

    The method is SMPLify-X (Pavlakos et al., CVPR 2019): a camera from the seen points, the body from coarse to fine,
    then body, hands and face together; what is new is in docs/fitting.md.
    """

    def __init__(self, model: BodyModel, options: FitOptions | None = None, priors: PosePriors | None = None):
        """`priors`: those that ship with limner, or with an owner's VPoser (`limner.fit.vposer.owned_priors`).

        Doubts and statuses always ask limner's own prior, by which their limits were set.
        """
        self.options = options or FitOptions()
        self.priors = priors or shipped_priors()
        self.model = model.keypoints_only()
        some, more, every = (KeypointLayer(self.model, k) for k in (COARSE_POINTS, BODY_POINTS, tuple(range(POINTS))))
        turns = Unknowns(BODY_TURNS, 0, 0)
        body = Unknowns(BODY_TURNS, model.num_betas, 0)
        whole = Unknowns(WHOLE_TURNS, model.num_betas, model.num_expression)

        limbs = KeypointLayer(self.model, LIMB_POINTS)
        # errors shrink from stage to stage, and so does what counts as an outlier: from 40 to 6 % of the box
        self.coarse = Stage(some, self.priors, turns, 10.0, 0.04, SolverOptions(15, 5e-3, 1))
        self.middle = Stage(more, self.priors, body, 12.0, 0.02, SolverOptions(15, 3e-3, 1))
        self.fine = Stage(more, self.priors, body, 10.0, 0.01, SolverOptions(20, 1e-3, 1))
        self.whole = Stage(every, self.priors, whole, 8.0, 0.012, SolverOptions(15, 3e-3, 1), penetration=True)
        self.final = replace(self.whole, robust=6.0, solver=SolverOptions(40, 1e-3, 2))
        # what an estimate needs before its limbs are bent: they descend further then
        self.closer = replace(self.middle, layer=limbs, solver=SolverOptions(4, 3e-3, 1))
        self.freed = replace(self.fine, solver=SolverOptions(4, 1e-3, 1))
        # an estimate's hands and face are near: a few steps tell the errors of the points
        first = replace(self.whole, solver=SolverOptions(3, 3e-3, 1))
        # a few steps more, and exact points show how exact they are
        second = replace(self.final, solver=SolverOptions(3, 1e-3, 1))
        self.far = self.whole, second, self.final
        self.near = first, second, replace(self.final, solver=SolverOptions(40, 2e-3, 1))
        # limbs are bent by their own points: the face's would only take time
        self.limbs = replace(self.fine, layer=limbs, solver=SolverOptions(8, 1e-3, 1))
        pinned = Unknowns(WHOLE_TURNS, 0, model.num_expression)
        self.frame = replace(self.whole, unknowns=pinned, solver=SolverOptions(15, 1e-3, 1))

    @torch.no_grad()
    def __call__(
        self,
        targets: FitTargets,
        start: BodyParams | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Fits:
        """Fit B people. `start`: their estimates in camera axes (`transl` included); else typical poses are tried.

        progress: called with (people done, people in all) after each batch.
        """
        parts, block = [], DOUBTED_TOGETHER * self.options.batch
        for first in range(0, len(targets), block):
            rows = slice(first, first + block)

            def told(done: int, first: int = first) -> None:
                if progress is not None:
                    progress(first + done, len(targets))

            parts.append(self._fit_block(targets[rows], None if start is None else start[rows], told))
        if not parts:
            return self.with_status(targets, [], None, start)
        return join_fits(parts)

    def _fit_block(self, given: FitTargets, start: BodyParams | None, told: Callable[[int], None]) -> Fits:
        """Sort out who can be fitted, fit, doubt, judge."""
        why_not = usable(given)
        rows = rows_without(why_not, given.boxes.device)
        targets = with_usable_points(given[rows])
        finding = None
        if len(rows):
            estimate = None if start is None else start[rows]
            finding = self._doubted(targets, self._once(targets, estimate, told), estimate)
        told(len(given))
        return self.with_status(given, why_not, finding, start)

    def _once(
        self, targets: FitTargets, estimate: BodyParams | None, told: Callable[[int], None] | None = None
    ) -> Finding:
        """Fits from one kind of start, batch by batch."""
        parts: list[Finding] = []
        for first in range(0, len(targets), self.options.batch):
            if told is not None and first:
                told(first)
            rows = slice(first, first + self.options.batch)
            some = targets[rows]
            parts.append(self._from_mean(some) if estimate is None else self._from_estimate(some, estimate[rows]))
        return join(parts)

    def _from_mean(self, targets: FitTargets) -> Finding:
        """Typical poses from all sides; the best few descend, body first, coarse to fine."""
        o = self.options
        tried = mean_hypotheses(self.model, targets, self.coarse, self.priors, o.views, o.extra)
        tried = descended(tried, targets, self.coarse)
        tried = descended(judged(tried, targets, self.middle).best(o.kept), targets, self.middle)
        measured = self._measured(self.fine, targets, tried.best(1).params)
        tried = judged(tried, measured, self.fine)
        tried = some_descended(tried, distinct(tried, o.finalists + 1, MIDDLE_MARGIN), measured, self.fine)
        first = tried.best(1).params
        bent = with_better_flips(self.model, first, self._measured(self.fine, measured, first), self.limbs)
        bent = judged(bent, measured, self.fine)
        tried = Hypotheses(*join([(bent.params, bent.objective), (tried.params, tried.objective)]))
        return self._best_end(targets, tried)

    def _best_end(self, targets: FitTargets, tried: Hypotheses) -> Finding:
        """Each person's best few bodies to the end, and the one that costs least by the least errors of all of them."""
        rows = distinct(tried, self.options.finalists, FINE_MARGIN)
        who = tried.rows[rows]
        ends = self._whole(targets[who], tried.params[rows], self.far)
        least = ends.sigma.new_full((len(targets), ends.sigma.shape[1]), torch.inf)
        least = least.scatter_reduce(0, who[:, None].expand_as(ends.sigma), ends.sigma, "amin")
        objective = self.final.cost(replace(ends.targets, sigma=least[who]), ends.params)
        first = [(who == k).nonzero()[:, 0][objective[who == k].argmin()] for k in range(len(targets))]
        return ends[torch.stack(first)]

    def _from_estimate(self, targets: FitTargets, estimate: BodyParams) -> Finding:
        """The body near the estimate, then free of it, limbs bent all ways and other Gaussians of the pose prior tried
        (typical poses start near several of them); then body, hands and face, loosely held."""
        near = near_estimate(estimate)
        state = self.closer.solve(replace(targets, near=near), estimate).state
        measured = self._measured(self.fine, targets, state)
        state = self.freed.solve(measured, state).state
        measured = self._measured(self.fine, measured, state)
        held = replace(measured, near=near)
        state = with_better_flips(self.model, state, held, self.limbs).params
        state = with_better_gaussians(state, held, self.limbs)
        assert measured.sigma is not None
        return self._whole(replace(targets, near=loosened(near, measured.sigma[:, 0])), state, self.near)

    def _whole(self, targets: FitTargets, start: BodyParams, stages: tuple[Stage, Stage, Stage]) -> Finding:
        """Body, hands and face: with usual errors, then twice with those that these points seem to have."""
        state = stages[0].solve(targets, start).state
        for stage in stages[1:]:
            targets = self._measured(self.whole, targets, state)
            state = stage.solve(targets, state).state
        targets = replace(targets, near=None)
        objective = self.final.cost(targets, state)
        return Finding(targets, state, objective, torch.zeros_like(objective))

    def _measured(self, stage: Stage, targets: FitTargets, fit: BodyParams) -> FitTargets:
        """Targets with the errors that a fit leaves over of a stage's points, or those measured before where less."""
        sigma = measured_sigma(stage.layer, targets, fit)
        return replace(targets, sigma=sigma if targets.sigma is None else torch.minimum(targets.sigma, sigma))

    def _doubted(self, targets: FitTargets, first: Finding, estimate: BodyParams | None) -> Finding:
        """People who fit badly get further chances: another start, or left and right exchanged."""
        best = first
        if estimate is not None and self.options.retry:
            best = self._better_of(best, targets, self._doubtful(best), 0)
        if self.options.try_swaps:
            suspects = self._seem_exchanged(targets, best, estimate)
            best = self._better_of(best, targets, self._doubtful(best) | suspects, 1, estimate)
            for number in (2, 3) if estimate is None else (1, 2, 3):
                best = self._better_of(best, targets, self._doubtful(best), number)
        return best

    def _seem_exchanged(self, targets: FitTargets, best: Finding, estimate: BodyParams | None) -> Bool[Tensor, "B"]:
        """Whose limbs look better with left and right exchanged, at a quick look.

        A body can nearly always turn round under its head to meet exchanged points: the reprojection does not tell.
        """
        other = swapped_targets(targets, SWAPS[0])
        if estimate is not None:
            points = self.whole.layer(estimate).points
            mine, theirs = (reprojections(points, t)["reprojection_body"] for t in (targets, other))
            return theirs < SWAPPED_RATIO * mine
        tried = mean_hypotheses(self.model, other, self.coarse, self.priors, 4, 0)
        tried = judged(descended(tried, other, self.coarse), other, self.middle).best(1)
        theirs = descended(tried, other, self.middle).objective[0]
        return theirs < self.options.swap_gain * self.middle.cost(targets, best.params)

    def _better_of(
        self,
        best: Finding,
        targets: FitTargets,
        doubtful: Bool[Tensor, "B"],
        number: int,
        estimate: BodyParams | None = None,
    ) -> Finding:
        """Fit the doubtful anew and keep what is clearly better, measured with the same errors.

        number: which exchange to try (0: none); estimate: what to start from, else typical poses.
        """
        rows = doubtful.nonzero()[:, 0]
        if not len(rows):
            return best
        some = swapped_targets(targets[rows], SWAPS[number - 1]) if number else targets[rows]
        other = self._once(some, None if estimate is None else estimate[rows])
        other, old = replace(other, swapped=torch.full_like(other.objective, float(number))), best[rows]
        sigma = torch.minimum(old.sigma, other.sigma)
        new, kept = (self.final.cost(replace(end.targets, sigma=sigma), end.params) for end in (other, old))
        better = new < (self.options.swap_gain if number else 1.0) * kept
        return put(best, rows, choose(better, other, old))

    def _doubtful(self, finding: Finding) -> Bool[Tensor, "B"]:
        """Whose points are not met, or only by a strange pose."""
        strange = shipped_priors().body(finding.params.body_pose).cost > self.options.strange
        off = reprojections(self.whole.layer(finding.params).points, finding.targets)["reprojection_body"]
        return strange | (off > self.options.doubtful)

    def with_status(
        self,
        given: FitTargets,
        why_not: list[str],
        finding: Finding | None,
        start: BodyParams | None,
    ) -> Fits:
        """All people of a batch: the fitted ones with scores and status, the others as they started."""
        count = len(given)
        params = start
        if params is None:  # who is not fitted stands at rest, three metres away
            params = self.model.rest(count)
            params = params.replace(transl=params.transl + params.transl.new_tensor([0.0, 0.0, 3.0]))
        status = [f"not fitted: {why}" for why in why_not]
        objective = given.boxes.new_full((count,), torch.inf)
        scores = {name: torch.full_like(objective, torch.nan) for name in SCORES}
        if finding is not None:
            rows = rows_without(why_not, objective.device)
            params = put(params, rows, finding.params)
            objective[rows] = finding.objective
            own = scores_of(self.whole.layer, shipped_priors(), finding)
            for name in SCORES:
                scores[name][rows] = own[name]
            for row, word in zip(rows.tolist(), status_of(finding.params, own), strict=True):
                status[row] = word
        return Fits(params, given.camera, objective, tuple(status), scores)
