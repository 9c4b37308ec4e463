"""Benchmarks as records: cases with their targets, the metrics, and where both come from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from limner.evaluate.benchmarks.point_metrics import Metric, Scores, SelfCheckError
from limner.evaluate.person_points import NotComparable, PersonPoints

Kind = Literal["person", "right_hand", "head"]
"""What is to be looked at in the photo: a person in a box, a right hand that fills it, or a head."""


@dataclass(frozen=True)
class Case:
    """One person (hand, head) to be scored.

    name   by which predictions are found; group: people that belong together when intervals are made (a sequence, a
           subject); box: x0 y0 x1 y1 photo pixels, None: the whole photo
    target  reads the target when asked for
    """

    name: str
    group: str
    kind: Kind
    photo: Path
    target: Callable[[], PersonPoints]
    box: Float[Tensor, "4"] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Under which names a prediction of it is looked for, the exact one first."""
        person = "#" + self.name.split("#")[1] if "#" in self.name else ""
        return (self.name, f"{self.name}#0", self.photo.stem + person, f"{self.photo.stem}{person or '#0'}")


@dataclass(frozen=True)
class Benchmark:
    """A protocol on a data set.

    metrics: in the order of the table, the first number of the first is the one by which the worst are found
    source   where the protocol is published; notes: what a reader of the table must know
    crowd    people of a photo are matched to predictions by their joints in the photo, and missed ones count
    checked  with how many targets the self-check is done at every run
    """

    name: str
    cases: tuple[Case, ...]
    metrics: tuple[Metric, ...]
    source: str
    notes: tuple[str, ...] = ()
    crowd: bool = False
    checked: int = 3


@runtime_checkable
class System(Protocol):
    """What is scored: limner itself, or the files that another program wrote."""

    def prediction(self, case: Case) -> PersonPoints | None:
        """What it says of one case; None: nothing."""

    def crowd(self, group: str, photo: Path) -> list[PersonPoints]:
        """Everybody that it found in a photo, with joints in the photo's pixels."""


def check_metrics(benchmark: Benchmark) -> tuple[list[Metric], dict[str, str]]:
    """The self-check: the first targets as predictions, and with known errors.

    Returns the metrics that the target allows, and for the rows of the others why not. Raises SelfCheckError when one
    of them scores a known case wrongly, and when none can be computed.
    """
    usable: list[Metric] = []
    reasons: dict[str, str] = {}
    targets = [case.target() for case in benchmark.cases[: benchmark.checked]]
    for metric in benchmark.metrics:
        try:
            for target in targets:
                metric.check(target)
            usable.append(metric)
        except NotComparable as reason:
            reasons |= dict.fromkeys(metric.names, str(reason))
    if not usable:
        why = "; ".join(sorted(set(reasons.values())))
        raise SelfCheckError(f"{benchmark.name}: no metric can be computed from the truth ({why}).")
    return usable, reasons


def score(metrics: list[Metric], prediction: PersonPoints, target: PersonPoints) -> tuple[Scores, dict[str, str]]:
    """Every metric of one case, and for the rows of those that make no sense why not."""
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    distances = None
    for metric in metrics:
        try:
            scores = metric(prediction, target)
            values |= scores.values
            distances = distances if scores.distances_mm is None else scores.distances_mm
        except NotComparable as reason:
            reasons |= dict.fromkeys(metric.names, str(reason))
    return Scores(values, distances), reasons
