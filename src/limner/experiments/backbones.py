"""How long does each backbone take on a CPU, and how accurate is it when trained?"""

import json
import time
from pathlib import Path
from typing import Any

import torch

from limner.errors import DataSetError
from limner.networks.weights import NetSpec, build_backbone

BACKBONES = ("blaze", "compact", "resnet18", "resnet50", "hrnet_w48")
ERROR = "PA-MPJPE"
"""Part of the name of the column with the held-out error."""


@torch.no_grad()
def backbone_times(names: tuple[str, ...] = BACKBONES, runs: int = 5) -> list[dict[str, object]]:
    """CPU milliseconds of one body crop through each backbone (the least of `runs`), and its parameters."""
    rows: list[dict[str, object]] = []
    for name in names:
        net = build_backbone(NetSpec("body", backbone=name))
        assert isinstance(net, torch.nn.Module)
        net.eval()
        pixels = torch.zeros(1, 3, 256, 256)
        net(pixels)
        spent = []
        for _ in range(runs):
            started = time.process_time()
            net(pixels)
            spent.append(time.process_time() - started)
        count = sum(p.numel() for p in net.parameters())
        rows.append({"backbone": name, "ms": round(1000 * min(spent), 1), "parameters": count})
    return rows


def read_backbones(file: Path) -> list[dict[str, Any]]:
    """Rows of a table of trained backbones (`bench/backbones.json`): a list, or under `rows`.

    Each has name, init, trained, images, minutes, ms_per_crop, and one column whose name says PA-MPJPE (mm, on people
    never trained on), here put under `error_mm`. Raises DataSetError for a missing file and rows that lack a column.
    """
    try:
        content = json.loads(file.read_text())
        rows = content["rows"] if isinstance(content, dict) else content
        return [_row(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise DataSetError(
            f"{file} is no table of trained backbones ({type(error).__name__}: {error}). Expected JSON rows with name, "
            f"init, trained, images, minutes, ms_per_crop and a column called ...{ERROR}...; or leave --backbones out."
        ) from error


def _row(row: dict[str, Any]) -> dict[str, Any]:
    column = next(key for key in row if ERROR.replace("-", "") in key.upper().replace("-", "").replace("_", ""))
    error = row[column]
    plain = float(error["mean"] if isinstance(error, dict) else error)
    names = ("name", "init", "trained", "images", "minutes", "ms_per_crop")
    return {name: row[name] for name in names} | {"error_mm": plain}
