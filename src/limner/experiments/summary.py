"""The experiments and their sums: means and paired differences with intervals, one record an experiment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from limner.evaluate.metrics import Estimate, ratio_of_sums
from limner.experiments import variants as a
from limner.experiments.errors import MPJPE, PA_MPJPE
from limner.experiments.variants import VariantErrors

HANDS_PA, HANDS_LOCAL, HANDS_GLOBAL = "hands PA-V2V", "hands from its joint", "hands from the pelvis"
FACE_PA, FACE_LOCAL, FACE_GLOBAL = "face PA-V2V", "face from its joint", "face from the pelvis"
ALL_PA, BODY_PA, V2V = "PA-V2V all", "PA-V2V body", "V2V"
HANDS_2D, FACE_2D, BODY_2D = "2D hands, % of hand", "2D face, % of face", "2D body, % of box"
WHOLE = (PA_MPJPE, V2V, ALL_PA, BODY_PA, HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL, HANDS_2D, FACE_2D)
WAYS = ("PA-V2V", "from its joint", "in the aligned body", "from the pelvis")


@dataclass(frozen=True)
class Expectation:
    """`better` should have a lower `metric` than `worse`, if the idea helps here."""

    better: str
    worse: str
    metric: str


@dataclass(frozen=True)
class Experiment:
    """One question: which variants are compared, on what, and what is expected. `claim`: what the paper says."""

    key: str
    title: str
    question: str
    claim: str
    variants: tuple[str, ...]
    metrics: tuple[str, ...]
    expectations: tuple[Expectation, ...]


def _all_of(better: str, worse: str, *metrics: str) -> tuple[Expectation, ...]:
    return tuple(Expectation(better, worse, metric) for metric in metrics)


SIZES = tuple(a.of_size(px) for px in (256, 512, 1024))
EXPERIMENTS = (
    Experiment(
        "attention",
        "With and without attention",
        "What do the looks at hands and face add to a body that was only looked at as a whole? First limner's whole "
        "flow, then the networks alone, without any refinement onto 2D points.",
        "Looking again at hands and face, with networks of their own, makes both better.",
        (a.LIMNER, a.NO_ATTENTION, a.UNREFINED, a.BODY),
        WHOLE,
        _all_of(a.LIMNER, a.NO_ATTENTION, HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL, ALL_PA, HANDS_2D, FACE_2D),
    ),
    Experiment(
        "crops",
        "Crops from the photo, or from the small body image",
        "The same body, the same places; hands and face are cut out of the photo, or out of the 256 px image that the "
        "body network looks at.",
        "The small image has lost the hands and the face; crops must come from the original photo.",
        (a.LIMNER, a.SMALL, a.UNREFINED, a.SMALL_UNREFINED),
        WHOLE,
        _all_of(a.LIMNER, a.SMALL, HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL, HANDS_2D, FACE_2D)
        + _all_of(a.UNREFINED, a.SMALL_UNREFINED, HANDS_PA, FACE_PA),
    ),
    Experiment(
        "sizes",
        "How much does the photo's resolution matter?",
        "The same photos at 2048, 1024, 512 and 256 px a side; the person takes 78 % of it.",
        "Resolution is what the attention is for: more of it should help hands and face, and hardly the body.",
        (a.LIMNER, *reversed(SIZES)),
        WHOLE,
        _all_of(a.LIMNER, SIZES[0], HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL, HANDS_2D, FACE_2D)
        + _all_of(a.LIMNER, SIZES[1], HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL, HANDS_2D, FACE_2D),
    ),
    Experiment(
        "parts",
        "Part networks against the body network",
        "Fingers, jaw and expression of the part networks or of the body network, on the same arms and neck.",
        "Networks that learn from hands and faces alone know more about them than one that learns from bodies.",
        (a.UNREFINED, a.BODY),
        (HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL),
        _all_of(a.UNREFINED, a.BODY, HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL),
    ),
    Experiment(
        "merge",
        "Merged, or copied and pasted",
        "Three ways to put the parts on the body, nothing refined: rotations made relative to the body's forearms and "
        "neck (limner's), only fingers and face taken over, and absolute rotations pasted as if they were relative.",
        "Naive copying of part estimates onto the body gives unnatural wrists; parts must be integrated.",
        (a.UNREFINED, a.FINGERS, a.PASTED),
        (PA_MPJPE, ALL_PA, BODY_PA, HANDS_PA, HANDS_LOCAL, HANDS_GLOBAL, FACE_LOCAL, FACE_GLOBAL, HANDS_2D, FACE_2D),
        _all_of(a.UNREFINED, a.FINGERS, ALL_PA, HANDS_LOCAL, FACE_LOCAL, HANDS_2D, FACE_2D)
        + _all_of(a.UNREFINED, a.PASTED, HANDS_LOCAL, FACE_LOCAL),
    ),
    Experiment(
        "optimisation",
        "Regression, optimisation, and both",
        "`limner.fit` (the method of SMPLify-X) from typical poses and from limner's estimate, onto the 2D points that "
        "the networks saw, and onto the true ones, which nobody has. Seconds are CPU time of one thread; those of the "
        "networks, from which the 2D points come, are part of all.",
        "Regression is more accurate than optimisation, in a small fraction of its time.",
        (a.LIMNER, a.FIT_START, a.FIT_MEAN, a.FIT_START_TRUE, a.FIT_MEAN_TRUE),
        (a.SECONDS, PA_MPJPE, MPJPE, V2V, ALL_PA, BODY_PA, HANDS_PA, FACE_PA, BODY_2D, HANDS_2D, FACE_2D),
        _all_of(a.LIMNER, a.FIT_MEAN, PA_MPJPE, ALL_PA, V2V, HANDS_PA, FACE_PA, a.SECONDS)
        + _all_of(a.FIT_START, a.FIT_MEAN, ALL_PA, HANDS_PA, a.SECONDS)
        + _all_of(a.FIT_START, a.LIMNER, PA_MPJPE, ALL_PA, V2V),
    ),
    Experiment(
        "finetuning",
        "Before and after end-to-end fine-tuning",
        "The same flow with the weights of networks trained apart, and after they were trained on together "
        "(`limner train joint`). First the whole flow, then the networks alone.",
        "Training body, hands and face end to end makes the whole person better than parts that were trained apart.",
        (a.LIMNER, a.TUNED, a.UNREFINED, a.TUNED_UNREFINED),
        WHOLE,
        _all_of(a.TUNED, a.LIMNER, PA_MPJPE, ALL_PA, HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_LOCAL)
        + _all_of(a.TUNED_UNREFINED, a.UNREFINED, PA_MPJPE, ALL_PA, HANDS_PA, FACE_PA),
    ),
    Experiment(
        "alignment",
        "Local and global errors, and why they disagree",
        "One part aligned on itself (PA-V2V), at its wrist or head joint, by Procrustes of the whole person, and at "
        "the pelvis.",
        "Part-aligned errors say how good the hand is, others where the arm has put it.",
        (a.LIMNER, a.NO_ATTENTION, a.UNREFINED, a.BODY),
        tuple(f"{part} {way}" for part in ("hands", "face") for way in WAYS),
        _all_of(a.UNREFINED, a.BODY, *(f"{part} {way}" for part in ("hands", "face") for way in WAYS)),
    ),
)


def mean(values: Sequence[float]) -> Estimate:
    """Mean over people and its 95 % interval; each person is a group of their own."""
    given = torch.tensor(values, dtype=torch.float64)
    return ratio_of_sums(given, torch.ones_like(given), [str(i) for i in range(len(values))])


def summarise(people: Sequence[VariantErrors], experiments: Sequence[Experiment] = EXPERIMENTS) -> dict[str, object]:
    """By experiment: means of every variant and metric, and the differences that were expected to be negative.

    An experiment is made on the people of whom all its variants are there, so that they can be compared.
    """
    result: dict[str, object] = {}
    for one in experiments:
        chosen = [person for person in people if set(one.variants) <= set(person)]
        if not chosen:
            continue
        means = {
            variant: {metric: plain(mean([p[variant][metric] for p in chosen])) for metric in one.metrics}
            for variant in one.variants
        }
        differences = [
            {
                "better": e.better,
                "worse": e.worse,
                "metric": e.metric,
                **plain(mean([p[e.better][e.metric] - p[e.worse][e.metric] for p in chosen])),
            }
            for e in one.expectations
        ]
        result[one.key] = {"people": len(chosen), "means": means, "differences": differences}
    return result


def rank_correlation(people: Sequence[VariantErrors], variant: str, first: str, second: str) -> float:
    """Spearman's correlation over people of two errors of one variant; NaN for less than three people."""
    if len(people) < 3:
        return math.nan
    ranks = [np.argsort(np.argsort([p[variant][metric] for p in people])) for metric in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def correlations(people: Sequence[VariantErrors]) -> dict[str, float | None]:
    """How far the best aligned and the worst aligned error of a part agree on who is wrong (limner's variants)."""
    found = {
        part: rank_correlation(people, a.LIMNER, f"{part} {WAYS[0]}", f"{part} {WAYS[-1]}")
        for part in ("hands", "face")
    }
    return {part: None if math.isnan(value) else round(value, 2) for part, value in found.items()}


def plain(estimate: Estimate) -> dict[str, float]:
    """Four significant digits are more than the data have."""
    return {name: float(f"{getattr(estimate, name):.4g}") for name in ("value", "low", "high")}
