"""Curating a folder of photos, so that it can be stopped at any moment and goes on where it was."""

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from limner.body.model import BodyModel
from limner.curate.store import CuratedSet, SetError, only_one_run
from limner.curate.work import Curation, Item, MakeWorker, Message, PhotoFailed, PhotoSeen, PhotosFitted, Settings
from limner.errors import LimnerError, shown
from limner.fit.prior import PosePriors
from limner.fit.vposer import owned_priors
from limner.io.keypoint_file import shared_stems
from limner.io.photo_list import PhotoList, find_photos
from limner.pipeline.convert_body import BodyConverter
from limner.progress import progress_bar
from limner.reading.json_file import parsed_json
from limner.reading.told import told_as, whole_file
from limner.scale.engine import Engine, messages
from limner.scale.report import MOST_SHOWN, tell_left_out

BATCH = 16
"""Photos whose people are fitted together: enough to keep the solver busy, few enough to lose nothing by a stop."""
SETTINGS = "settings"
COLUMNS = ("file", "licence", "source")


@dataclass(frozen=True)
class Origin:
    """Where a photo is from and what may be done with it."""

    licence: str = ""
    source: str = ""


def curate(
    photos: Sequence[Path],
    out: Path,
    licence: str = "",
    provenance: Path | None = None,
    keypoints: Path | None = None,
    engine: Engine = "local",
    workers: int = 0,
    batch: int = BATCH,
    retry_failed: bool = False,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    vposer: Path | None = None,
    make_worker: MakeWorker | None = None,
    recursive: bool = False,
) -> int:
    """Detect, estimate, fit and score everybody in photos; returns the exit code: 0, or 1 if a photo failed.

    What is done is kept at once: photos by photo what the networks saw, batch by batch the fits. Called again with the
    same `out`, finished work is not repeated, and new photos are added. make_worker: something else than limner's own
    estimator and fitter. recursive: folders below those given, too. Raises LimnerError for what concerns all photos.
    """
    if batch < 1:
        raise LimnerError(f"--batch {batch}: expected at least one photo.")
    found = find_photos(photos, recursive, without=[out])
    files, unnamed = _storable([path.resolve() for path in found.photos])
    origins = {} if provenance is None else read_provenance(provenance)
    console = Console()
    with only_one_run(out):
        curated = CuratedSet.make(out)
        try:
            prior = vposer and vposer.expanduser().resolve()
            settings = Settings(weights, body_model, keypoints, focal_px, prior, shared_stems(files))
            _check_settings(curated, replace(settings, body_model=body_model and body_model.resolve()))
            curated.add_photos((file, *_origin(file, origins, licence)) for file in files)
            if retry_failed:
                curated.retry_failed()
            todo = curated.unfinished()
            done = sum(curated.photo_counts().values()) - len(todo)
            with progress_bar(console) as progress:
                bar = progress.add_task("curating", total=done + len(todo), completed=done)
                advance = partial(progress.advance, bar)
                batches = _batches(curated, todo, batch, advance)
                task = Curation(make_worker or settings)
                with closing(messages(task, batches, len(todo), engine, workers)) as told:
                    for message in told:
                        _keep(curated, message, advance)
            code = _report(curated, out, console, found, unnamed)
            if (converter := BodyConverter.to(BodyModel.load(body_model))) is not None:
                console.print(Text(converter.note), soft_wrap=True)
            return code
        finally:
            curated.close()


def _storable(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Photos whose paths can be kept as text, and the others."""
    good = [file for file in files if _is_text(str(file))]
    return good, [file for file in files if file not in set(good)]


def _is_text(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False


def read_provenance(path: Path) -> dict[str, Origin]:
    """A CSV file with the columns file, licence, source (the latter two may be missing or empty), one row a photo.

    `file` is the photo's name, or its whole path. Raises SetError, which names the cure.
    """
    cure = f"Give a CSV file with the columns {', '.join(COLUMNS)}."
    with told_as(SetError, path, cure), io.StringIO(whole_file(path, 2**28).decode("utf-8-sig"), newline="") as handle:
        rows = list(csv.DictReader(handle))
    if rows and "file" not in rows[0]:
        raise SetError(f"{path} has the columns {', '.join(map(str, rows[0]))}, expected {', '.join(COLUMNS)}.")
    return {row["file"] or "": Origin(row.get("licence") or "", row.get("source") or "") for row in rows}


def _origin(file: Path, origins: dict[str, Origin], licence: str) -> tuple[str, str]:
    own = origins.get(str(file)) or origins.get(file.name) or Origin()
    return own.licence or licence, own.source


def _check_settings(curated: CuratedSet, settings: Settings) -> None:
    """One set, one body and one way to fit it: else its people could not be used together."""
    now = {
        "weights": settings.weights,
        "body_model": str(settings.body_model or ""),
        "body": body_fingerprint(BodyModel.load(settings.body_model)),
        "keypoints": str(settings.keypoints or ""),
        "vposer": str(settings.vposer or ""),
    }
    before = _settings_of(curated)
    for name, value in now.items():
        if before and before.get(name, "") != value:
            raise SetError(
                f"{curated.folder} was begun with {name} {before.get(name) or 'of limner'!r}, now it is "
                f"{value or 'of limner'!r}. Use the same as before, or another --out."
            )
    if not before:
        curated.set_meta(SETTINGS, json.dumps(now))


def body_fingerprint(model: BodyModel) -> str:
    """Tells bodies apart whose numbers mean different people, or whose named points lie elsewhere on them."""
    digest = hashlib.sha256()
    shape = model.v_template, model.directions, model.joint_template, model.weights
    points = model.vertex_ids, model.landmark_vertices, model.landmark_barycentric
    contour = model.contour_vertices, model.contour_barycentric
    for tensor in (*shape, *points, *contour):
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_body(curated: CuratedSet, body_model: Path | None = None) -> BodyModel:
    """The body that a set was fitted with. Raises SetError where it is another by now."""
    settings = _settings_of(curated)
    known = settings.get("body_model") or None
    model = BodyModel.load(body_model or known)
    if body_fingerprint(model) != settings.get("body"):
        raise SetError(
            f"{curated.folder} was fitted with another body ({known or 'an older one of limner'}). Give the one it was "
            "made with (--body-model), or curate the photos again."
        )
    return model


def load_set_priors(curated: CuratedSet, vposer: Path | None = None) -> PosePriors:
    """The priors that a set was fitted with; `vposer`: where its VPoser lies now. Raises WeightsError."""
    return owned_priors(vposer or _settings_of(curated).get("vposer") or None)


def _settings_of(curated: CuratedSet) -> dict[str, str]:
    """What a set was begun with; nothing before its first run."""
    with told_as(SetError, curated.folder, "Its settings are damaged: put back a copy, or curate again."):
        return {str(name): str(value) for name, value in parsed_json(curated.meta(SETTINGS) or "{}").items()}


def _batches(
    curated: CuratedSet, todo: list[tuple[int, Path, bool]], size: int, advance: Callable[[int], None]
) -> Iterator[list[Item]]:
    """Photos that need work, in blocks of `size` of the set; copies of photos that are in it already are left out.

    A block is the same after a restart: fits of a batch differ in the last bits from those of another one.
    """
    for _, block in itertools.groupby(todo, key=lambda row: (row[0] - 1) // size):
        batch: list[Item] = []
        for photo, path, looked in block:
            if looked:
                batch.append(Item(photo, path, curated.seen_in(photo)))
            elif _new_content(curated, photo, path):
                batch.append(Item(photo, path))
            else:
                advance(1)
        if batch:
            yield batch


def _new_content(curated: CuratedSet, photo: int, path: Path) -> bool:
    try:
        with open(path, "rb") as handle:
            return curated.claim_content(photo, hashlib.file_digest(handle, "sha256").hexdigest())
    except OSError:
        return True  # whoever reads it as a photo says what is wrong, and how to mend it


def _keep(curated: CuratedSet, message: Message, advance: Callable[[int], None]) -> None:
    if isinstance(message, PhotoSeen):
        curated.save_seen(message.photo, message.size_px, message.seen, message.thumbs)
        if not len(message.seen):
            advance(1)
    elif isinstance(message, PhotoFailed):
        curated.save_failed(message.photo, message.note)
        advance(1)
    elif isinstance(message, PhotosFitted):
        curated.save_fits(message.photos, message.judged)
        advance(len(message.photos))


def _report(curated: CuratedSet, out: Path, console: Console, found: PhotoList, unnamed: Sequence[Path]) -> int:
    """Tell what the set holds, and what was left out of it; the exit code."""
    counts, people = curated.photo_counts(), curated.counts()
    names = {
        "fitted": "with people",
        "empty": "nobody in them",
        "same": "same bytes as another photo",
        "failed": "failed",
    }
    table = Table(title=f"{sum(counts.values())} photos, {sum(people.values())} people")
    table.add_column("photos")
    table.add_column("number", justify="right")
    for state, name in names.items():
        if counts.get(state):
            table.add_row(name, str(counts[state]), style="red" if state == "failed" else None)
    console.print(table)
    for photo in curated.photos_in_state("failed", MOST_SHOWN):
        console.print(Text(shown(f"{photo.path.name}: {photo.note}"), style="red"), soft_wrap=True)
    for file in unnamed:
        note = "its path is no UTF-8, so the set cannot keep it: rename it"
        console.print(Text(shown(f"{file.name}: {note}"), style="red"), soft_wrap=True)
    tell_left_out(console, found)
    console.print(Text(shown(f"Review the fits with: limner review {out}")), soft_wrap=True)
    return 1 if counts.get("failed") or unnamed else 0
