"""Write docs/experiments.md and its plots from docs/data/experiments.json; with OUT take over a run first.

    python tools/experiments_page.py [OUT_OF_THE_RUN]

With OUT its numbers and its picture of the people replace the committed ones. Trained backbones are taken from
bench/backbones.json whenever it is there, so the page follows it without another run.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from limner.experiments.backbones import read_backbones
from limner.experiments.page import page
from limner.experiments.plots import draw_plots

ROOT = Path(__file__).parents[1]
DATA, PAGE, IMAGES = (
    ROOT / "docs" / "data" / "experiments.json",
    ROOT / "docs" / "experiments.md",
    ROOT / "docs" / "images",
)
BACKBONES = ROOT / "bench" / "backbones.json"


def read(data: Path = DATA, backbones: Path = BACKBONES) -> dict[str, Any]:
    """The committed numbers, with today's table of trained backbones."""
    content: dict[str, Any] = json.loads(data.read_text(encoding="utf-8"))
    if backbones.exists():
        content["trained_backbones"] = read_backbones(backbones)
    return content


def main(run: Path | None) -> None:
    content = read(DATA if run is None else run / "experiments.json")
    DATA.write_text(json.dumps(content, indent=1) + "\n")
    PAGE.write_text(page(content))
    draw_plots(content, IMAGES)
    if run is not None:
        shutil.copy(run / "images" / "experiments_people.jpg", IMAGES)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
