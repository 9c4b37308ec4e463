"""`limner evaluate ehf` and its like: score limner, or any system's outputs, on a public data set, and show it."""

import csv
import io
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from torch import Tensor

from limner.body.model import BodyModel
from limner.data.sources.agora import FULL_WIDTH, write_submission
from limner.data.sources.stirling import Quality
from limner.estimator import Estimator
from limner.evaluate.answer import Answer
from limner.evaluate.answer_files import AnswerBook, AnswerFileError, read_answers
from limner.evaluate.benchmarks.agora import MPJPE, MVE, Found, agora_benchmark, match_people
from limner.evaluate.benchmarks.curated import curated_benchmark
from limner.evaluate.benchmarks.ehf import ehf_benchmark
from limner.evaluate.benchmarks.face_scans import now_benchmark, stirling_benchmark
from limner.evaluate.benchmarks.freihand import freihand_benchmark
from limner.evaluate.benchmarks.point_metrics import Metric
from limner.evaluate.benchmarks.record import Benchmark, Case, System, check_metrics, score
from limner.evaluate.benchmarks.threedpw import threedpw_benchmark
from limner.evaluate.case_sheets import draw_case, error_curves
from limner.evaluate.metrics import Estimate
from limner.evaluate.own_answers import OwnAnswers, submission
from limner.evaluate.sheets import Tile, contact_sheet
from limner.evaluate.tables import Row, Table, print_tables, write_tables
from limner.evaluate.tally import mean_of
from limner.evaluate.topology import WHERE, SmplxFiles, find_smplx_files
from limner.io.atomic import atomic_write
from limner.io.image import read_photo, write_image

What = Literal["ehf", "3dpw", "freihand", "now", "stirling", "agora", "curated"]
SEED, WORST = 0, 10
SIDE_FOLDERS = ("", "models", "smplx", "models/smplx")
"""Below the data, where SMPL-X's files are looked for; and beside the file of --body-model."""
BIN_MM, BINS, RESAMPLES = 0.005, 8000, 1000


@dataclass(frozen=True)
class Scored:
    """All that is known after a run: a row for each case that was answered.

    worst: rows and answers of the cases with the largest first error, that one first; distances: groups and mm
    """

    benchmark: Benchmark
    cases: tuple[Case, ...]
    values: dict[str, Float[Tensor, "P"]]
    worst: tuple[tuple[int, Answer], ...]
    distances: tuple[tuple[str, Float[Tensor, "_"]], ...]
    reasons: dict[str, str]
    unanswered: tuple[str, ...]
    found: Found | None = None

    @property
    def groups(self) -> list[str]:
        """Each case's group, for intervals."""
        return [case.group for case in self.cases]


def open_benchmarks(what: What, path: Path, files: SmplxFiles, model: BodyModel | None) -> list[Benchmark]:
    """The benchmarks of a data set (Stirling has two). Raises DataSetError for missing or half data."""
    match what:
        case "ehf":
            return [ehf_benchmark(path, files)]
        case "3dpw":
            return [threedpw_benchmark(path, files)]
        case "freihand":
            return [freihand_benchmark(path, files)]
        case "now":
            return [now_benchmark(path)]
        case "stirling":
            qualities: tuple[Quality, ...] = ("HQ", "LQ")
            there = [quality for quality in qualities if (path / "Subset_2D_FG2018" / quality).is_dir()]
            return [stirling_benchmark(path, quality) for quality in there or qualities[:1]]
        case "agora":
            return [agora_benchmark(path, files, model)]
        case "curated":
            return [curated_benchmark(path, files, model)]


def evaluate_benchmark(
    what: What,
    path: Path,
    out: Path,
    weights: str = "limner",
    limit: int | None = None,
    predictions: Path | None = None,
    body_model: Path | None = None,
) -> None:
    """Score limner, or the outputs in `predictions`, on a public data set in `path`; write to `out`.

    results.json and results.md: every metric with its 95 % interval; people.csv: every number; errors_SET.png: curves;
    worst_SET.png: the ten worst. `limit`: so many cases, a fixed choice. Nothing is scored before the self-check has
    passed. Raises LimnerError for missing data, weights or files, and when a metric does not score known cases rightly.
    """
    files = find_smplx_files([path / folder for folder in SIDE_FOLDERS], body_model)
    model = None if files.model_file is None else BodyModel.load(files.model_file)
    benchmarks = [_limited(benchmark, limit) for benchmark in open_benchmarks(what, path, files, model)]
    checked = [check_metrics(benchmark) for benchmark in benchmarks]
    system, column = _system(predictions, model, weights, body_model)
    console = Console()
    results = []
    for benchmark, (metrics, reasons) in zip(benchmarks, checked, strict=True):
        if benchmark.crowd:
            scored = score_crowd(benchmark, metrics, system)
        else:
            cases = track(benchmark.cases, benchmark.name, console=console, transient=True)
            scored = score_cases(benchmark, metrics, system, cases)
        results.append(replace(scored, reasons=reasons | scored.reasons))
    tables = [result_table(result, column, files) for result in results]
    out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, object] = {
        "data": path,
        "weights": None if predictions else weights,
        "predictions": predictions,
        "limit": limit,
    }
    write_tables(out, tables, f"{column} on {benchmarks[0].name.split()[0]}", facts)
    _write_people(out / "people.csv", results)
    for result in results:
        _write_pictures(out, result, column)
    if isinstance(system, OwnAnswers) and system.seen and model is not None and body_model is not None:
        write_submission(out / "predictions.zip", submission(system.seen), model.hand_means)
    print_tables(tables, console)
    for table in tables:
        console.print(table.note, soft_wrap=True)
    console.print(f"Results are in {out.resolve()}", soft_wrap=True)


def _system(
    predictions: Path | None, model: BodyModel | None, weights: str, body_model: Path | None
) -> tuple[System, str]:
    """What is scored, and what it is called."""
    if predictions is not None:
        return FromFiles(AnswerBook(read_answers(predictions, model))), predictions.stem or "predictions"
    return OwnAnswers(Estimator.load(weights, body_model)), "limner"


class FromFiles:
    """Another system, by the files it wrote."""

    def __init__(self, book: AnswerBook):
        self.book = book

    def answer(self, case: Case) -> Answer | None:
        """The prediction that is named after the case. Raises AnswerFileError where it could be several."""
        return self.book.find(*keys_of_case(case))

    def crowd(self, group: str, photo: Path) -> list[Answer]:
        """Everybody of a photo who has joints in it: the files speak of AGORA's large photos."""
        scale = read_photo(photo).width / FULL_WIDTH
        given = self.book.of_photo(group)
        return [replace(one, points_px=one.points_px * scale) for one in given if one.points_px is not None]


def _limited(benchmark: Benchmark, limit: int | None) -> Benchmark:
    if limit is None or limit >= len(benchmark.cases):
        return benchmark
    order = list(range(len(benchmark.cases)))
    random.Random(SEED).shuffle(order)
    note = f"only {limit} of {len(benchmark.cases)} cases (--limit): not a published number"
    cases = tuple(benchmark.cases[i] for i in sorted(order[:limit]))
    return replace(benchmark, cases=cases, notes=(*benchmark.notes, note))


def keys_of_case(case: Case) -> tuple[str, ...]:
    """Under which names a prediction of the case is looked for, the exact one first."""
    person = "#" + case.name.split("#")[1] if "#" in case.name else ""
    return (case.name, f"{case.name}#0", case.photo.stem + person, f"{case.photo.stem}{person or '#0'}")


def score_cases(benchmark: Benchmark, metrics: list[Metric], system: System, cases: Iterable[Case]) -> Scored:
    """Every case with its own answer. Raises AnswerFileError when no case has one, or two files could be one's."""
    gathered = _Gathered()
    for case in cases:
        said = system.answer(case)
        if said is None or not said.is_finite():
            gathered.unanswered.append(case.name)
            continue
        gathered.add(metrics, case, said, case.truth())
    if not gathered.cases:
        keys = ", ".join(keys_of_case(benchmark.cases[0]))
        raise AnswerFileError(
            f"none of {len(benchmark.cases)} cases of {benchmark.name} has a prediction: the first one was looked for "
            f"under {keys}. Name the files, or their folders, after the photos."
        )
    return gathered.scored(benchmark, metrics)


def score_crowd(benchmark: Benchmark, metrics: list[Metric], system: System) -> Scored:
    """Photo by photo: everybody who was found is matched to the people by their joints in the photo."""
    by_photo: dict[str, list[Case]] = {}
    for case in benchmark.cases:
        by_photo.setdefault(case.group, []).append(case)
    gathered, predictions = _Gathered(), 0
    for name, cases in by_photo.items():
        truths = [case.truth() for case in cases]
        said = [one for one in system.crowd(name, cases[0].photo) if one.is_finite()]
        predictions += len(said)
        points = [one.points_px for one in said if one.points_px is not None]
        pairs = match_people(points, [true.points_px for true in truths if true.points_px is not None])
        matched = {j: said[i] for i, j in pairs}
        for j, (case, true) in enumerate(zip(cases, truths, strict=True)):
            if j in matched:
                gathered.add(metrics, case, matched[j], true)
            else:
                gathered.unanswered.append(case.name)
    if not gathered.cases:
        raise AnswerFileError(f"{benchmark.name}: none of {predictions} predictions lies near a person in the photos.")
    scored = gathered.scored(benchmark, metrics)
    return replace(scored, found=Found(len(gathered.cases), len(benchmark.cases), predictions))


class _Gathered:
    """Scores of the cases so far; answers are kept of the worst only: all meshes of a set may not fit into memory."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.worst: list[tuple[float, int, Answer]] = []
        self.values: list[dict[str, float]] = []
        self.distances: list[tuple[str, Tensor]] = []
        self.reasons: dict[str, str] = {}
        self.unanswered: list[str] = []

    def add(self, metrics: list[Metric], case: Case, said: Answer, true: Answer) -> None:
        scores, reasons = score(metrics, said, true)
        if scores.values:
            self.worst.append((next(iter(scores.values.values())), len(self.cases), said))
            self.worst = sorted(self.worst, key=lambda row: -row[0])[:WORST]
        self.cases.append(case)
        self.values.append(scores.values)
        self.reasons |= reasons
        if scores.distances_mm is not None:
            self.distances.append((case.group, scores.distances_mm.float()))

    def scored(self, benchmark: Benchmark, metrics: list[Metric]) -> Scored:
        names = [name for metric in metrics for name in metric.names]
        values = {name: torch.tensor([row.get(name, torch.nan) for row in self.values]) for name in names}
        if not self.worst:
            why = "; ".join(sorted(set(self.reasons.values())))
            raise AnswerFileError(f"{benchmark.name}: nothing can be compared. {why}.")
        return Scored(
            benchmark,
            tuple(self.cases),
            values,
            tuple((row, answer) for _, row, answer in self.worst),
            tuple(self.distances),
            self.reasons,
            tuple(self.unanswered),
        )


def result_table(result: Scored, column: str, files: SmplxFiles) -> Table:
    """One row a metric, with what could not be compared and why."""
    benchmark, groups = result.benchmark, result.groups
    rows = []
    if result.distances:
        pooled = pooled_statistics(result.distances)
        rows += [Row(benchmark.name, f"all points: {name}", e.people, {column: e}) for name, e in pooled.items()]
    for name, values in result.values.items():
        estimate = mean_of(values.double()).estimate(groups)
        rows.append(Row(benchmark.name, name, estimate.people, {column: estimate} if estimate.people else {}))
    if result.found is not None:
        rows += _found_rows(result, column)
    notes = [benchmark.source, *(f"{note[0].upper()}{note[1:]}." for note in benchmark.notes)]
    if result.unanswered:
        notes.append(
            f"NOT ANSWERED (or with numbers that are not finite): {len(result.unanswered)} of {len(benchmark.cases)} "
            f"cases, {', '.join(result.unanswered[:3])}, ...; published numbers count all."
        )
    notes += _reasons(result.reasons, files)
    return Table(benchmark.name, (column,), tuple(rows), note=" ".join(notes))


def _reasons(reasons: dict[str, str], files: SmplxFiles) -> Iterator[str]:
    """Not comparable, by reason; and where to get the missing files."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name.removesuffix(", mm"))
    for reason, names in by_reason.items():
        yield f"Not comparable: {', '.join(names)} ({reason})."
    needed = [name for name in files.missing if any(name in reason for reason in by_reason)]
    if needed:
        yield "Put into the data's folder: " + "; ".join(f"{name} from {WHERE[name]}" for name in needed) + "."


def _found_rows(result: Scored, column: str) -> Iterator[Row]:
    """AGORA's normalised errors, and how well people were found."""
    found, name = result.found, result.benchmark.name
    if found is None:
        return
    unknown = float("nan")
    numbers = {"F1": found.f1, "precision": found.matched / max(1, found.predictions)}
    numbers["recall"] = found.matched / max(1, found.people)
    for metric, normal in ((MVE, "NMVE all, mm"), (MPJPE, "NMJE of 22 joints, mm")):
        values = result.values.get(metric, torch.tensor([torch.nan]))
        numbers[normal] = float(values[~values.isnan()].mean()) / found.f1
    for metric, value in numbers.items():
        yield Row(name, metric, found.people, {column: Estimate(value, unknown, unknown, found.people)})


def pooled_statistics(distances: Sequence[tuple[str, Float[Tensor, "_"]]], seed: int = SEED) -> dict[str, Estimate]:
    """Median, mean and standard deviation over all points of all cases, as NoW reports them; 95 % bootstrap intervals.

    Values are exact; intervals draw whole groups and take the points from bins of BIN_MM.
    """
    everything = torch.cat([millimetres for _, millimetres in distances])
    # torch's median is the lower of two middle ones
    exact = (np.median(everything.numpy()), everything.double().mean(), everything.double().std())
    names = list(dict.fromkeys(group for group, _ in distances))
    counts = torch.zeros(len(names), BINS, dtype=torch.float64)
    for group, millimetres in distances:
        bins = (millimetres / BIN_MM).long().clamp(0, BINS - 1)
        counts[names.index(group)] += torch.bincount(bins, minlength=BINS)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(names), (RESAMPLES, len(names)), generator=generator)
    middle = (torch.arange(BINS, dtype=torch.float64) + 0.5) * BIN_MM
    samples = []
    for row in drawn:
        total = counts[row].sum(0)
        mean = float((total * middle).sum() / total.sum())
        median = float(middle[int(torch.searchsorted(total.cumsum(0), total.sum() / 2).clamp(max=BINS - 1))])
        samples.append((median, mean, float((total * (middle - mean) ** 2).sum() / total.sum()) ** 0.5))
    bounds = torch.quantile(torch.tensor(samples, dtype=torch.float64), torch.tensor([0.025, 0.975]).double(), dim=0)
    titles = ("median, mm", "mean, mm", "std, mm")
    return {
        title: Estimate(float(value), float(bounds[0, i]), float(bounds[1, i]), len(distances))
        for i, (title, value) in enumerate(zip(titles, exact, strict=True))
    }


def _write_people(path: Path, results: Sequence[Scored]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(dict.fromkeys(name for result in results for name in result.values))
    writer.writerow(["set", "case", "group", *names])
    for result in results:
        for i, case in enumerate(result.cases):
            row = [float(result.values[name][i]) if name in result.values else float("nan") for name in names]
            shown = ["" if value != value else f"{value:.4f}" for value in row]
            writer.writerow([result.benchmark.name, case.name, case.group, *shown])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _write_pictures(out: Path, result: Scored, column: str) -> None:
    """Curves of all errors, and the cases with the largest first metric that could be computed."""
    name = result.benchmark.name.replace(" ", "_").replace(",", "")
    write_image(out / f"errors_{name}.png", error_curves(result.values, f"{column} on {result.benchmark.name}"))
    first, errors = next((n, v) for n, v in result.values.items() if not bool(v.isnan().all()))
    tiles = []
    for row, answer in result.worst:
        case = result.cases[row]
        tiles.append(Tile(draw_case(case, answer, case.truth()), f"{case.name}  {float(errors[row]):.1f}"))
    title = f"{result.benchmark.name}, worst by {first}: photo, truth, {column} moved onto it"
    write_image(out / f"worst_{name}.png", contact_sheet(tiles, title, columns=2))
