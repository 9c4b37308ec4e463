"""How many milliseconds does an image of a body-sized mesh take, and how much faster is that than the plain twin?

    python bench/raster.py [--threads 1] [--json out.json]

The body's T-pose fills 90 % of the image. Vectorised and plain rasteriser run in the same process, one after
the other; `same pixels` is the share of pixels that see the same triangle. The best of several runs counts.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.render.raster import rasterize

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.render.plain_raster import rasterize_plain


def figure(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The embedded body in T-pose, facing the camera, as pixels of a size x size image."""
    model = BodyModel.load()
    body = model(model.rest()).vertices
    low, high = body.amin(1), body.amax(1)
    scale = 0.9 * size / (high - low)[:, :2].max()
    xy = (body - (low + high)[:, None] / 2)[..., :2] * scale + size / 2
    return torch.cat([xy, body[..., 2:] + 4], -1), model.faces


def best_ms(action: Callable[[], object], runs: int) -> float:
    """Shortest wall time of several runs, in milliseconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1e3)
    return min(times)


def measure(size: int, batch: int) -> dict[str, float]:
    """Milliseconds an image, alone and in a batch, with and without back faces, against the plain twin."""
    vertices, faces = figure(size)
    many = vertices.expand(batch, -1, -1).contiguous()
    single = best_ms(lambda: rasterize(vertices, faces, size, size), 20)
    start = time.perf_counter()
    expected = rasterize_plain(vertices[0], faces, size, size)[0]
    plain = (time.perf_counter() - start) * 1e3
    seen = rasterize(vertices, faces, size, size)
    agreement = seen.image(seen.triangle, -1)[0].numpy() == expected
    return {
        "size": size,
        "single_ms": single,
        "single_culled_ms": best_ms(lambda: rasterize(vertices, faces, size, size, cull_back=True), 20),
        "batch_ms": best_ms(lambda: rasterize(many, faces, size, size), 3) / batch,
        "plain_ms": plain,
        "ratio": plain / single,
        "agreement": float(agreement.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"ms an image, {options.threads} thread(s), batch {options.batch}")
    print("  px   single  culled   batch     plain  ratio  same pixels")
    rows = [measure(size, options.batch if size < 512 else 4) for size in (128, 256, 512)]
    for row in rows:
        print(
            f"{row['size']:4d} {row['single_ms']:8.2f}{row['single_culled_ms']:8.2f}{row['batch_ms']:8.2f}"
            f"{row['plain_ms']:10.0f}{row['ratio']:7.0f}  {row['agreement']:.5f}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
