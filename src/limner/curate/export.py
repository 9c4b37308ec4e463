"""Export of a curated set: webdataset shards, ExPose's `curated_fits` layout, and where each photo is from.

OUT/
  dataset.json              what is in it: body, splits, counts, licences
  provenance.csv            a row a photo: split, key, file, sha256, licence, source, people
  shards/train-000000.tar   webdataset: KEY.jpg (or .png), KEY.json (provenance, reviewers, scores), KEY.npz (people)
  curated_fits/             train.npz, val.npz, images/: what readers of ExPose's data expect
  evidence/                 on request: what the frozen backbones see of the training split, for `train regressor`
The split of a photo follows from its content: it is the same in every export.
"""

import csv
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import ExifTags, Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from limner.body.keypoints import keypoint_indices
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.curate.evidence import EvidenceShards
from limner.curate.originals import original_bytes
from limner.curate.records import Seen
from limner.curate.run import body_fingerprint, load_body
from limner.curate.store import CuratedSet, PersonRow, PhotoRow
from limner.data.curated import DESCRIPTION, FORMAT, VERSION
from limner.errors import LimnerError, OutputError, PhotoError
from limner.geometry.rotation import rotation_to_axis_angle
from limner.io.atomic_folder import atomic_folder, sweep
from limner.io.image import read_photo_stream
from limner.io.image_limits import open_image
from limner.io.motion_file import smplx_numbers

Layout = Literal["shards", "expose", "evidence"]
Include = Literal["accepted", "good"]
Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")
SHARD_PHOTOS = 1000
VERBATIM = {"JPEG": ".jpg", "PNG": ".png"}
EXPOSE_COEFFICIENTS = 10
"""So many betas and expression numbers the `curated_fits` layout has."""


@dataclass(frozen=True)
class Sample:
    """One photo with the people that are handed on."""

    key: str
    split: Split
    ending: str
    image: bytes
    photo: PhotoRow
    people: list[PersonRow]
    seen: list[Seen]
    fits: list[BodyParams]


def export(
    folder: Path,
    out: Path,
    include: Include = "accepted",
    min_quality: float = 0.7,
    layouts: Sequence[Layout] = ("shards", "expose"),
    val_share: float = 0.05,
    body_model: Path | None = None,
) -> int:
    """Write the chosen people of a set as a data set, whole or not at all; returns the exit code.

    include: "accepted" by a reviewer, or "good": those and open ones of at least `min_quality`. An older export in
    `out` is replaced. Photos that are gone, or no longer those that were curated, are left out and named, and the exit
    code is 1. Raises LimnerError where nobody is chosen, no photo is left, or `out` holds something else.
    """
    if not 0 <= val_share <= 1 or not 0 <= min_quality <= 1:
        raise LimnerError(f"--val-share {val_share:g}, --min-quality {min_quality:g}: expected numbers from 0 to 1.")
    _check_replaceable(out)
    refused: list[str] = []
    curated = CuratedSet.open(folder)
    try:
        model = load_body(curated, body_model)
        chosen = curated.chosen(min_quality if include == "good" else None)
        sweep(_made(out.parent), _is_ours)  # what a killed export has left
        with atomic_folder(out) as work:
            described = _write_all(curated, chosen, model, work, layouts, val_share, refused)
    finally:
        curated.close()
    _report(described, out, refused)
    return 1 if refused else 0


def split_of(sha256: str, val_share: float) -> Split:
    """A photo's split, by its content alone."""
    return "val" if int(sha256[:8], 16) < val_share * 2**32 else "train"


def image_bytes(content: bytes, path: Path) -> tuple[bytes, str]:
    """A photo as readers expect it, and its ending: the file's own bytes where it is an upright 8-bit RGB or grey JPEG
    or PNG, else turned and converted to JPEG. Raises PhotoError, which names the `path`."""
    with open_image(io.BytesIO(content), path) as image:
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) in (0, 1)
        if upright and image.format in VERBATIM and image.mode in ("RGB", "L"):
            return content, VERBATIM[image.format]
    pixels = read_photo_stream(io.BytesIO(content), path).pixels
    out = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue(), ".jpg"


def _write_all(
    curated: CuratedSet,
    chosen: Iterator[tuple[PhotoRow, list[PersonRow]]],
    model: BodyModel,
    work: Path,
    layouts: Sequence[Layout],
    val_share: float,
    refused: list[str],
) -> dict[str, Any]:
    """Everything to the folder `work`, what is in it as the result; photos that must not leave to `refused`."""
    body = {"name": model.name, "fingerprint": body_fingerprint(model)}
    shards = {split: Shards(work / "shards", split) for split in SPLITS} if "shards" in layouts else {}
    arrays = {split: ExposeArrays() for split in SPLITS} if "expose" in layouts else {}
    evidence = EvidenceShards(work / "evidence", model) if "evidence" in layouts else None
    counts: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    with open(work / "provenance.csv", "w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table)
        rows.writerow(("split", "key", "file", "sha256", "licence", "source", "people"))
        for photo, people in chosen:
            try:
                original = original_bytes(photo)
                sample = _sample(curated, photo, original, people, val_share)
            except PhotoError as error:
                refused.append(str(error))
                continue
            if shards:
                shards[sample.split].add(sample, body)
            if arrays:
                arrays[sample.split].add(sample)
                image = work / "curated_fits" / "images" / f"{sample.key}{sample.ending}"
                image.parent.mkdir(parents=True, exist_ok=True)
                image.write_bytes(sample.image)
            if evidence is not None and sample.split == "train":
                for seen, fit in zip(sample.seen, sample.fits, strict=True):
                    evidence.add(seen, fit)
            counts[f"{sample.split}_photos"] += 1
            counts[f"{sample.split}_people"] += len(people)
            licences[photo.licence] += 1
            origin = (photo.path.name, photo.sha256, photo.licence, photo.source, len(people))
            rows.writerow((sample.split, sample.key, *origin))
    if not counts and refused:
        raise PhotoError(f"{len(refused)} photos are chosen, and none of them can be exported; the first: {refused[0]}")
    if not counts:
        raise LimnerError(
            f"nobody is chosen in {curated.folder}: nobody was accepted yet. Review it with limner review "
            f"{curated.folder}, or take unreviewed people with --include good."
        )
    for shard in shards.values():
        shard.close()
    if evidence is not None:
        evidence.close()
    for split, one in arrays.items():
        if one.names:
            one.write(work / "curated_fits" / f"{split}.npz", model, with_mesh=split == "val")
    described = {"format": FORMAT, "version": VERSION, "body": body, "counts": dict(counts), "licences": dict(licences)}
    (work / DESCRIPTION).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return described


def _sample(curated: CuratedSet, photo: PhotoRow, original: bytes, people: list[PersonRow], val_share: float) -> Sample:
    image, ending = image_bytes(original, photo.path)
    bodies = [curated.body(person.id) for person in people]
    assert photo.sha256 is not None
    split = split_of(photo.sha256, val_share)
    seen, fits = [seen for seen, _ in bodies], [fit for _, fit in bodies]
    return Sample(f"{photo.id:09d}", split, ending, image, photo, people, seen, fits)


class Shards:
    """Tar files of so many photos each, in the order given; the same people give the same bytes."""

    def __init__(self, folder: Path, split: Split):
        self.folder, self.split = folder, split
        self.count = 0
        self._open = ExitStack()
        self._tar: tarfile.TarFile | None = None

    def add(self, sample: Sample, body: dict[str, str]) -> None:
        """One sample: image, json, npz."""
        if self.count % SHARD_PHOTOS == 0:
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.split}-{self.count // SHARD_PHOTOS:06d}.tar"
            self._tar = self._open.enter_context(tarfile.TarFile(path, "w"))
        self._put(sample.key + sample.ending, sample.image)
        self._put(sample.key + ".json", json.dumps(_description(sample, body), ensure_ascii=False).encode())
        arrays = io.BytesIO()
        np.savez(arrays, **_people_arrays(sample, body["name"]))
        self._put(sample.key + ".npz", arrays.getvalue())
        self.count += 1

    def _put(self, name: str, content: bytes) -> None:
        assert self._tar is not None
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        self._tar.addfile(entry, io.BytesIO(content))

    def close(self) -> None:
        """Finish the last file."""
        self._open.close()


@dataclass
class ExposeArrays:
    """The rows of a `curated_fits` file as they come."""

    names: list[str] = field(default_factory=list)
    fits: list[BodyParams] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    more: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """The people of a photo, a row each."""
        index = list(keypoint_indices("openpose135"))
        for person, seen, fit in zip(sample.people, sample.seen, sample.fits, strict=True):
            self.names.append(sample.key + sample.ending)
            self.fits.append(fit)
            points = torch.cat([seen.targets.keypoints_px[0], seen.targets.confidence[0, :, None]], -1)
            self.points.append(points[index].numpy())
            self.more.append((sample.photo.licence, sample.photo.sha256 or "", person.quality))

    def write(self, path: Path, model: BodyModel, with_mesh: bool) -> None:
        """ExPose's keys, and beside them what they leave out. Ten betas and expressions, whatever the body has; all of
        them are in betas_all, expression_all. Of limner's own body, whose numbers mean nothing to SMPL-X, the ten are
        zeros, and all are in limner_betas, limner_expression."""
        people = _stacked(self.fits, model.name)
        licence, sha256, quality = (np.array(column) for column in zip(*self.more, strict=True))
        own = {name: array for name, array in people.items() if name.startswith("limner_")}
        arrays: dict[str, Any] = {
            "betas": people["betas"][:, :EXPOSE_COEFFICIENTS],
            "expression": people["expression"][:, :EXPOSE_COEFFICIENTS],
            "img_fns": np.array(self.names),
            "pose": people["pose"],
            "keypoints2D": np.stack(self.points),
            "transl": people["transl"],
            **(own or {f"{name}_all": people[name] for name in ("betas", "expression")}),
            "body_model": np.array(model.name),
            "licence": licence,
            "sha256": sha256,
            "quality": quality,
        }
        if with_mesh:
            arrays["vertices"], arrays["joints"] = _meshes(model, self.fits)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)


def _stacked(fits: Sequence[BodyParams], body_model: str) -> dict[str, np.ndarray]:
    """pose (N, 55, 3) axis-angle, betas, expression, transl of people one after the other; limner's own numbers under
    their own names (`smplx_numbers`)."""
    pose = torch.cat([rotation_to_axis_angle(fit.full_pose()) for fit in fits])
    rest = {name: torch.cat([getattr(fit, name) for fit in fits]) for name in ("betas", "expression", "transl")}
    rest |= smplx_numbers(body_model, rest["betas"], rest["expression"])
    return {name: value.numpy() for name, value in ({"pose": pose} | rest).items()}


def _meshes(model: BodyModel, fits: Sequence[BodyParams]) -> tuple[np.ndarray, np.ndarray]:
    """vertices (N, V, 3) and LSP's 14 joints (N, 14, 3) in the camera, metres."""
    vertices, joints = [], []
    with torch.no_grad():
        for fit in fits:
            mesh = model(fit)
            vertices.append(mesh.vertices[0].numpy())
            joints.append(model.keypoints(mesh, fit, "lsp14")[0].numpy())
    return np.stack(vertices), np.stack(joints)


def _people_arrays(sample: Sample, body_model: str) -> dict[str, Any]:
    """The npz of a sample, a row a person: pose (P, 55, 3) axis-angle, betas, expression, transl, keypoints_px
    (P, 144, 3, with confidence), by_hand (P, 144), focal_px, center_px, boxes, quality; of limner's own body also
    limner_betas, limner_expression."""
    targets = [seen.targets for seen in sample.seen]
    tensors = {
        "keypoints_px": torch.cat([torch.cat([t.keypoints_px, t.confidence[..., None]], -1) for t in targets]),
        "by_hand": torch.cat([seen.by_hand for seen in sample.seen]),
        "focal_px": torch.cat([t.camera.focal_px for t in targets]),
        "center_px": torch.cat([t.camera.center_px for t in targets]),
        "boxes": torch.cat([t.boxes for t in targets]),
        "quality": torch.tensor([person.quality for person in sample.people]),
    }
    return _stacked(sample.fits, body_model) | {name: value.float().numpy() for name, value in tensors.items()}


def _description(sample: Sample, body: dict[str, str]) -> dict[str, Any]:
    photo = sample.photo
    people = [
        {
            "person": person.id,
            "version": person.version,
            "decision": person.decision,
            "reviewer": person.reviewer,
            "quality": person.quality,
            "verdict": person.verdict,
            "flags": person.flags,
            "scores": person.scores,
        }
        for person in sample.people
    ]
    origin = {"file": photo.path.name, "sha256": photo.sha256, "licence": photo.licence, "source": photo.source}
    return origin | {"size_px": photo.size_px, "body": body, "people": people}


def _check_replaceable(out: Path) -> None:
    if out.exists() and not (out / DESCRIPTION).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} exists and limner did not write it: it is left alone. Give another --out.")


def _is_ours(path: Path) -> bool:
    return path.name in (DESCRIPTION, "provenance.csv", "shards", "curated_fits", "evidence")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder} ({error.strerror}). Give another --out.") from error
    return folder


def _report(described: dict[str, Any], out: Path, refused: list[str]) -> None:
    console, counts = Console(), described["counts"]
    table = Table(title=str(out))
    for column in ("split", "photos", "people"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in SPLITS:
        table.add_row(split, str(counts.get(f"{split}_photos", 0)), str(counts.get(f"{split}_people", 0)))
    console.print(table)
    unknown = described["licences"].get("", 0)
    if unknown:
        console.print(
            Text(f"{unknown} photos have no licence: say it with limner curate --licence before you pass the set on."),
            style="yellow",
            soft_wrap=True,
        )
    for text in refused:
        console.print(Text(f"left out: {text}"), style="red", soft_wrap=True)
