"""Write docs/official-keys.md: what limner does with every tensor of an official ExPose checkpoint.

    python tools/list_official_keys.py ../shared/parity/state_dict_keys.txt

The list has one tensor a line: name, shape, dtype, kind, separated by tabs.
"""

import ast
import math
import re
import sys
from collections import defaultdict
from pathlib import Path

from limner.expose.keys import RULES, Fate, KeyRule, rule_for

PAGE = Path(__file__).parents[1] / "docs" / "official-keys.md"
HEAD = """# Tensors of an official ExPose checkpoint

Made by `tools/list_official_keys.py`; the rules are in `limner.expose.keys`. `#` stands for a number.

* **used**: read and needed.
* **derived**: limner computes it itself; where a checked value differs in a file, reading it warns and names it.
* **unused**: no result depends on it.

Names without a rule are reported as unknown when a file is read. Leftovers are names that only the downloaded file has.
"""


def read_names(path: Path) -> dict[str, int]:
    """Name of each tensor and how many numbers it has."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {row[0]: math.prod(ast.literal_eval(row[1])) for row in rows}


def page(names: dict[str, int]) -> str:
    """The whole page."""
    by_rule: dict[KeyRule, list[str]] = defaultdict(list)
    for name in names:
        by_rule[rule_for(name)].append(name)
    lines = [HEAD, "| | tensors | numbers |", "|---|---|---|"]
    for fate in Fate:
        members = [name for rule, found in by_rule.items() if rule.fate is fate for name in found]
        lines.append(f"| {fate.value} | {len(members)} | {sum(names[name] for name in members):,} |")
    lines += [f"| all | {len(names)} | {sum(names.values()):,} |", ""]
    for fate in (Fate.USED, Fate.DERIVED, Fate.UNUSED):
        lines += [f"## {fate.value.capitalize()}", "", "| tensors | names | why |", "|---|---|---|"]
        lines += [_row(rule, by_rule[rule]) for rule in RULES if rule.fate is fate]
        lines.append("")
    return "\n".join(lines)


def _row(rule: KeyRule, found: list[str]) -> str:
    if not found:  # a leftover, or an older name: only the pattern is known
        shown = rule.pattern.replace("\\", "").replace("|", " \\| ")
        return f"| 0 | `smplx.{shown}` | {rule.why} |"
    counts: dict[str, int] = defaultdict(int)
    for name in found:
        counts[re.sub(r"\d+", "#", name)] += 1
    shown = "<br>".join(f"`{name}`" + (f" x {n}" if n > 1 else "") for name, n in counts.items())
    return f"| {len(found)} | {shown} | {rule.why} |"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PAGE.write_text(page(read_names(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
