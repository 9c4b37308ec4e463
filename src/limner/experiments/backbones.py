"""Times of the backbones on a CPU, and the accuracy of those that were trained."""

import time
from pathlib import Path
from typing import Any

import torch

from limner.errors import DataSetError
from limner.networks.weights import NetSpec, build_backbone
from limner.reading.json_file import read_json
from limner.reading.told import told_as

BACKBONES = ("blaze", "compact", "resnet18", "resnet50", "hrnet_w48")


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

    Each has name, init, trained, images, minutes, ms_per_crop, and a column heldout_pa_mpjpe_mm (on people it has
    not seen), here `error_mm`; mean_pose_pa_mpjpe_mm, where given, is `mean_error_mm`. Raises DataSetError for a
    missing file and rows that lack a column.
    """
    cure = (
        "It is no table of trained backbones. Expected JSON rows with name, init, trained, images, minutes, "
        "ms_per_crop, heldout_pa_mpjpe_mm; or leave --backbones out."
    )
    with told_as(DataSetError, file, cure):
        content = read_json(file)
        rows = content["rows"] if isinstance(content, dict) else content
        return [_row(row) for row in rows]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in ("name", "init", "trained", "images", "minutes", "ms_per_crop")}
    errors = {"error_mm": "heldout_pa_mpjpe_mm", "mean_error_mm": "mean_pose_pa_mpjpe_mm"}
    return found | {name: float(row[key]) for name, key in errors.items() if name == "error_mm" or key in row}
