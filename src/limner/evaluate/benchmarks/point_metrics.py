"""Metrics over corresponding points of a prediction and its target, each with a check of itself.

A metric is a record: which points, moved onto each other how. So a protocol is a list that can be read, and every run
can make sure that the numbers mean what the list says (`check`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.evaluate.person_points import PersonPoints, grown, shifted, stack, turned
from limner.evaluate.surface import area_under_pck, f_score
from limner.geometry.align import procrustes
from limner.geometry.rotation import rotation_about_z

Points = Callable[[PersonPoints], Tensor]
"""Picks points "N 3" of an prediction; raises NotComparable where the prediction lacks them."""
Align = Literal["similarity", "root", "none"]
SHIFT_MM, GROWTH, TURN_RAD = 10.0, 1.1, 0.3
TOLERANCE_MM = 0.02
"""float32 meshes two metres away are known to a tenth of a micrometre; the rest is room for sums."""


class SelfCheckError(LimnerError):
    """A metric does not score the target, or a known error, as it must: nothing it says can be trusted."""


@dataclass(frozen=True)
class Scores:
    """What one metric says of one person: numbers by row title, and (scans) the distances "N" behind them, mm."""

    values: dict[str, float]
    distances_mm: Float[Tensor, "N"] | None = None


@runtime_checkable
class Metric(Protocol):
    """A way to score one person."""

    @property
    def names(self) -> tuple[str, ...]:
        """Row titles of its numbers, unit included."""

    def __call__(self, prediction: PersonPoints, target: PersonPoints) -> Scores:
        """The scores. Raises NotComparable."""

    def check(self, target: PersonPoints) -> None:
        """Raises SelfCheckError if the target is not perfect, or a known error has not its known score."""


class OneNumber:
    """A metric of one row, the row's name first."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its one row."""
        return (self.name,)

    def __call__(self, prediction: PersonPoints, target: PersonPoints) -> Scores:
        return Scores({self.name: self.value(prediction, target)})

    def value(self, prediction: PersonPoints, target: PersonPoints) -> float:
        """The number. Raises NotComparable."""
        raise NotImplementedError


@dataclass(frozen=True)
class PointError(OneNumber):
    """Mean Euclidean distance of corresponding points in mm, after an alignment (MPJPE on joints, V2V on vertices).

    similarity  scale, rotation without reflection and translation that bring the points nearest (PA-)
    root        both roots at the origin
    none        as they stand in the camera
    """

    name: str
    points: Points
    align: Align
    root: Points | None = None

    def value(self, prediction: PersonPoints, target: PersonPoints) -> float:
        """The error in mm."""
        a, b = stack(self.points(prediction)), stack(self.points(target))
        if self.align == "similarity":
            a = procrustes(a, b)
        elif self.root is not None:
            a, b = a - stack(self.root(prediction)), b - stack(self.root(target))
        return 1000 * float((a - b).norm(dim=-1).mean())

    def check(self, target: PersonPoints) -> None:
        """The target scores 0; what the alignment takes out scores 0; growth scores what it must."""
        shift = SHIFT_MM if self.align == "none" else 0.0
        expect(self.name, "the truth itself", self.value(target, target), 0.0)
        expect(self.name, f"the truth {SHIFT_MM:g} mm aside", self.value(shifted(target, SHIFT_MM), target), shift)
        grew = self.value(grown(target, GROWTH), target)
        expect(self.name, f"the truth times {GROWTH}", grew, self._of_growth(target))
        if self.align == "similarity":
            around = turned(target, rotation_about_z(torch.tensor(TURN_RAD)))
            expect(self.name, "the truth turned", self.value(around, target), 0.0)

    def _of_growth(self, target: PersonPoints) -> float:
        """What points that are `GROWTH` times as far from the origin score."""
        if self.align == "similarity":
            return 0.0
        points = stack(self.points(target))
        if self.align == "root" and self.root is not None:
            points = points - stack(self.root(target))
        return 1000 * (GROWTH - 1) * float(points.norm(dim=-1).mean())


@dataclass(frozen=True)
class MeanError(OneNumber):
    """The mean of several errors, e.g. of both hands; `base`: an error that is added to it."""

    name: str
    parts: tuple[PointError, ...]
    base: PointError | None = None

    def value(self, prediction: PersonPoints, target: PersonPoints) -> float:
        """The mean, and the base."""
        base = 0.0 if self.base is None else self.base.value(prediction, target)
        return base + sum(part.value(prediction, target) for part in self.parts) / len(self.parts)

    def check(self, target: PersonPoints) -> None:
        """As its parts."""
        for part in (*self.parts, *([] if self.base is None else [self.base])):
            part.check(target)
        expect(self.name, "the truth itself", self.value(target, target), 0.0)


@dataclass(frozen=True)
class FScore(OneNumber):
    """F-score of the points after similarity alignment, 0 to 1 (FreiHAND, Zimmermann et al., ICCV 2019)."""

    name: str
    points: Points
    threshold_mm: float

    def value(self, prediction: PersonPoints, target: PersonPoints) -> float:
        """The score."""
        onto = stack(self.points(target))
        return self._unaligned(procrustes(stack(self.points(prediction)), onto)[0], onto[0])

    def _unaligned(self, prediction: Tensor, target: Tensor) -> float:
        return f_score(prediction, target, self.threshold_mm / 1000)

    def check(self, target: PersonPoints) -> None:
        """The target scores 1, aligned or not; far away and not aligned it scores 0."""
        aside = grown(shifted(target, SHIFT_MM), GROWTH)
        expect(self.name, "the truth itself", self.value(target, target), 1.0, 1e-6)
        expect(self.name, "the truth aside and grown", self.value(aside, target), 1.0, 1e-6)
        points = self.points(target).double()
        far = points + 10 * (points.amax(0) - points.amin(0)).amax().clamp_min(1.0)
        expect(self.name, "the truth far away, not aligned", self._unaligned(far, points), 0.0, 1e-6)


@dataclass(frozen=True)
class AreaUnderPck(OneNumber):
    """Area under the curve of correct points, 0 to `limit_mm`, after similarity alignment, 0 to 1 (FreiHAND)."""

    name: str
    points: Points
    limit_mm: float = 50.0

    def value(self, prediction: PersonPoints, target: PersonPoints) -> float:
        """The area."""
        onto = stack(self.points(target))
        return self._of((procrustes(stack(self.points(prediction)), onto) - onto).norm(dim=-1)[0])

    def _of(self, errors: Float[Tensor, "N"]) -> float:
        return area_under_pck(errors, self.limit_mm / 1000)

    def check(self, target: PersonPoints) -> None:
        """The target scores 1, points half the limit away score a half, both to half a step of the thresholds."""
        aside = grown(shifted(target, SHIFT_MM), GROWTH)
        expect(self.name, "the truth itself", self.value(target, target), 1.0, 0.006)
        expect(self.name, "the truth aside and grown", self.value(aside, target), 1.0, 0.006)
        half = torch.full((21,), self.limit_mm / 2000, dtype=torch.float64)
        expect(self.name, "every point half the limit away", self._of(half), 0.5, 0.011)


def expect(metric: str, what: str, got: float, wanted: float, tolerance: float = TOLERANCE_MM) -> None:
    """Raise SelfCheckError unless a known case scores its known score."""
    if not abs(got - wanted) <= tolerance + 1e-4 * abs(wanted):
        raise SelfCheckError(
            f"self-check failed: {what} scores {got:.4f} in '{metric}', expected {wanted:.4f}. Nothing was scored. "
            "The auxiliary files (vertex ids, regressors) may belong to another model, or a metric is broken: check "
            "the files, and report it if they are right."
        )
