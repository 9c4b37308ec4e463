"""Write docs/results-published.md: limner beside published numbers, each with its source.

    python tools/results_page.py

Reads docs/data/published.json (others' numbers) and docs/data/limner/ID.json: the results.json of a whole
`limner evaluate` run, copied there under the table's id (ID-anything.json where a table has two sets). Without one,
limner's row says "not measured". What limner reaches on people of its own is read from bench/ehf_like.json.
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1] / "docs"
PAGE, DATA, OWN = ROOT / "results-published.md", ROOT / "data" / "published.json", ROOT / "data" / "limner"
LIKE_EHF = ROOT.parent / "bench" / "ehf_like.json"
NOTHING = "not measured"
HEAD = """# limner beside published numbers

Made by `tools/results_page.py` from [data/published.json](data/published.json); a test holds the page to it. Every
number has its source below; what no source at hand confirms is left out, not guessed. "-": no published number at hand.

limner's rows say "not measured" until its data is there: the sets are given to registered researchers only. Who has
one runs the command under the table (see [evaluation.md](evaluation.md)); the same command scores any other system's
outputs with `--predictions`, so a published number can be checked. What limner reaches on free photos and on synthetic
people is in the [README](../README.md).
"""


def page(published: dict[str, Any], own: dict[str, list[dict[str, Any]]], like_ehf: dict[str, Any] | None) -> str:
    """The whole page. `own`: results.json contents by table id; `like_ehf`: what bench/ehf_like.py has measured."""
    numbers = {source: i for i, source in enumerate(_used(published), start=1)}
    parts = [HEAD]
    parts += [_table(table, published["systems"], numbers, own.get(table["id"], [])) for table in published["tables"]]
    if like_ehf is not None:
        parts.append(_like_ehf(like_ehf))
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


def _like_ehf(measured: dict[str, Any]) -> str:
    """limner on synthetic people: no row of any table above, and said so."""
    rows = {name: value for name, value in measured.items() if isinstance(value, dict)}
    lines = [
        "## limner on people of its own\n",
        f"Not a benchmark: {measured['people']} synthetic people as EHF shows people (whole in a clear photo of "
        f"{measured['photo_px']} px, about facing the camera, boxes given; seed {measured['seed']}), made by the "
        "generator that also made the training's people, scored on limner's own body. Not to be put beside the tables "
        "above. `python bench/ehf_like.py`, [numbers](../bench/ehf_like.json); mm, mean and standard error.\n",
        "| metric | limner |",
        "|---|---:|",
    ]
    lines += [f"| {name} | {value['mean']:.1f} +- {value['standard_error']:.1f} |" for name, value in rows.items()]
    return "\n".join(lines) + "\n"


def _table(table: dict[str, Any], systems: list[str], numbers: dict[str, int], own: list[dict[str, Any]]) -> str:
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


def _own_cells(table: dict[str, Any], own: list[dict[str, Any]]) -> list[str]:
    """limner's numbers with their intervals, from the rows of its results.json."""
    if any(run.get(option) is not None for run in own for option in ("limit", "predictions")):
        raise ValueError(f"{table['id']}: a run with --limit or --predictions is no result of limner's")
    rows = {
        f"{row['data']}: {row['metric']}": row["values"].get("limner")
        for run in own
        for one in run["tables"]
        for row in one["rows"]
    }
    rows |= {name.partition(": ")[2]: value for name, value in rows.items()}
    return [_own_cell(rows.get(table["metrics"].get(column, ""))) for column in table["columns"]]


def _own_cell(value: dict[str, Any] | None) -> str:
    if value is None or value["value"] is None:
        return NOTHING
    digits = 3 if abs(value["value"]) <= 1 else 2 if abs(value["value"]) < 10 else 1  # scores, face errors, body errors
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})"


def read() -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Any] | None]:
    """The committed numbers."""
    own: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(OWN.glob("*.json")):
        own.setdefault(file.stem.split("-")[0], []).append(json.loads(file.read_text()))
    like_ehf = json.loads(LIKE_EHF.read_text()) if LIKE_EHF.exists() else None
    return json.loads(DATA.read_text()), own, like_ehf


if __name__ == "__main__":
    PAGE.write_text(page(*read()))
