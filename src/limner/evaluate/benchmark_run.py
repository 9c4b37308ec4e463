"""`limner evaluate ehf` and its like: score limner, or any system's outputs, on a public data set, and show it."""

import csv
import io
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.text import Text
from torch import Tensor

from limner.body.model import BodyModel
from limner.data.sources.agora import write_submission_files, zip_submission
from limner.data.sources.stirling import Quality
from limner.errors import shown
from limner.estimator import Estimator
from limner.evaluate.benchmarks.agora import MPJPE, MVE, agora_benchmark
from limner.evaluate.benchmarks.curated import curated_benchmark
from limner.evaluate.benchmarks.ehf import ehf_benchmark
from limner.evaluate.benchmarks.face_scans import now_benchmark, stirling_benchmark
from limner.evaluate.benchmarks.freihand import freihand_benchmark
from limner.evaluate.benchmarks.record import Benchmark, System, check_metrics
from limner.evaluate.benchmarks.threedpw import threedpw_benchmark
from limner.evaluate.case_sheets import draw_case, error_curves
from limner.evaluate.limner_system import LimnerSystem
from limner.evaluate.metrics import Estimate
from limner.evaluate.person_errors import mean_of
from limner.evaluate.prediction_files import PredictionFiles, read_predictions
from limner.evaluate.resume import Ledger, fingerprint, folder_fingerprint, stamp, weights_fingerprint
from limner.evaluate.scoring import Scored, Unit, score_benchmark, units_of
from limner.evaluate.sheets import Tile, contact_sheet
from limner.evaluate.tables import Row, Table, print_tables, write_tables
from limner.evaluate.topology import WHERE, SmplxFiles, find_smplx_files
from limner.expose.estimator import PREFIX, OfficialEstimator
from limner.io.atomic import atomic_write
from limner.io.image import write_image
from limner.progress import progress_bar

What = Literal["ehf", "3dpw", "freihand", "now", "stirling", "agora", "curated"]
SEED = 0
SUBMITTED = "predictions"
"""Folder of a run in progress: what goes to AGORA's server."""
SIDE_FOLDERS = ("", "models", "smplx", "models/smplx")
"""Below the data, where SMPL-X's files are looked for; and beside the file of --body-model."""
BIN_MM, BINS, RESAMPLES = 0.005, 8000, 1000


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
) -> int:
    """Score limner, or the outputs in `predictions`, on a public data set in `path`; write to `out`.

    results.json and results.md: every metric with its 95 % interval; people.csv: every number; errors_SET.png: curves;
    worst_SET.png: the ten worst. `limit`: so many cases, a fixed choice. Nothing is scored before the self-check has
    passed. A run that was cut off goes on when it is started again (`OUT/progress`). A case of which a file cannot be
    read is named and left out, and the returned exit code is 1. Raises LimnerError for missing data, weights or files,
    and when a metric does not score known cases rightly.
    """
    files = find_smplx_files([path / folder for folder in SIDE_FOLDERS], body_model)
    model = None if files.model_file is None else BodyModel.load(files.model_file)
    benchmarks = [_limited(benchmark, limit) for benchmark in open_benchmarks(what, path, files, model)]
    checked = [check_metrics(benchmark) for benchmark in benchmarks]
    system, column = _system(predictions, model, weights, body_model)
    subject = weights_fingerprint(weights) if predictions is None else folder_fingerprint(predictions)
    run = fingerprint(what, subject, stamp(body_model), folder_fingerprint(path, without=[out]))
    console, results = Console(), []
    for benchmark, (metrics, reasons) in zip(benchmarks, checked, strict=True):
        ledger = Ledger(
            out / "progress" / _file_name(benchmark), fingerprint(run, [metric.names for metric in metrics])
        )
        with _Watch(benchmark, ledger, system, None if body_model is None else model, console) as watch:
            scored = score_benchmark(benchmark, metrics, system, ledger, watch)
        results.append((replace(scored, reasons=reasons | scored.reasons), ledger))
    facts: dict[str, object] = {
        "data": path,
        "weights": None if predictions else weights,
        "predictions": predictions,
        "limit": limit,
        "left_out": [asdict(one) for scored, _ in results for one in scored.failed],
    }
    _write(out, results, column, files, facts, console)
    return 1 if facts["left_out"] else 0


def _write(
    out: Path,
    results: list[tuple[Scored, Ledger]],
    column: str,
    files: SmplxFiles,
    facts: dict[str, object],
    console: Console,
) -> None:
    """Tables, numbers, pictures; the ledger of a run without failures is not needed any more."""
    everything = [scored for scored, _ in results]
    tables = [result_table(scored, column, files) for scored in everything]
    write_tables(out, tables, f"{column} on {everything[0].benchmark.name.split()[0]}", facts)
    _write_people(out / "people.csv", everything)
    for scored, ledger in results:
        _write_pictures(out, scored, column)
        if (ledger.folder / SUBMITTED).is_dir():
            zip_submission(out / "predictions.zip", ledger.folder / SUBMITTED)
        if not scored.failed:
            ledger.remove()
    if not any(scored.failed for scored in everything):
        with suppress(OSError):
            (out / "progress").rmdir()
    print_tables(tables, console)
    for table in tables:
        console.print(table.note, soft_wrap=True)
    for one in (one for scored in everything for one in scored.failed):
        console.print(Text.assemble(("left out ", "red"), shown(f"{one.name}: {one.why}")), soft_wrap=True)
    console.print(Text(shown(f"Results are in {out.resolve()}")), soft_wrap=True)


class _Watch:
    """Shows how far a run is, and keeps what limner submits to AGORA's server as it goes: a callback of each unit."""

    def __init__(
        self, benchmark: Benchmark, ledger: Ledger, system: System, submitting: BodyModel | None, console: Console
    ):
        """`submitting`: SMPL-X, by which limner answered."""
        self.ledger, self.system, self.submitting = ledger, system, submitting
        self.progress = progress_bar(console)
        self.task = self.progress.add_task(benchmark.name, total=len(units_of(benchmark)))
        if len(ledger):
            console.print(f"{benchmark.name}: {len(ledger)} were scored earlier by the same weights or files; going on")

    def __enter__(self) -> "_Watch":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, unit: Unit) -> None:
        self.progress.advance(self.task)
        if isinstance(self.system, LimnerSystem) and self.submitting is not None:
            people = self.system.submitted.get(unit.name, [])
            write_submission_files(self.ledger.folder / SUBMITTED, people, self.submitting.hand_means)


def _file_name(benchmark: Benchmark) -> str:
    return benchmark.name.replace(" ", "_").replace(",", "")


def _system(
    predictions: Path | None, model: BodyModel | None, weights: str, body_model: Path | None
) -> tuple[System, str]:
    """What is scored, and what it is called."""
    if predictions is not None:
        return PredictionFiles(read_predictions(predictions, model)), predictions.stem or "predictions"
    if weights.startswith(PREFIX):
        return LimnerSystem(OfficialEstimator.load(weights.removeprefix(PREFIX), body_model)), "ExPose"
    return LimnerSystem(Estimator.load(weights, body_model)), "limner"


def _limited(benchmark: Benchmark, limit: int | None) -> Benchmark:
    if limit is None or limit >= len(benchmark.cases):
        return benchmark
    order = list(range(len(benchmark.cases)))
    random.Random(SEED).shuffle(order)
    note = f"only {limit} of {len(benchmark.cases)} cases (--limit): not a published number"
    cases = tuple(benchmark.cases[i] for i in sorted(order[:limit]))
    return replace(benchmark, cases=cases, notes=(*benchmark.notes, note))


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
    if result.failed:
        names = ", ".join(one.name for one in result.failed[:3])
        notes.append(f"LEFT OUT, a file cannot be read: {len(result.failed)}, {names}, ... (see left_out).")
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
    for metric, normal in ((MVE, "NMVE all, mm"), (MPJPE, "NMJE all, mm")):
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
            cells = ["" if value != value else f"{value:.4f}" for value in row]
            writer.writerow([result.benchmark.name, case.name, case.group, *cells])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _write_pictures(out: Path, result: Scored, column: str) -> None:
    """Curves of all errors, and the cases with the largest first metric that could be computed."""
    name = _file_name(result.benchmark)
    write_image(out / f"errors_{name}.png", error_curves(result.values, f"{column} on {result.benchmark.name}"))
    first, errors = next((n, v) for n, v in result.values.items() if not bool(v.isnan().all()))
    tiles = []
    for row, prediction in result.worst:
        case = result.cases[row]
        tiles.append(Tile(draw_case(case, prediction, case.target()), f"{case.name}  {float(errors[row]):.1f}"))
    title = f"{result.benchmark.name}, worst by {first}: photo, truth, {column} moved onto it"
    write_image(out / f"worst_{name}.png", contact_sheet(tiles, title, columns=2))
