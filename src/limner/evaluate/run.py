"""`limner evaluate`: measure on a folder, write tables and pictures, print the table."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from jaxtyping import Float
from rich.console import Console
from rich.text import Text
from torch import Tensor

from limner.body.model import BodyModel
from limner.errors import WeightsError, shown
from limner.estimator import Estimator
from limner.evaluate.baselines import BACKBONE, LIMNER, MEAN, UNREFINED, baselines_of
from limner.evaluate.metrics import Estimate
from limner.evaluate.person_errors import (
    BY_JOINT,
    FACE_FAILURES,
    FACE_NME,
    FLIPS,
    HAND_MPJPE,
    HAND_PA,
    HAND_PCK,
    JOINT_GROUPS,
    PCK_TORSO,
    PCK_TORSO_14,
)
from limner.evaluate.photo_sets import PhotoSet, read_photo_sets
from limner.evaluate.photos import DETECTOR, SetScores, Skipped, score_detector, score_set
from limner.evaluate.sheets import Tile, contact_sheet, draw_person
from limner.evaluate.synthetic import synthetic_tables
from limner.evaluate.tables import Row, Table, print_tables, write_tables
from limner.expose.estimator import PREFIX
from limner.io.image import write_image
from limner.networks.weights import load_networks
from limner.progress import progress_bar

SEED = 0
SHOWN, WORST = 24, 10
PHOTO_COLUMNS = (LIMNER, UNREFINED, BACKBONE, MEAN)
PHOTO_NOTE = (
    "Annotated boxes. Points of the projected body, of the backbone in the same crops, and of the mean pose drawn into "
    "the box; hand and face sets: the part network alone. In brackets 95 % bootstrap intervals over `group`. "
    "MediaPipe Holistic: (dev) on these photos, else on other photos of the same source."
)

MEDIAPIPE: dict[tuple[str, str], str] = {
    ("fashion_studio", PCK_TORSO): "96.0 (dev)",
    ("fashion_studio", FLIPS): "0.8",
    ("lsp", PCK_TORSO_14): "82.5 (dev)",
    ("lsp", FLIPS): "1.7",
    ("coco_mini", PCK_TORSO): "53.8 (dev)",
    ("hand3d_real", HAND_PCK): "98.5",
    ("hand3d_real", HAND_MPJPE): "26.3",
    ("hand3d_real", HAND_PA): "11.4",
    ("faces_ytf", FACE_NME): "6.98",
    ("faces_ytf", FACE_FAILURES): "8.0",
}
"""What MediaPipe Holistic 0.10.21 reaches on photos of the same sources, by set and metric, for orientation.

Measured with the annotated box x 1.25, one person a crop, static mode, complexity 1, not found = wrong; flips: per cent
of the people found. "dev": the very photos of photos_dev. The numbers come with the project's data.
"""

MEDIAPIPE_BY_JOINT: dict[str, dict[str, float]] = {
    "fashion_studio": {
        "face": 99.0,
        "shoulder": 98.0,
        "elbow": 96.0,
        "wrist": 91.0,
        "hip": 83.0,
        "knee": 90.0,
        "ankle": 88.0,
    }
}
"""PCK@0.2 torso in per cent, 716 other photos of the source; its hips sit elsewhere than COCO's."""


def evaluate_photos(path: Path, out: Path, weights: str = "limner", limit: int | None = None) -> None:
    """Measure on labelled photos in `path` (see `photo_sets`) and write to `out`.

    results.json, results.md; sheet_SET.png: the same 24 people of each set at every run; worst_SET.png: those ten with
    the largest error. `limit`: so many people a set. Photos that cannot be read are named and left out. Raises
    LimnerError for missing data or weights.
    """
    _check_own(weights)
    sets = read_photo_sets(path, limit, SEED)
    estimator = Estimator.load(weights)
    baselines = baselines_of(estimator)
    console = Console()
    scores: list[SetScores] = []
    detector_rows: list[Row] = []
    skipped: list[Skipped] = []
    with progress_bar(console) as progress:
        for photo_set in sets:
            people = progress.add_task(photo_set.name, total=len(photo_set.people))
            found, bad = score_set(photo_set, baselines, partial(progress.advance, people))
            scores += found
            skipped += bad
            if photo_set.boxes:
                photos = progress.add_task(f"{photo_set.name}: detector", total=len(photo_set.photos()))
                detector_rows += _detector_rows(photo_set, estimator, partial(progress.advance, photos))
        rows = [row for one in scores for row in _rows(one)]
        joint_rows = [row for one in scores for row in _joint_rows(one)]
        tables = _photo_tables(rows, joint_rows, detector_rows)
        out.mkdir(parents=True, exist_ok=True)
        facts = {"data": path, "weights": weights, "limit": limit, "seed": SEED, "skipped": _plain(skipped)}
        write_tables(out, tables, f"limner on labelled photos (weights: {weights})", facts)
        drawing = progress.add_task("pictures", total=2 * len(scores))
        for one in scores:
            _write_sheets(one, estimator, out, partial(progress.advance, drawing))
    print_tables(tables, console)
    for bad_photo in skipped:
        console.print(Text.assemble(("left out ", "red"), shown(f"{bad_photo.photo}: {bad_photo.why}")), soft_wrap=True)
    console.print(Text(shown(f"Results are in {out.resolve()}")), soft_wrap=True)


def evaluate_synthetic(path: Path, out: Path, weights: str = "limner", limit: int | None = None) -> None:
    """Measure on the held-out shards of rendered synthetic people in `path`; results.json and results.md in `out`.

    Raises LimnerError for missing data or weights.
    """
    _check_own(weights)
    networks, model, console = load_networks(weights), BodyModel.load(), Console()
    with progress_bar(console) as progress:
        task = progress.add_task("synthetic people", total=None)
        tables = synthetic_tables(
            path, networks, model, limit, lambda done, total: progress.update(task, completed=done, total=total)
        )
    out.mkdir(parents=True, exist_ok=True)
    facts = {"data": path, "weights": weights, "limit": limit}
    write_tables(out, tables, f"limner on synthetic people never trained on (weights: {weights})", facts)
    print_tables(tables, console)
    console.print(Text(shown(f"Results are in {out.resolve()}")), soft_wrap=True)


def _check_own(weights: str) -> None:
    """These measures ask the parts of limner's networks one by one."""
    if weights.startswith(PREFIX):
        raise WeightsError(
            f"--weights {weights} is the official network: it is measured on ehf, 3dpw, freihand, agora and curated. "
            "Leave --weights out, or measure one of those."
        )


def _rows(scores: SetScores) -> list[Row]:
    """One row a metric."""
    rows = []
    for name in scores.errors[LIMNER]:
        if name.startswith(BY_JOINT):
            continue
        values = {
            column: errors[name].estimate(scores.groups) for column, errors in scores.errors.items() if name in errors
        }
        reference = MEDIAPIPE.get((scores.name, name), "")
        rows.append(Row(scores.name, name, values[LIMNER].people, values, reference))
    return rows


def _joint_rows(scores: SetScores) -> list[Row]:
    """One row a column, a column for each kind of joint; sets with whole people only."""
    rows = []
    for column, errors in scores.errors.items():
        values = {
            joint: errors[BY_JOINT + joint].estimate(scores.groups)
            for joint in JOINT_GROUPS
            if BY_JOINT + joint in errors
        }
        if values:
            rows.append(Row(scores.name, column, len(scores.people), values))
    if rows and scores.name in MEDIAPIPE_BY_JOINT:
        unknown = float("nan")
        given = {joint: Estimate(v, unknown, unknown, 716) for joint, v in MEDIAPIPE_BY_JOINT[scores.name].items()}
        rows.append(Row(scores.name, "MediaPipe", 716, given))
    return rows


def _detector_rows(photo_set: PhotoSet, estimator: Estimator, advance: Callable[[int], None]) -> list[Row]:
    errors, names, _ = score_detector(photo_set, estimator.detector, advance)
    return [Row(photo_set.name, name, len(names), {DETECTOR: one.estimate(names)}) for name, one in errors.items()]


def _photo_tables(rows: list[Row], joint_rows: list[Row], detector_rows: list[Row]) -> list[Table]:
    tables = [Table("Photos", PHOTO_COLUMNS, tuple(rows), "MediaPipe", PHOTO_NOTE)]
    if joint_rows:
        tables.append(Table("PCK@0.2 torso by kind of joint, %", JOINT_GROUPS, tuple(joint_rows), what="answer"))
    if detector_rows:
        note = "People: photos. Not everybody in the photos is labelled, so precision is a lower bound."
        tables.append(Table("Person detector", (DETECTOR,), tuple(detector_rows), note=note))
    return tables


def _write_sheets(scores: SetScores, estimator: Estimator, out: Path, advance: Callable[[], None]) -> None:
    """The fixed people and the worst ones."""
    errors = scores.ranking()
    order = list(range(len(errors)))
    random.Random(SEED).shuffle(order)
    sheets = {"sheet": sorted(order[:SHOWN]), "worst": _worst(errors)}
    tiles = {}
    for i in sorted({i for chosen in sheets.values() for i in chosen}):
        person = scores.people[i]
        tiles[i] = Tile(draw_person(estimator, person), f"{person.name}  error {float(errors[i]):.1f} %")
    for kind, chosen in sheets.items():
        title = f"{scores.name}: {len(chosen)} people; green: labels, pink: from the estimate to the label"
        write_image(out / f"{kind}_{scores.name}.png", contact_sheet([tiles[i] for i in chosen], title))
        advance()


def _worst(errors: Float[Tensor, "P"]) -> list[int]:
    order: list[int] = errors.nan_to_num(-1).argsort(descending=True).tolist()
    return order[:WORST]


def _plain(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    return [{"photo": str(one.photo), "why": one.why} for one in skipped]
