"""Fits of one person through a video: one shape, and frames that hold on to their neighbours."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import JOINT, JOINT_NAMES
from limner.fit.fitter import Fitter
from limner.fit.proximity import ProximityPrior
from limner.fit.records import Fits, FitTargets
from limner.fit.search import Hypotheses
from limner.fit.stage import measured_sigma
from limner.fit.status import Finding, rows_without, usable, with_usable_points
from limner.geometry.rotation import nearest_rotation
from limner.records import join, put

SWEEPS = 4
USUAL_TURN_RAD, USUAL_FINGER_TURN_RAD = 0.06, 0.10
"""How far a joint usually is from the middle of its neighbouring frames, at 30 frames a second: a second difference."""
USUAL_DEPTH_CHANGE = 0.01


@torch.no_grad()
def fit_video(fitter: Fitter, targets: FitTargets, start: BodyParams | None = None) -> Fits:
    """Fit one person in T consecutive frames (rows of `targets`; frames without the person have zero confidence).

    Every frame is fitted alone; then the shape becomes the mean of all frames, and even and odd frames in turn are
    fitted again to their points and to the middle of their neighbours, each from its own and from the neighbours' poses
    (block coordinate descent of the sum over frames; a second difference of joint rotations and distance).
    """
    alone = fitter(targets, start)
    why_not = usable(targets)
    rows = rows_without(why_not, targets.boxes.device)
    if len(rows) < 3:
        return alone
    frames, params = with_usable_points(targets[rows]), alone.params[rows]
    frames = replace(frames, sigma=measured_sigma(fitter.whole.layer, frames, params))
    params = params.replace(betas=_one_shape(params, alone.scores["points"][rows]))
    for sweep in range(SWEEPS):
        for parity in (0, 1):
            turn = torch.arange(parity, len(rows), 2, device=rows.device)
            params = put(params, turn, _held(fitter, frames, params, turn, sweep))
    objective = fitter.final.cost(frames, params)
    finding = Finding(frames, params, objective, torch.zeros_like(objective))
    return fitter.with_status(targets, why_not, finding, alone.params)


def _one_shape(params: BodyParams, points: Float[Tensor, "T"]) -> Float[Tensor, "T S"]:
    """The betas of all frames together, weighted by how much was seen."""
    mean = (params.betas * points[:, None]).sum(0) / points.sum()
    return mean.expand_as(params.betas)


def _held(fitter: Fitter, targets: FitTargets, params: BodyParams, turn: Int[Tensor, "N"], sweep: int) -> BodyParams:
    """Some frames, fitted between their neighbours."""
    before, after = (turn - 1).clamp_min(0), (turn + 1).clamp_max(len(params) - 1)
    # the first and the last frame have one neighbour: both their neighbours are that one
    before = torch.where(turn == 0, after, before)
    after = torch.where(turn == len(params) - 1, before, after)
    targets = replace(targets[turn], near=_middle(params[before], params[after]))
    starts = [params[turn]]
    if sweep == 0:  # a frame that alone went astray finds home through its neighbours
        starts += [params[before], params[after]]
    ends = [fitter.frame.solve(targets, start) for start in starts]
    return Hypotheses(join([end.state for end in ends]), torch.stack([end.objective for end in ends])).best(1).params


def _middle(before: BodyParams, after: BodyParams) -> ProximityPrior:
    """Half way between two frames, with the usual distance from there."""
    error = before.betas.new_full((len(JOINT_NAMES),), USUAL_TURN_RAD)
    error[JOINT["left_index1"] :] = USUAL_FINGER_TURN_RAD
    pose = nearest_rotation(before.full_pose() + after.full_pose())
    stiffness = (1 / error).expand(len(before), -1)
    transl = (before.transl + after.transl) / 2
    return ProximityPrior(pose, stiffness, transl, 1 / USUAL_DEPTH_CHANGE)
