"""How many synthetic people, and body, hand and face crops of them, are made in a second on one thread?

    python bench/synth.py [--shared ../shared] [--batch 24] [--supersample 1.25] [--json out.json] [--sheet out.jpg]

`wall` is what a clock shows, `cpu` is processor time: on a machine that others use too, the second is fairer (and
still too slow: caches are shared). The best of several runs counts. `--sheet` also draws the contact sheet of the docs.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from limner.body.keypoints import KEYPOINT_NAMES
from limner.body.model import BodyModel
from limner.geometry.box import Squares
from limner.synth.light import read_panoramas
from limner.synth.people import SynthBatch, SyntheticPeople
from limner.synth.sampler import PersonSampler

SIZES = {"body": 256, "left_hand": 224, "face": 192}


def studio(shared: Path, device: torch.device) -> SyntheticPeople:
    """Synthetic people with the shared poses and panoramas where they are, else with the built-in ones."""
    body_model = BodyModel.load().to(device)
    poses, hdri = shared / "data/poses/cmu_poses.npz", shared / "data/hdri"
    sampler = PersonSampler(body_model, poses if poses.exists() else None)
    panoramas = read_panoramas(hdri, device, height=256) if hdri.exists() else None
    return SyntheticPeople(body_model, sampler, panoramas, chunk=1 << 15 if device.type == "cpu" else 1 << 24)


def squares_of(people: SyntheticPeople, batch: SynthBatch, what: str, generator: torch.Generator) -> Squares:
    """Slightly jittered squares about bodies, hands or faces."""
    if what == "body":
        return people.body_squares(batch, 0.1, generator)
    return people.part_squares(batch, what, 0.1, generator, margin=1.4 if what == "face" else 2.0)


def best(action: Callable[[], object], device: torch.device, runs: int = 3) -> dict[str, float]:
    """Shortest wall and processor time of several runs, seconds."""
    wall, cpu = [], []
    for _ in range(runs + 1):
        start, used = time.perf_counter(), time.process_time()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return {"wall": min(wall[1:]), "cpu": min(cpu[1:])}


def measure(
    people: SyntheticPeople, count: int, supersample: float, device: torch.device
) -> dict[str, dict[str, float]]:
    """Things a second."""
    generator = torch.Generator(device).manual_seed(0)
    batch = people.batch(count, generator)
    actions: dict[str, Callable[[], object]] = {
        "parameters only": lambda: people.sampler.sample(count, generator),
        "people": lambda: people.batch(count, generator),
        "visible keypoints": lambda: people.visible(batch),
    }
    for what, size in SIZES.items():
        squares = squares_of(people, batch, what, generator)
        actions[f"{what} crops of {size} px"] = lambda s=squares, n=size: people.render(batch, s, n, supersample)
    times = {name: best(action, device) for name, action in actions.items()}
    return {name: {kind: count / seconds for kind, seconds in each.items()} for name, each in times.items()}


def draw_sheet(people: SyntheticPeople, path: Path, tile: int = 150, columns: int = 8) -> None:
    """Bodies, hands and faces in rows, as they come, but for parts that are hidden or outside of the photo."""
    generator = torch.Generator(people.body_model.v_template.device).manual_seed(12)
    rows = []
    marks = {"body": None, "left_hand": "left_middle1", "face": "nose"}
    for (what, mark), lines in zip(marks.items(), (4, 2, 2), strict=True):
        batch = people.batch(columns * lines * 4, generator)
        if mark is not None:
            batch = batch[people.visible(batch)[:, KEYPOINT_NAMES.index(mark)].nonzero()[:, 0]]
        batch = batch[torch.arange(columns * lines)]
        images = people.render(batch, squares_of(people, batch, what, generator), SIZES[what])
        small = torch.nn.functional.interpolate(images.float(), (tile, tile), mode="bilinear", antialias=True)
        rows += [torch.cat(list(row), -1) for row in small.split(columns)]
    sheet = torch.cat(rows, 1).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(sheet).save(path, quality=82)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--supersample", type=float, default=1.25)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    people = studio(arguments.shared, device)
    result = measure(people, arguments.batch, arguments.supersample, device)
    for name, rate in result.items():
        print(f"{name:28s} {rate['wall']:8.1f} /s wall {rate['cpu']:8.1f} /s cpu")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.sheet is not None:
        draw_sheet(people, arguments.sheet)


if __name__ == "__main__":
    main()
