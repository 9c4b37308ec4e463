"""How do eyes get a round iris? MakeHuman's coarse eyeballs give way to finer spheres that follow the same targets."""

from dataclasses import replace

import numpy as np

from body_recipe.source import Source, mirror_map

SEGMENTS = 20
# Distance of the front rings from the eye's axis in mm; the pairs make the edges of pupil and iris crisp
FRONT_RINGS_MM = (1.2, 2.1, 2.4, 4.2, 5.7, 6.1, 8.5, 11.0, 13.0)
BACK_RINGS_DEG = (90, 115, 145)  # and of the others, seen from the centre
PUPIL_MM, IRIS_MM = 2.25, 5.9
LEFT_EYE, RIGHT_EYE = 1, 2  # rows of source.MESH_GROUPS


def finer_eyes(source: Source) -> Source:
    """The source with new eyeballs at the end of its vertices.

    Every new vertex is an affine combination of the old eyeball's vertices (the smallest one that gives its place on
    the fitted sphere), so all targets carry over exactly for moving, scaling and stretching eyes.
    """
    old_left = np.flatnonzero(source.group == LEFT_EYE)
    old_right = source.mirror[old_left]
    centre, radius = fit_sphere(source.vertices[old_left])
    points, quads, polar = _sphere(centre, radius)
    basis = np.column_stack([np.ones(len(old_left)), (source.vertices[old_left] - centre) / radius])
    goal = np.column_stack([np.ones(len(points)), (points - centre) / radius])
    mix = goal @ np.linalg.pinv(basis)
    keep = np.flatnonzero((source.group != LEFT_EYE) & (source.group != RIGHT_EYE))
    renumber = np.full(len(source.group), -1)
    renumber[keep] = np.arange(len(keep))

    def carry(values: np.ndarray, axis: int = 0) -> np.ndarray:
        left = np.moveaxis(np.tensordot(mix, np.take(values, old_left, axis), (1, axis)), 0, axis)
        right = np.moveaxis(np.tensordot(mix, np.take(values, old_right, axis), (1, axis)), 0, axis)
        return np.concatenate([np.take(values, keep, axis), left, right], axis).astype(values.dtype)

    kept = (renumber[source.quads] >= 0).all(1)
    left_quads = quads + len(keep)
    right_quads = quads[:, ::-1] + len(keep) + len(points)
    uv_left, uv_right = (_polar_uv(source, old, polar) for old in (old_left, old_right))
    uv_start = len(source.uv)
    vertices = carry(source.vertices)
    return replace(
        source,
        vertices=vertices,
        quads=np.concatenate([renumber[source.quads[kept]], left_quads, right_quads]),
        quad_uv=np.concatenate(
            [source.quad_uv[kept], quads + uv_start, quads[:, ::-1] + uv_start + len(points)],
        ),
        uv=np.concatenate([source.uv, uv_left, uv_right]),
        group=np.concatenate([source.group[keep], np.repeat([LEFT_EYE, RIGHT_EYE], len(points))]),
        mirror=mirror_map(vertices),
        targets=carry(source.targets, 1),
        weights=carry(source.weights),
    )


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of the least-squares sphere."""
    solution = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(solution[3] + centre @ centre))


def _sphere(centre: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, outward quads and polar coordinates (0..1 from front to back, angle) of a sphere that looks along +z."""
    rings = [np.arcsin(r / 1e3 / radius) for r in FRONT_RINGS_MM] + list(np.deg2rad(BACK_RINGS_DEG))
    angles = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    polar = np.array([(0.0, 0.0), *((t, a) for t in rings for a in angles), (np.pi, 0.0)])
    t, a = polar.T
    unit = np.stack([np.sin(t) * np.cos(a), np.sin(t) * np.sin(a), np.cos(t)], 1)
    quads = []
    last = len(polar) - 1
    for k in range(0, SEGMENTS, 2):  # the caps, two segments a quad
        a0, a1, a2 = (1 + (k + i) % SEGMENTS for i in range(3))
        quads.append((0, a0, a1, a2))
        b0, b1, b2 = (last - SEGMENTS + (k + i) % SEGMENTS for i in range(3))
        quads.append((last, b2, b1, b0))
    for ring in range(len(rings) - 1):
        start = 1 + ring * SEGMENTS
        for k in range(SEGMENTS):
            n = (k + 1) % SEGMENTS
            quads.append((start + k, start + SEGMENTS + k, start + SEGMENTS + n, start + n))
    return centre + radius * unit, np.array(quads), np.column_stack([t / np.pi, a])


def _polar_uv(source: Source, old: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """A disc in the middle of the old eyeball's UV island: the pupil in its centre, the back of the eye at its rim."""
    rows = source.quad_uv[np.isin(source.quads, old).all(1)].ravel()
    low, high = source.uv[rows].min(0), source.uv[rows].max(0)
    reach = 0.5 * (high - low).min()
    side = 1.0 if source.vertices[old, 0].mean() > 0 else -1.0
    offset = np.stack([side * np.cos(polar[:, 1]), np.sin(polar[:, 1])], 1)
    return 0.5 * (low + high) + reach * polar[:, :1] * offset


def lower_tongue(source: Source, tongue: int) -> Source:
    """The tongue flatter, its back lower in the mouth, so that an open mouth is not filled with it."""
    vertices = source.vertices.copy()
    ids = np.flatnonzero(source.group == tongue)
    front, back = vertices[ids, 2].max(), vertices[ids, 2].min()
    height = vertices[ids[np.argmax(vertices[ids, 2])], 1]
    inwards = (front - vertices[ids, 2]) / (front - back)
    vertices[ids, 1] = height + 0.7 * (vertices[ids, 1] - height) - 0.002 - 0.018 * inwards
    return replace(source, vertices=vertices)
