"""Plots of the experiments, drawn from the numbers alone."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from limner.experiments import variants as a
from limner.experiments.errors import PA_MPJPE
from limner.experiments.summary import (
    ALL_PA,
    EXPERIMENTS,
    FACE_2D,
    FACE_PA,
    HANDS_LOCAL,
    HANDS_PA,
    SIZES,
    WAYS,
    Experiment,
)
from limner.extras import extra
from limner.io.atomic import atomic_write

with extra("evaluate", "Plotting"):
    import matplotlib.figure

COLORS = ("#1f6f8b", "#e08e45", "#7a9e7e", "#b5547a", "#6b6b6b")
DPI = 90
BARS = {
    "attention": (ALL_PA, HANDS_PA, HANDS_LOCAL, FACE_PA),
    "crops": (HANDS_PA, HANDS_LOCAL, FACE_PA),
    "parts": (HANDS_PA, HANDS_LOCAL, FACE_PA),
    "finetuning": (PA_MPJPE, HANDS_PA, HANDS_LOCAL, FACE_PA),
    "merge": (ALL_PA, HANDS_LOCAL),
    "alignment": tuple(f"hands {way}" for way in WAYS),
}
LINES = (HANDS_PA, HANDS_LOCAL, FACE_PA, FACE_2D)

Content = dict[str, Any]
"""What `experiments.json` holds."""


def plot_name(key: str) -> str:
    """File name of an experiment's plot."""
    return f"experiments_{key}.png"


def draw_plots(content: Content, folder: Path) -> list[Path]:
    """One picture an experiment; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for one in EXPERIMENTS:
        if one.key not in content["experiments"]:
            continue
        means = content["experiments"][one.key]["means"]
        if one.key in BARS:
            figure = _bars(one, means, BARS[one.key])
        elif one.key == "sizes":
            figure = _lines(means, int(content["photo_px"]))
        else:
            figure = _scatter(means)
        files.append(_saved(figure, folder / plot_name(one.key)))
    if content.get("trained_backbones"):
        files.append(_saved(_backbones(content["trained_backbones"]), folder / plot_name("backbones")))
    return files


def _saved(figure: matplotlib.figure.Figure, path: Path) -> Path:
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=DPI)
    return path


def _backbones(rows: list[Content]) -> matplotlib.figure.Figure:
    """Error over the time of a crop, a point a trained backbone."""
    figure = matplotlib.figure.Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        axes.plot([row["ms_per_crop"]], [row["error_mm"]], marker="o", color=COLORS[0])
        label = f"{row['name']} ({row['init']})"
        axes.annotate(label, (row["ms_per_crop"], row["error_mm"]), xytext=(5, 5), textcoords="offset points", size=8)
    axes.set(xlabel="CPU ms a crop", ylabel="held-out PA-MPJPE, mm", xscale="log")
    axes.margins(x=0.25, y=0.15)
    axes.grid(alpha=0.3)
    return figure


def _bars(one: Experiment, means: Content, metrics: tuple[str, ...]) -> matplotlib.figure.Figure:
    """Means with their intervals; every metric has an axis of its own."""
    figure = matplotlib.figure.Figure(figsize=(8.5, 3.2), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics)), metrics, strict=True):
        for row, variant in enumerate(one.variants):
            if metric not in means[variant]:
                continue
            value, below, above = _with_errors([means[variant][metric]])
            axes.bar([row], value, yerr=[below, above], capsize=2, color=COLORS[row], label=variant)
        axes.set_xticks([])
        axes.set_title(f"{metric}, mm", fontsize=9)
    _legend(figure)
    return figure


def _lines(means: Content, photo_px: int) -> matplotlib.figure.Figure:
    """Errors over the photo's side."""
    figure = matplotlib.figure.Figure(figsize=(8.5, 2.9), layout="constrained")
    names = (*SIZES, a.LIMNER)
    sides = [photo_px // 8, photo_px // 4, photo_px // 2, photo_px]
    for axes, metric, color in zip(figure.subplots(1, len(LINES)), LINES, COLORS, strict=False):
        value, below, above = _with_errors([means[name][metric] for name in names])
        axes.errorbar(sides, value, yerr=[below, above], marker="o", capsize=2, color=color)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sides, [str(side) for side in sides], fontsize=7)
        axes.set(xlabel="side of the photo, px", ylim=(0, None))
        axes.set_title(metric if "%" in metric else f"{metric}, mm", fontsize=9)
    return figure


def _scatter(means: Content) -> matplotlib.figure.Figure:
    """Accuracy over time: the paper's teaser."""
    figure = matplotlib.figure.Figure(figsize=(8.5, 3.4), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), (ALL_PA, HANDS_PA), strict=True):
        for row, (variant, errors) in enumerate(means.items()):
            value, below, above = _with_errors([errors[metric]])
            seconds = errors[a.SECONDS]["value"]
            axes.errorbar(
                [seconds], value, yerr=[below, above], marker="o", capsize=2, color=COLORS[row], label=variant
            )
        axes.set(xlabel="CPU seconds a person", ylabel=f"{metric}, mm", xlim=(0, None), ylim=(0, None))
    _legend(figure)
    return figure


def _legend(figure: matplotlib.figure.Figure) -> None:
    """One legend below all axes."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _with_errors(estimates: list[dict[str, float]]) -> tuple[list[float], list[float], list[float]]:
    value = [e["value"] for e in estimates]
    return value, [e["value"] - e["low"] for e in estimates], [e["high"] - e["value"] for e in estimates]


def side_by_side(pictures: list[UInt8[Tensor, "3 S S"]], columns: int) -> UInt8[Tensor, "3 H W"]:
    """Pictures of one size in rows."""
    rows = [torch.cat(pictures[i : i + columns], 2) for i in range(0, len(pictures) // columns * columns, columns)]
    return torch.cat(rows, 1)
