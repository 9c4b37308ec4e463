"""Tables of measured numbers, written as JSON and Markdown and printed."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from limner.evaluate.metrics import Estimate
from limner.io.atomic import atomic_write


@dataclass(frozen=True)
class Row:
    """One metric on one set: an estimate by column, and a number of others' to compare with."""

    data: str
    metric: str
    people: int
    values: dict[str, Estimate]
    reference: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under one title; `columns` in order, the first one gets its interval.

    reference: title of the column of others' numbers; note: what a reader must know; what: title of the rows' names.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    reference: str = ""
    note: str = ""
    what: str = "metric"

    def header(self) -> list[str]:
        """All column titles."""
        return ["set", "people", self.what, *self.columns, *([self.reference] if self.reference else [])]

    def cells(self, row: Row, interval: bool = True) -> list[str]:
        """One row as text; `interval`: the first column's interval behind its value."""
        values = [_number(row.values.get(column), interval and i == 0) for i, column in enumerate(self.columns)]
        return [row.data, str(row.people), row.metric, *values, *([row.reference or "-"] if self.reference else [])]


def _number(estimate: Estimate | None, interval: bool) -> str:
    """Three or four significant digits, and the 95 % interval behind them if asked for; - without a value."""
    if estimate is None or math.isnan(estimate.value):
        return "-"
    digits = 1 if abs(estimate.value) >= 10 else 2
    text = f"{estimate.value:.{digits}f}"
    if not interval or math.isnan(estimate.low):
        return text
    return f"{text} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def as_markdown(tables: Sequence[Table], heading: str) -> str:
    """Markdown with one pipe table a Table."""
    parts = [f"# {heading}\n"]
    for table in tables:
        header = table.header()
        lines = [f"## {table.title}\n", *([f"{table.note}\n"] if table.note else [])]
        lines.append("| " + " | ".join(header) + " |")
        lines.append("|" + "|".join("---" if i in (0, 2) else "---:" for i in range(len(header))) + "|")
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in table.cells(row)) + " |" for row in table.rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """The same tables in the terminal, without intervals and notes; a set's name only on its first row."""
    for table in tables:
        shown = RichTable(title=table.title)
        for i, name in enumerate(table.header()):
            shown.add_column(name, justify="left" if i in (0, 2) else "right", overflow="fold")
        last = ""
        for row in table.rows:
            cells = table.cells(row, interval=False)
            if row.data == last:
                cells[0] = cells[1] = ""
            elif last:
                shown.add_section()
            last = row.data
            shown.add_row(*cells)
        console.print(shown)


def write_tables(folder: Path, tables: Sequence[Table], heading: str, facts: dict[str, object]) -> None:
    """results.json (all numbers with intervals, and `facts` about the run) and results.md in `folder`."""
    content = {"what": heading, **facts, "tables": [_plain(table) for table in tables]}
    with atomic_write(folder / "results.json") as file:
        file.write(json.dumps(content, indent=1, default=str).encode())
    with atomic_write(folder / "results.md") as file:
        file.write(as_markdown(tables, heading).encode())


def _plain(table: Table) -> dict[str, object]:
    """A table as JSON values; a number that does not exist is null."""
    plain = asdict(table)
    for row in plain["rows"]:
        for value in row["values"].values():
            for key in ("value", "low", "high"):
                value[key] = None if math.isnan(value[key]) else value[key]
    return plain
