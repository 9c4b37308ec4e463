"""Write docs/results-published.md: limner beside published numbers, each with its source.

    python tools/results_page.py

Reads docs/data/published.json (others' numbers) and docs/data/limner/ID.json: the results.json of a whole
`limner evaluate` run, copied there under the table's id. Without one, limner's row says "not measured".
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1] / "docs"
PAGE, DATA, OWN = ROOT / "results-published.md", ROOT / "data" / "published.json", ROOT / "data" / "limner"
NOTHING = "not measured"
HEAD = """# limner beside published numbers

Made by `tools/results_page.py` from [data/published.json](data/published.json); a test holds the page to it. Every
number has its source below; what no source at hand confirms is left out, not guessed. "-": no published number at hand.

limner's rows say "not measured" until its data is there: the sets are given to registered researchers only. Who has
one runs the command under the table (see [evaluation.md](evaluation.md)); the same command scores any other system's
outputs with `--predictions`, so a published number can be checked. What limner reaches on free photos and on synthetic
people is in the [README](../README.md).
"""


def page(published: dict[str, Any], own: dict[str, dict[str, Any]]) -> str:
    """The whole page. `own`: results.json contents by table id."""
    numbers = {source: i for i, source in enumerate(_used(published), start=1)}
    parts = [HEAD]
    parts += [_table(table, published["systems"], numbers, own.get(table["id"])) for table in published["tables"]]
    lines = ["## Sources\n"]
    for source, number in numbers.items():
        entry = published["sources"][source]
        link = f" <{entry['url']}>" if entry["url"] else ""
        lines.append(f"{number}. {entry['what']} ({entry['evidence']}).{link}")
    return "\n".join([*parts, "\n".join(lines)]) + "\n"


def _used(published: dict[str, Any]) -> list[str]:
    """Sources in the order in which they appear."""
    cells = [
        cell
        for table in published["tables"]
        for system in published["systems"]
        for cell in table["rows"].get(system, {}).values()
    ]
    return list(dict.fromkeys(source for _, source in cells))


def _table(table: dict[str, Any], systems: list[str], numbers: dict[str, int], own: dict[str, Any] | None) -> str:
    columns = table["columns"]
    lines = [f"## {table['title']}\n", f"{table['note']}\n"]
    lines += ["| system | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    lines.append("| **limner** | " + " | ".join(_own_cells(table, own)) + " |")
    for system in systems:
        row = table["rows"].get(system)
        if row:
            cells = [f"{row[c][0]} [{numbers[row[c][1]]}]" if c in row else "-" for c in columns]
            lines.append(f"| {system} | " + " | ".join(cells) + " |")
    if table["command"]:
        lines.append(f"\n`{table['command']}`")
    return "\n".join(lines) + "\n"


def _own_cells(table: dict[str, Any], own: dict[str, Any] | None) -> list[str]:
    """limner's numbers with their intervals, from the rows of its results.json."""
    if own is None:
        return [NOTHING] * len(table["columns"])
    if own.get("limit") is not None or own.get("predictions") is not None:
        raise ValueError(f"{table['id']}: a run with --limit or --predictions is no result of limner's")
    rows = {row["metric"]: row["values"].get("limner") for one in own["tables"] for row in one["rows"]}
    cells = []
    for column in table["columns"]:
        value = rows.get(table["metrics"].get(column, ""))
        cells.append(NOTHING if value is None else f"{value['value']:.1f} ({value['low']:.1f} to {value['high']:.1f})")
    return cells


def read() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The committed numbers."""
    own = {file.stem: json.loads(file.read_text()) for file in sorted(OWN.glob("*.json"))}
    return json.loads(DATA.read_text()), own


if __name__ == "__main__":
    PAGE.write_text(page(*read()))
