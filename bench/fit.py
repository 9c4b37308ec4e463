"""How fast and how exact are fits of many people at once, and how much slower than the networks?

    python bench/fit.py --poses ../shared/data/poses/cmu_poses.npz [--evidence DIR]

Synthetic people whose 144 keypoints are known: exact, and moved by a normal error of 2 % of the box an axis with 20 %
dropped. Started from typical poses, and from limner's estimate of the same people. With --evidence (made by `limner
harvest`, people never trained on) the estimates are the flow's on harvested features; without, a stand-in: the truth
with the errors that limner usually makes. PA-V2V: mean distance of vertices after Procrustes of that part alone, mm.
Times are processor seconds (of all threads together), which a busy machine hardly changes. Writes bench/fit.json and
the table of docs/fitting.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import FACE_JOINTS, HAND_JOINTS, JOINT
from limner.estimator import Estimator
from limner.fit.fitter import FitTargets, Fitter
from limner.geometry.align import procrustes
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.synth.sampler import PersonSampler

ROOT = Path(__file__).parents[1]
NOISE, DROP = 0.02, 0.2
MARKS = "<!-- bench/fit.py: begin -->", "<!-- bench/fit.py: end -->"
COLUMNS = ("body", "hands", "head", "all")


@dataclass(frozen=True)
class Scene:
    """People, their cameras and limner's estimates of them, and whether these are real."""

    truth: BodyParams
    camera: Camera
    estimate: BodyParams
    real_estimate: bool


def sampled(model: BodyModel, poses: Path, count: int, seed: int) -> Scene:
    """People as training simulates them: random lens, not always in the middle of a photo of 1024 px."""
    g = torch.Generator().manual_seed(seed)
    people = PersonSampler(model, poses).sample(count, g)
    draw = torch.rand(count, 4, generator=g)
    focal = 1024 * (0.7 * (3.5 / 0.7) ** draw[:, 0])
    depth = focal / 1024 * (1.6 + 2.5 * draw[:, 1])
    xy = (draw[:, 2:] - 0.5) * 0.5 * depth[:, None] * (1024 / focal)[:, None]
    truth = people.replace(transl=torch.cat([xy, depth[:, None].clamp_min(1.2)], -1))
    return Scene(truth, Camera(focal, torch.full((count, 2), 512.0)), _stand_in(truth, g), False)


def _stand_in(truth: BodyParams, g: Generator) -> BodyParams:
    """Wrong by about 18 degrees a joint, 29 a finger, 8 % in distance; mean shape, neutral face."""

    def turned(rotation: Tensor, error: float) -> Tensor:
        return rotation @ rotation_from_axis_angle(error / 3**0.5 * torch.randn(*rotation.shape[:-1], generator=g))

    stretch = 1 + 0.08 * torch.randn(len(truth), 1, generator=g)
    return truth.replace(
        global_orient=turned(truth.global_orient, 0.3),
        body_pose=turned(truth.body_pose, 0.3),
        left_hand_pose=turned(truth.left_hand_pose, 0.5),
        right_hand_pose=turned(truth.right_hand_pose, 0.5),
        jaw_pose=turned(truth.jaw_pose, 0.1),
        betas=torch.zeros_like(truth.betas),
        expression=torch.zeros_like(truth.expression),
        transl=truth.transl * stretch,
    )


def harvested(model: BodyModel, folder: Path, count: int) -> Scene:
    """Harvested people and what the flow says of them."""
    from limner.networks.weights import load_networks
    from limner.train.replay import read_people, replay

    people = read_people(folder, held_out=True)[:count]
    said = replay(load_networks(), model, people)
    return Scene(people.body.params, people.body.camera, said.limner, True)


def targets_of(model: BodyModel, scene: Scene, noise: float, drop: float, seed: int) -> FitTargets:
    """Keypoints of the truth, exact or spoilt."""
    g = torch.Generator().manual_seed(seed)
    points = scene.camera.project(model.keypoints144(model(scene.truth), scene.truth))
    boxes = bounds_of(points)
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1)[:, None, None]
    seen = (torch.rand(points.shape[:2], generator=g) >= drop).float()
    return FitTargets(points + noise * side * torch.randn(points.shape, generator=g), seen, scene.camera, boxes)


def errors_mm(model: BodyModel, said: BodyParams, true: BodyParams) -> dict[str, float]:
    """PA-V2V by part, mean over people."""

    def carried(*names: str) -> Tensor:
        return model.weights[:, [JOINT[name] for name in names]].sum(-1) > 0.5

    head = carried("head", *FACE_JOINTS)
    left, right = (carried(f"{side}_wrist", *HAND_JOINTS[side]) for side in ("left", "right"))
    zones = {"body": [~(head | left | right)], "hands": [left, right], "head": [head], "all": [torch.ones_like(head)]}
    sums = dict.fromkeys(COLUMNS, 0.0)
    for k in range(len(true)):
        rows = slice(k, k + 1)
        a, b = model(said[rows]).vertices, model(true[rows]).vertices
        for name, parts in zones.items():
            each = [(procrustes(a[:, z], b[:, z]) - b[:, z]).norm(dim=-1).mean() for z in parts]
            sums[name] += 1000 * float(torch.stack(each).mean())
    return {name: value / len(true) for name, value in sums.items()}


def timed(job: Callable[[], object], runs: int) -> float:
    """Median seconds of processor time."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return statistics.median(times)


def regression_seconds() -> float:
    """Of the networks' whole flow for one person with a given box."""
    photo = ROOT / "src" / "limner" / "assets" / "photos" / "eileen_collins.jpg"
    estimator = Estimator.load()
    boxes = estimator(photo).boxes[:1]
    return timed(lambda: estimator(photo, boxes), 7)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--evidence", type=Path)
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "fit.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "fitting.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = BodyModel.load()
    if options.evidence is None:
        scene = sampled(model, options.poses, options.people, options.seed)
    else:
        scene = harvested(model, options.evidence, options.people)
    fitter = Fitter(model)
    fitter(targets_of(model, scene, 0.0, 0.0, 1)[torch.arange(2)])  # warm up
    rows = []
    for points, noise, drop in (
        ("exact", 0.0, 0.0),
        (f"{100 * NOISE:g} % error, {100 * DROP:g} % dropped", NOISE, DROP),
    ):
        targets = targets_of(model, scene, noise, drop, options.seed)
        for name, start in (("typical poses", None), ("estimate", scene.estimate)):
            begun = time.process_time()
            fits = fitter(targets, start)
            seconds = time.process_time() - begun
            row = {
                "keypoints": points,
                "start": name,
                "core_seconds": round(seconds, 2),
                "people_per_core_second": round(len(targets) / seconds, 2),
                "fitted": int(fits.fitted.sum()),
                "reprojection_percent": round(100 * float(fits.scores["reprojection"].nanmean()), 2),
            }
            row |= {k: round(v, 1) for k, v in errors_mm(model, fits.params, scene.truth).items()}
            rows.append(row)
            print(row, flush=True)
    before = {k: round(v, 1) for k, v in errors_mm(model, scene.estimate, scene.truth).items()}
    regression = regression_seconds()
    content = {
        "people": len(scene.truth),
        "threads": options.threads,
        "estimate": "limner" if scene.real_estimate else "stand-in",
        "estimate_error_mm": before,
        "regression_core_seconds_a_person": round(regression, 4),
        "rows": rows,
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n")
    if options.page.exists():
        write_table(options.page, content)
    print(f"regression {regression:.3f} core s a person; wrote {options.out}")


def write_table(page: Path, content: dict) -> None:
    """Put the table between its marks."""
    rows = content["rows"]
    lines = [
        "| keypoints | start | body | hands | head | all | core s a person | fitted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        share = f"{r['fitted']} of {content['people']}"
        numbers = " | ".join(f"{r[name]:.1f}" for name in COLUMNS)
        lines.append(
            f"| {r['keypoints']} | {r['start']} | {numbers} | {1 / r['people_per_core_second']:.2f} | {share} |"
        )
    e = content["estimate_error_mm"]
    regression = content["regression_core_seconds_a_person"]
    numbers = " | ".join(f"{e[name]:.1f}" for name in COLUMNS)
    what = "the estimate itself" if content["estimate"] == "limner" else "the stand-in for the estimate itself"
    lines.append(f"| - | {what} | {numbers} | {regression:.2f} | - |")
    mean, near = (1 / rows[k]["people_per_core_second"] for k in (0, 1))
    lines += [
        "",
        f"PA-V2V in mm, {content['people']} synthetic people in batches of 64; processor seconds of one core. A fit "
        f"from typical poses takes {mean / regression:.1f} times as long as the networks' estimate of a person, one "
        f"from the estimate {near / regression:.1f} times; the start from the estimate saves {mean / near:.1f} times.",
    ]
    text = page.read_text()
    first, last = (text.index(mark) for mark in MARKS)
    page.write_text(text[: first + len(MARKS[0])] + "\n" + "\n".join(lines) + "\n" + text[last:])


if __name__ == "__main__":
    main()
