"""What a run over many photos tells at its end: what became of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from limner.errors import OutputError, shown
from limner.io.photo_list import PhotoList
from limner.pipeline.photo_note import counted

MOST_ROWS = 100
"""Runs over more photos show no row for each, but `MOST_SHOWN` of those that failed, and of those with a note."""
MOST_SHOWN = 20
OUTCOMES_FILE = "outcomes.jsonl"


def tell_left_out(console: Console, found: PhotoList) -> None:
    """What of the folders was not read, and why."""
    for one in found.left_out[:MOST_SHOWN]:
        console.print(Text(shown(f"{one.file.name}: left out: {one.reason}"), style="yellow"), soft_wrap=True)
    if len(found.left_out) > MOST_SHOWN:
        console.print(Text(f"... and {len(found.left_out) - MOST_SHOWN} more left out", style="yellow"))
    for remark in found.remarks():
        console.print(Text(remark), soft_wrap=True)


@dataclass(frozen=True)
class Outcome:
    """What became of a photo of a run.

    number    of the photo in the run
    seconds   None where the results of an earlier run were kept
    note      what somebody should know of it, or why it failed
    remark    what goes for all photos of the run
    """

    number: int
    people: int
    seconds: float | None
    note: str
    failed: bool = False
    remark: str = ""


class Report:
    """Counts the outcomes of a run and tells them; of a long run the rows of a few, and all as lines in a file."""

    def __init__(self, found: PhotoList, out: Path, names: Sequence[str], whom: str):
        """`names`: of the results in `out`; `whom`: who is estimated, in the plural. Raises OutputError."""
        self.found, self.out, self.names, self.whom = found, out, names, whom
        self.done = self.people = self.kept = self.failed = self.noted = 0
        self.remarks: dict[str, None] = {}
        self._rows: list[Outcome] = []
        self._all = len(names) <= MOST_ROWS
        self._file: IO[str] | None = None

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        """One more photo is done."""
        self.done += 1
        self.people += outcome.people
        self.kept += outcome.seconds is None
        self.failed += outcome.failed
        noted = bool(outcome.note) and not outcome.failed
        self.noted += noted
        if outcome.remark:
            self.remarks[outcome.remark] = None
        few = outcome.failed and self.failed <= MOST_SHOWN or noted and self.noted <= MOST_SHOWN
        if self._all or few:
            self._rows.append(outcome)
        if not self._all:
            self._write(outcome)

    def _write(self, outcome: Outcome) -> None:
        line = {
            "photo": self._photo(outcome),
            "folder": None if outcome.failed else self.names[outcome.number],
            "people": outcome.people,
            "seconds": None if outcome.seconds is None else round(outcome.seconds, 3),
            "note": outcome.note,
        }
        try:
            if self._file is None:
                self._file = open(self.out / OUTCOMES_FILE, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {self.out / OUTCOMES_FILE} ({error.strerror}). Free some space, or give another --out."
            ) from error

    def _photo(self, outcome: Outcome) -> str:
        return str(self.found.below[outcome.number] / self.found.photos[outcome.number].name)

    def tell(self, console: Console) -> int:
        """Print it all; the exit code: 0, or 1 if a photo failed."""
        console.print(self._table())
        if len(self._rows) < self.failed + self.noted:
            first = f"The first of {self.failed} that failed, and of {self.noted} with a note."
            console.print(Text(first), soft_wrap=True)
        tell_left_out(console, self.found)
        for remark in self.remarks:
            console.print(Text(remark), soft_wrap=True)
        if not self._all:
            console.print(Text(shown(f"All photos: {self.out.resolve() / OUTCOMES_FILE}")), soft_wrap=True)
        if self.failed < self.done:
            console.print(Text(shown(f"Results are in {self.out.resolve()}")), soft_wrap=True)
        return 1 if self.failed else 0

    def _table(self) -> Table:
        counts = (self.kept, "kept"), (self.failed, "failed"), (len(self.found.left_out), "left out")
        parts = [f"{number} {name}" for number, name in counts if number]
        table = Table(title=", ".join([counted(self.done, "photo"), f"{self.people} {self.whom}", *parts]))
        table.add_column("photo", overflow="fold")
        table.add_column(self.whom, justify="right")
        table.add_column("seconds", justify="right")
        table.add_column("note", overflow="fold")
        for one in sorted(self._rows, key=lambda row: row.number):
            people = "-" if one.failed else str(one.people)
            seconds = "-" if one.failed else "kept" if one.seconds is None else f"{one.seconds:.2f}"
            # as Text: brackets in names and messages are no markup
            row = Text(shown(self._photo(one))), people, seconds, Text(shown(one.note))
            table.add_row(*row, style="red" if one.failed else None)
        return table
