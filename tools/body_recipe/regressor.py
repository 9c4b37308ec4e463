"""Which vertices tell where a joint is? A sparse, non-negative, symmetric joint regressor."""

import numpy as np
from scipy.optimize import nnls

from body_recipe.shape import ExpressionSpace, ShapeSpace
from body_recipe.skeleton_map import mirrored_joints
from limner.body.skeleton import JOINT_NAMES, PARENTS

CANDIDATES = 240
REACH, REACH_EXTRA = 2.2, 0.015  # of the nearest skin's distance, and metres
TRUNK_REACH = 0.25  # metres: the trunk's joints lie near the back, their ring of skin must reach the front
TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_hip", "left_collar")
SUM_WEIGHT = 30.0
MEAN_WEIGHT = 6.0  # the mean person's joints matter more than how they vary
EVEN_WEIGHT = 0.005


def fit_regressor(
    shape: ShapeSpace, expression: ExpressionSpace, weights: np.ndarray, groups: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """J_regressor "55 V": rows sum to one; joints follow the shape directions and ignore the expression."""
    result = np.zeros((len(JOINT_NAMES), len(weights)))
    partner = mirrored_joints()
    for joint, name in enumerate(JOINT_NAMES):
        if name.startswith("right_"):
            continue
        pool = _candidates(joint, shape, weights, groups, mirror, expression)
        result[joint, pool] = _solve(joint, pool, shape, expression)
        if partner[joint] == joint:
            result[joint] = 0.5 * (result[joint] + result[joint][mirror])
        else:
            result[partner[joint]] = result[joint][mirror]
    return result


def _candidates(joint, shape, weights, groups, mirror, expression) -> np.ndarray:
    """Skin near the joint that its bone or its parent's bone moves, still under expressions; a side-symmetric set."""
    name = JOINT_NAMES[joint]
    if "eye" in name:
        return np.flatnonzero(groups == 1)
    still = np.abs(expression.directions).max((1, 2)) < 1e-3
    parent = max(PARENTS[joint], 0)
    attached = (weights[:, joint] > 0.05) | (weights[:, parent] > 0.05)
    pool = np.flatnonzero((groups == 0) & still & attached)
    distance = np.linalg.norm(shape.template[pool] - shape.joints[joint], axis=1)
    # all around the limb, thinned to even spacing, so that no patch of dense mesh decides alone
    reach = TRUNK_REACH if name in TRUNK else REACH * distance.min() + REACH_EXTRA
    pool = pool[distance < reach]
    pool = pool[_spread(shape.template[pool], CANDIDATES)]
    if mirrored_joints()[joint] == joint:
        pool = np.unique(np.concatenate([pool, mirror[pool]]))
    return pool


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` points, each as far as possible from those before."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _solve(joint: int, pool: np.ndarray, shape: ShapeSpace, expression: ExpressionSpace) -> np.ndarray:
    rows = [MEAN_WEIGHT * shape.template[pool].T, *shape.directions[pool].transpose(2, 1, 0)]
    goals = [MEAN_WEIGHT * shape.joints[joint], *shape.joint_directions[joint].T]
    moving = expression.directions[pool].transpose(2, 1, 0).reshape(-1, len(pool))
    matrix = np.concatenate(
        [
            *rows,
            moving,
            np.full((1, len(pool)), SUM_WEIGHT),
            EVEN_WEIGHT * np.eye(len(pool)),
        ]
    )
    goal = np.concatenate([*goals, np.zeros(len(moving)), [SUM_WEIGHT], np.zeros(len(pool))])
    solution, _ = nnls(matrix, goal, maxiter=20 * len(pool))
    solution[solution < 1e-4] = 0
    return solution / solution.sum()
