"""The scoring of a whole benchmark, which can be killed at any moment and gone on with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.evaluate.benchmarks.agora import Found, match_people
from limner.evaluate.benchmarks.point_metrics import Metric
from limner.evaluate.benchmarks.record import Benchmark, Case, System, score
from limner.evaluate.person_points import PersonPoints
from limner.evaluate.prediction_files import PredictionFileError
from limner.evaluate.resume import Done, Ledger, fingerprint, stamp

WORST = 10


@dataclass(frozen=True)
class Failed:
    """A case, or a photo of a crowd, that could not be scored because a file of it cannot be read, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Scored:
    """All that is known after a run: a row for each case that was answered.

    worst: rows and predictions of the cases with the largest first error, that one first; distances: groups and mm
    failed: cases (photos of crowds) of which a file could not be read
    """

    benchmark: Benchmark
    cases: tuple[Case, ...]
    values: dict[str, Float[Tensor, "P"]]
    worst: tuple[tuple[int, PersonPoints], ...]
    distances: tuple[tuple[str, Float[Tensor, "_"]], ...]
    reasons: dict[str, str]
    unanswered: tuple[str, ...]
    failed: tuple[Failed, ...] = ()
    found: Found | None = None

    @property
    def groups(self) -> list[str]:
        """Each case's group, for intervals."""
        return [case.group for case in self.cases]


@dataclass(frozen=True)
class Unit:
    """What is scored in one go: one case, or everybody in one photo of a crowd."""

    name: str
    cases: tuple[Case, ...]
    crowd: bool

    @property
    def photo(self) -> Path:
        """The photo that all cases share."""
        return self.cases[0].photo

    @property
    def key(self) -> str:
        """Changes when the photo or a box does."""
        boxes = [None if case.box is None else case.box.tolist() for case in self.cases]
        return fingerprint(stamp(self.photo), [(case.name, case.group, case.kind) for case in self.cases], boxes)

    def predictions(self, system: System) -> tuple[dict[str, PersonPoints], int]:
        """Predictions by case without those that are no numbers, and how many people were found. Raises LimnerError."""
        if not self.crowd:
            prediction = system.prediction(self.cases[0])
            known = prediction is not None and prediction.is_finite()
            return ({self.cases[0].name: prediction} if known and prediction is not None else {}), int(known)
        everybody = [one for one in system.crowd(self.name, self.photo) if one.is_finite()]
        targets = [points for case in self.cases if (points := case.target().points_px) is not None]
        pairs = match_people([one.points_px for one in everybody if one.points_px is not None], targets)
        return {self.cases[j].name: everybody[i] for i, j in pairs}, len(everybody)


def units_of(benchmark: Benchmark) -> list[Unit]:
    """Cases one by one, or photo by photo."""
    if not benchmark.crowd:
        return [Unit(case.name, (case,), False) for case in benchmark.cases]
    by_photo: dict[str, list[Case]] = {}
    for case in benchmark.cases:
        by_photo.setdefault(case.group, []).append(case)
    return [Unit(name, tuple(cases), True) for name, cases in by_photo.items()]


def score_benchmark(
    benchmark: Benchmark,
    metrics: list[Metric],
    system: System,
    ledger: Ledger | None = None,
    after: Callable[[Unit], None] = lambda unit: None,
) -> Scored:
    """Every case of the benchmark; `after` hears of each unit that is done, before it is in the ledger.

    What the ledger knows is not asked again. A case of which a file cannot be read is left out and named. Raises
    PredictionFileError when nothing has a prediction, when several could be one's, or what all need is missing.
    """
    gathered = _Gathered(benchmark, ledger)
    for unit in units_of(benchmark):
        done = None if ledger is None else ledger.find(unit.name, unit.key)
        predictions: dict[str, PersonPoints] = {}
        distances: Tensor | None = None
        if done is None:
            try:
                done, predictions, distances = _score_unit(unit, metrics, system)
            except PredictionFileError:
                raise
            except LimnerError as error:
                gathered.failed.append(Failed(unit.name, str(error)))
                after(unit)
                continue
            after(unit)
            if ledger is not None:
                ledger.add(done, distances)
        else:
            after(unit)
            distances = ledger.distances(done) if ledger is not None and done.distances else None
        gathered.add(unit, done, predictions, distances)
    return gathered.scored(metrics, system)


def _score_unit(
    unit: Unit, metrics: list[Metric], system: System
) -> tuple[Done, dict[str, PersonPoints], Float[Tensor, "_"] | None]:
    predictions, found = unit.predictions(system)
    values: dict[str, dict[str, float]] = {}
    reasons: dict[str, str] = {}
    distances: list[Tensor] = []
    for case in unit.cases:
        if case.name in predictions:
            scores, why = score(metrics, predictions[case.name], case.target())
            values[case.name] = scores.values
            reasons |= why
            distances += [] if scores.distances_mm is None else [scores.distances_mm.float()]
    unanswered = tuple(case.name for case in unit.cases if case.name not in predictions)
    together = torch.cat(distances) if distances else None
    done = Done(unit.name, unit.key, values, reasons, unanswered, found, together is not None)
    return done, predictions, together


class _Gathered:
    """Scores of the cases so far; predictions are kept of the worst only: a set's meshes may not fit into memory."""

    def __init__(self, benchmark: Benchmark, ledger: Ledger | None):
        self.benchmark, self.ledger = benchmark, ledger
        self.cases: list[Case] = []
        self.values: list[dict[str, float]] = []
        self.worst: list[tuple[float, int, Unit, PersonPoints | None]] = []
        self.distances: list[tuple[str, Tensor]] = []
        self.reasons: dict[str, str] = {}
        self.unanswered: list[str] = []
        self.failed: list[Failed] = []
        self.predictions = 0

    def add(self, unit: Unit, done: Done, predictions: dict[str, PersonPoints], distances: Tensor | None) -> None:
        for case in unit.cases:
            if case.name not in done.values:
                continue
            values = done.values[case.name]
            if values:
                self.worst.append((next(iter(values.values())), len(self.cases), unit, predictions.get(case.name)))
                self.worst = sorted(self.worst, key=lambda row: -row[0])[:WORST]
            self.cases.append(case)
            self.values.append(values)
        self.reasons |= done.reasons
        self.unanswered += done.unanswered
        self.predictions += done.predictions
        if distances is not None:
            self.distances.append((unit.cases[0].group, distances))

    def scored(self, metrics: list[Metric], system: System) -> Scored:
        """All of it. Raises PredictionFileError when there is nothing."""
        self._need_something()
        names = [name for metric in metrics for name in metric.names]
        values = {name: torch.tensor([row.get(name, torch.nan) for row in self.values]) for name in names}
        found = Found(len(self.cases), len(self.benchmark.cases), self.predictions) if self.benchmark.crowd else None
        return Scored(
            self.benchmark,
            tuple(self.cases),
            values,
            tuple(self._worst_predictions(system)),
            tuple(self.distances),
            self.reasons,
            tuple(self.unanswered),
            tuple(self.failed),
            found,
        )

    def _worst_predictions(self, system: System) -> list[tuple[int, PersonPoints]]:
        """The worst with their predictions; those scored in an earlier run are asked again."""
        found = []
        for _, row, unit, prediction in self.worst:
            if prediction is None:
                prediction = unit.predictions(system)[0].get(self.cases[row].name)
            if prediction is not None:
                found.append((row, prediction))
        return found

    def _need_something(self) -> None:
        name, count = self.benchmark.name, len(self.benchmark.cases)
        if not self.cases and self.failed:
            first = self.failed[0]
            raise PredictionFileError(f"{name}: none of {count} cases could be scored. First {first.name}: {first.why}")
        if not self.cases and self.benchmark.crowd:
            raise PredictionFileError(f"{name}: none of {self.predictions} predictions lies near somebody in a photo.")
        if not self.cases:
            keys = ", ".join(self.benchmark.cases[0].keys)
            raise PredictionFileError(
                f"none of {count} cases of {name} has a prediction: the first one was looked for under {keys}. Name "
                "the files, or their folders, after the photos."
            )
        if not self.worst:
            why = "; ".join(sorted(set(self.reasons.values())))
            raise PredictionFileError(f"{name}: nothing can be compared. {why}.")
