"""`limner evaluate`: errors on labelled photos, synthetic people and benchmarks."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import LimnerError


def evaluate(
    what: Annotated[
        Literal["photos", "synthetic", "ehf", "3dpw", "freihand", "now", "stirling", "agora", "curated"],
        tyro.conf.Positional,
    ],
    path: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path = Path("out/evaluation"),
    weights: str = "limner",
    limit: int | None = None,
    predictions: Path | None = None,
    body_model: Path | None = None,
) -> int:
    """Measure limner, or another system's outputs, on labelled photos, synthetic people or a public benchmark.

    Args:
        what: photos (COCO-WholeBody annotations in sub-folders), synthetic (a folder made by `limner render crops`), or
            a public data set in its published layout (docs/evaluation.md).
        path: the data.
        out: folder for tables, numbers and pictures.
        weights: as for `estimate`, or `expose:PATH`, the official ExPose network, for benchmarks of bodies and hands.
        limit: at most this many people a set.
        predictions: a file or folder of another system's outputs, scored instead of limner (benchmarks only).
        body_model: your own SMPLX_NEUTRAL.npz; needed where truth or predictions are SMPL-X parameters.
    """
    if what == "photos" or what == "synthetic":
        from limner.evaluate.run import evaluate_photos, evaluate_synthetic

        if predictions is not None or body_model is not None:
            raise LimnerError(f"--predictions and --body-model are for benchmarks, not for {what}: leave them out.")
        (evaluate_photos if what == "photos" else evaluate_synthetic)(path, out, weights, limit)
    else:
        from limner.evaluate.benchmark_run import evaluate_benchmark

        return evaluate_benchmark(what, path, out, weights, limit, predictions, body_model)
    return 0
