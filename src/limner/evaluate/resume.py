"""The ledger of a long run, and fingerprints of what must be the same to go on with it."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from limner import __version__
from limner.io.atomic import atomic_write
from limner.io.photo_list import PHOTO_ENDINGS
from limner.networks.weights import weights_folder
from limner.reading.json_file import parsed_json
from limner.reading.tensor_file import read_tensors


def fingerprint(*facts: object) -> str:
    """A short name of the facts and of this version of limner; other facts, another name. Facts: what JSON can hold,
    and paths."""
    text = json.dumps([__version__, *facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def weights_fingerprint(weights: str | Path) -> str:
    """A name of what weights hold, wherever they lie: "limner", a folder of them, or `expose:PATH`. Reads the files."""
    shipped = str(weights) == "limner"
    place = weights_folder() if shipped else Path(str(weights).partition("expose:")[2] or str(weights)).expanduser()
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        if file.exists():
            with open(file, "rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:24]


def stamp(path: Path | None) -> tuple[str, int, int] | None:
    """Name, size and time of change of a file; sizes and times are 0 where there is none."""
    if path is None:
        return None
    if not path.exists():
        return path.name, 0, 0
    found = path.stat()
    return path.name, found.st_size, found.st_mtime_ns


def folder_fingerprint(folder: Path, without: Iterable[Path] = ()) -> str:
    """A name of all files below a folder but the photos: annotations, meshes, vertex lists (or of one file).

    `without`: folders that do not count.
    """
    if not folder.is_dir():
        return fingerprint(stamp(folder))
    left_out = [path.resolve() for path in without]
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix.lower() not in PHOTO_ENDINGS]
    counted = [file for file in files if not any(file.resolve().is_relative_to(path) for path in left_out)]
    return fingerprint([(str(file.relative_to(folder)), stamp(file)) for file in counted])


@dataclass(frozen=True)
class Done:
    """What is known of a case, or of everybody in one photo of a crowd, once it has been scored.

    name, key   which one, and a fingerprint of its photo and boxes: a changed photo is scored anew
    values      by case, and number by row title; reasons: of the rows that could not be computed
    unanswered  cases without a prediction; predictions: how many people were found
    distances   whether a tensor of scan distances belongs to it
    """

    name: str
    key: str
    values: dict[str, dict[str, float]]
    reasons: dict[str, str] = field(default_factory=dict)
    unanswered: tuple[str, ...] = ()
    predictions: int = 0
    distances: bool = False


class Ledger:
    """One line a case in FOLDER/cases.jsonl, scan distances as safetensors beside it; read again when a run goes on.

    A line is written when all of a case is known, so a run can be killed at any moment.
    """

    def __init__(self, folder: Path, run: str):
        """`run`: fingerprint of weights, data and options; what another run has left in the folder is thrown away."""
        self.folder, self.file = folder, folder / "cases.jsonl"
        self._done = {one.name: one for one in self._read(run)}
        lines = [json.dumps({"run": run}), *(json.dumps(asdict(one)) for one in self._done.values())]
        if len(lines) == 1:
            self.remove()
        with atomic_write(self.file) as file:  # without the line in which an earlier run was cut off
            file.write(("\n".join(lines) + "\n").encode())

    def __len__(self) -> int:
        return len(self._done)

    def _read(self, run: str) -> list[Done]:
        if not self.file.exists():
            return []
        lines = self.file.read_text(errors="replace").split("\n")
        found = []
        for line in lines[1:] if lines[0] == json.dumps({"run": run}) else []:
            try:
                content = parsed_json(line)
                done = Done(**content | {"unanswered": tuple(content["unanswered"])})
                if all(isinstance(value, float | int) for row in done.values.values() for value in row.values()):
                    found.append(done)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # cut off while it was written
        return found

    def find(self, name: str, key: str) -> Done | None:
        """What is known of a case, if it is still the same."""
        done = self._done.get(name)
        if done is None or done.key != key or (done.distances and self.distances(done) is None):
            return None
        return done

    def add(self, done: Done, distances_mm: Float[Tensor, "_"] | None = None) -> None:
        """Keep what is known of a case. Raises OutputError."""
        if distances_mm is not None:
            with atomic_write(self._tensor_file(done)) as file:
                file.write(save({"distances_mm": distances_mm.contiguous()}))
        self._done[done.name] = done
        with open(self.file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(done)) + "\n")

    def distances(self, done: Done) -> Float[Tensor, "_"] | None:
        """The scan distances of a case, mm; None where the file is gone or damaged."""
        try:
            return read_tensors(self._tensor_file(done))[0]["distances_mm"]
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def _tensor_file(self, done: Done) -> Path:
        return self.folder / f"{fingerprint(done.name)}.safetensors"

    def remove(self) -> None:
        """Forget everything: the results are written."""
        shutil.rmtree(self.folder, ignore_errors=True)
