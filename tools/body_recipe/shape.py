"""What are the shape and expression directions? PCA of people and of facial actions, closed under mirroring."""

from dataclasses import dataclass

import numpy as np

from body_recipe.source import Source

FLIP = np.array([-1.0, 1.0, 1.0])

EXCLUDED_ACTIONS = ("jaw", "eyeLook", "tongue", "mouthClose")
"""The jaw is a joint, so are the eyes; mouthClose only undoes an open jaw; the tongue stays inside."""

GIRTH = 1.2
DETAIL_PARTS = ("eye", "nose", "mouth", "chin", "cheek", "ear", "forehead", "head", "neck-double")
DETAIL_LEFT_OUT = ("trans-out", "angle-out", "head-age-incr")  # the first two make faces lopsided
DETAIL_DEVIATION = 0.22  # of MakeHuman's slider


@dataclass(frozen=True)
class ShapeSpace:
    """Mean person and directions of one standard deviation, with the joints that go along."""

    template: np.ndarray  # V 3
    directions: np.ndarray  # V 3 S
    joints: np.ndarray  # 55 3
    joint_directions: np.ndarray  # 55 3 S

    def fit(self, vertices: np.ndarray, count: int) -> np.ndarray:
        """Least-squares betas "N count" of people "N V 3"."""
        basis = self.directions[..., :count].reshape(-1, count)
        residual = (vertices - self.template).reshape(len(vertices), -1)
        return np.linalg.lstsq(basis.T @ basis, basis.T @ residual.T, rcond=None)[0].T

    def people(self, betas: np.ndarray) -> np.ndarray:
        return self.template + np.einsum("ns,vcs->nvc", betas, self.directions[..., : betas.shape[1]])


def fit_shape_space(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, faces: np.ndarray, mirror: np.ndarray, count: int
) -> ShapeSpace:
    """PCA of symmetric T-posed people "N V 3" (float32) and their joints "N 55 3".

    Plain PCA of a T-pose is all limb length, for that moves the hands most. So the components are chosen in a measure
    that also counts, GIRTH times, how far the skin lies from its bones, and every vertex counts by the skin around it
    as much as by its mere presence (the mesh is dense in hands and face). Directions are then the regression of the
    vertices on the unit-variance scores.
    """
    mean, joint_mean = vertices.mean(0), joints.mean(0)
    mean = 0.5 * (mean + mean[mirror] * FLIP)
    centred = vertices - mean.astype(np.float32)
    bones = np.einsum("vj,njc->nvc", weights, joints - joint_mean, optimize=True).astype(np.float32)
    areas = vertex_areas(mean, faces)
    importance = np.sqrt(0.5 + 0.5 * areas / areas.mean()).astype(np.float32)[:, None]
    gram = _gram((centred * importance).reshape(len(centred), -1))
    gram += GIRTH**2 * _gram(((centred - bones) * importance).reshape(len(centred), -1))
    del bones
    values, vectors = np.linalg.eigh(gram)
    top = np.argsort(-values)[:count]
    betas = vectors[:, top] * np.sqrt(len(vertices))  # unit variance scores
    betas -= betas.mean(0)
    directions = betas.T.astype(np.float32) @ centred.reshape(len(centred), -1) / len(vertices)
    joint_directions = np.einsum("ns,njc->jcs", betas, joints - joint_mean) / len(vertices)
    directions = directions.astype(np.float64).reshape(count, *mean.shape).transpose(1, 2, 0)
    directions = 0.5 * (directions + directions[mirror] * FLIP[:, None])
    sign = _readable_signs(directions, mean, faces)
    return ShapeSpace(mean, directions * sign, joint_mean, joint_directions * sign)


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A third of the area of the triangles around each vertex, "V"."""
    corners = vertices[faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(vertices))


def _gram(centred: np.ndarray) -> np.ndarray:
    """Inner products in float64, block by block to spare memory."""
    total = np.zeros((len(centred), len(centred)))
    for start in range(0, centred.shape[1], 4096):
        block = centred[:, start : start + 4096].astype(np.float64)
        total += block @ block.T
    return total


def _readable_signs(directions: np.ndarray, template: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Signs that make each direction add volume."""
    corners = template[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # twice the area long
    growth = np.einsum("fc,fcs->s", normal, directions[faces].mean(1))
    return np.where(growth < 0, -1.0, 1.0)


@dataclass(frozen=True)
class ExpressionSpace:
    """Directions of one root-mean-square activation, zero is the neutral face."""

    directions: np.ndarray  # V 3 E
    parity: np.ndarray  # E: +1 symmetric, -1 changes sign under mirroring
    explained: np.ndarray  # E, cumulative share of the variance
    action_coefficients: np.ndarray  # 52 E, each action's projection (zero where excluded)
    used_actions: np.ndarray  # 52 bool


def fit_expression_space(source: Source, count: int, seed: int = 5, samples: int = 6000) -> ExpressionSpace:
    """Uncentred PCA of random sparse mixtures of the facial actions, split into symmetric and mirrored parts.

    With every mixture its mirror image counts too, so the second-moment matrix splits into a symmetric and an
    antisymmetric block: every direction has a parity, and mirroring a face is a change of signs.
    """
    used = np.array([not name.startswith(EXCLUDED_ACTIONS) for name in source.action_names])
    start = len(source.macro_mask)
    actions = source.targets[start : start + len(used)].astype(np.float64)
    actions = np.where(used[:, None, None] & (source.group == 0)[:, None], actions, 0.0)  # eyes, teeth, tongue stay
    even = 0.5 * (actions + actions[:, source.mirror] * FLIP)
    odd = actions - even
    mixtures = _random_mixtures(source.action_names, used, samples, seed)
    blocks = [_uncentred_pca(mixtures, part.reshape(len(used), -1)) for part in (even, odd)]
    values = np.concatenate([value for value, _ in blocks])
    vectors = np.concatenate([vector for _, vector in blocks])
    parity = np.repeat([1.0, -1.0], [len(blocks[0][0]), len(blocks[1][0])])
    order = np.argsort(-values)
    explained = np.cumsum(values[order]) / values.sum()
    top = order[:count]
    unit = vectors[top]
    deviation = np.sqrt(values[top])
    coefficients = actions.reshape(len(used), -1) @ unit.T / deviation
    sign = np.where(coefficients.sum(0) * (parity[top] > 0) < 0, -1.0, 1.0)
    directions = (unit * (deviation * sign)[:, None]).reshape(count, -1, 3).transpose(1, 2, 0)
    return ExpressionSpace(directions, parity[top], explained[:count], coefficients * sign, used)


def _random_mixtures(names: tuple[str, ...], used: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Activations "N 52" in 0..1: a few actions at a time, both sides mostly together."""
    rng = np.random.default_rng(seed)
    base = [name.removesuffix("Left").removesuffix("Right") for name in names]
    groups = sorted({b for b, on in zip(base, used, strict=True) if on})
    level = rng.beta(1.2, 1.6, (samples, len(groups))) * (rng.random((samples, len(groups))) < 0.15)
    mix = np.zeros((samples, len(names)))
    for column, (name, on) in enumerate(zip(names, used, strict=True)):
        if on:
            value = level[:, groups.index(base[column])]
            if name != base[column]:  # one-sided now and then, slightly uneven always
                value = value * np.where(rng.random(samples) < 0.25, 0.0, rng.uniform(0.7, 1.0, samples))
            mix[:, column] = value
    return mix


def _uncentred_pca(mixtures: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and unit directions "K D" of E[x x^T] for x = mixture @ actions."""
    moment = mixtures.T @ mixtures / len(mixtures)
    root = np.linalg.cholesky(moment + 1e-12 * np.eye(len(moment)))
    small = root.T @ actions  # x x^T has the same moment as small^T small
    u, s, vt = np.linalg.svd(small, full_matrices=False)
    return s**2, vt


def jaw_open_angle(source: Source, joints: np.ndarray) -> float:
    """Angle about x (radians) by which the jaw joint turns when ARKit's jawOpen is 1: least squares on the chin."""
    action = source.targets[len(source.macro_mask) + source.action_names.index("jawOpen")].astype(np.float64)
    jaw = source.weights[:, source.bone("jaw")] > 0.9
    arm = source.vertices[jaw] - source.bone_heads[source.bone("jaw")]
    moved = arm + action[jaw]
    cross = arm[:, 1] * moved[:, 2] - arm[:, 2] * moved[:, 1]
    dot = arm[:, 1] * moved[:, 1] + arm[:, 2] * moved[:, 2]
    return float(np.arctan2(cross.sum(), dot.sum()))


def fit_heads(source: Source, count: int, seed: int = 7, samples: int = 3000) -> np.ndarray:
    """Directions "V 3 count" of one standard deviation for heads that differ where betas do not: nose, chin, lids...

    PCA of random mixtures of MakeHuman's symmetric head targets. In the file they follow the betas of whole people.
    """
    rng = np.random.default_rng(seed)
    start = len(source.macro_mask) + len(source.action_names)
    amounts: dict[str, np.ndarray] = {}
    offsets, columns = [], []
    for index, name in enumerate(source.local_names):
        bare = name.removeprefix("l-").removeprefix("r-")
        if not bare.startswith(DETAIL_PARTS) or bare.endswith(DETAIL_LEFT_OUT):
            continue
        amount = amounts.setdefault(bare, rng.normal(0, DETAIL_DEVIATION, samples).clip(-0.7, 0.7))
        for sign in (1, -1):
            offsets.append(source.targets[start + 2 * index + (sign < 0)].astype(np.float64).ravel())
            columns.append((sign * amount).clip(min=0))
    mixtures = np.stack(columns, 1)
    values, vectors = _uncentred_pca(mixtures - mixtures.mean(0), np.stack(offsets))
    directions = (vectors[:count] * np.sqrt(values[:count])[:, None]).reshape(count, -1, 3).transpose(1, 2, 0)
    return 0.5 * (directions + directions[source.mirror] * FLIP[:, None])
