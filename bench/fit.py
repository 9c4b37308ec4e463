"""How fast and how exact are fits of many people at once, and how much slower than the networks?

    python bench/fit.py --poses ../shared/data/poses/cmu_poses.npz [--evidence DIR]

Synthetic people whose 144 keypoints are known: exact, and moved by a normal error of 2 % of the box an axis with 20 %
dropped; how far each part of them is off, with its standard error over people. Started from typical poses, and from
limner's estimate of the same people. With --evidence (made by `limner render crops`, people never trained on) the
estimates are the flow's on those features; without, a stand-in: the truth with the errors that limner usually makes.
PA-V2V: mean distance of vertices after Procrustes of that part alone, mm. Times are processor seconds of all threads
together, which a busy machine changes little. A limb counts as bent the wrong way when its bone points to the other
side of the picture's plane than the true one, by more than 20 degrees or so. The plain twin takes one person after the
other from the same start down the same objective (last stage, all terms, the whole mixture) with PyTorch's L-BFGS and
autograd. Writes bench/fit.json and the table of docs/fitting.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import FACE_JOINTS, HAND_JOINTS, JOINT
from limner.estimator import Estimator
from limner.fit.fitter import Fitter
from limner.fit.problem import FitProblem
from limner.fit.records import FitTargets
from limner.fit.stage import measured_sigma
from limner.geometry.align import procrustes
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.synth.sampler import PersonSampler

ROOT = Path(__file__).parents[1]
NOISE, DROP = 0.02, 0.2
MARKS = "<!-- bench/fit.py: begin -->", "<!-- bench/fit.py: end -->"
COLUMNS = ("body", "hands", "head", "all")
TWIN_ROUNDS, TWIN_STEPS = 3, 50
BONES = tuple(
    (JOINT[f"{side}_{a}"], JOINT[f"{side}_{b}"])
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
)
WRONG_WAY = 0.35
"""Bones whose slopes towards the camera differ by less are not called wrong."""
TWIN_TOLERANCE = 0.02
"""An objective higher by this share, or by one, is not called worse: both solvers stop a little before the bottom."""


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


def cached_scene(model: BodyModel, folder: Path, count: int) -> Scene:
    """People whose features were kept, and what the flow says of them."""
    from limner.cached import read_people, run_cached
    from limner.networks.weights import load_networks

    people = read_people(folder, held_out=True)[:count]
    said = run_cached(load_networks(), model, people)
    return Scene(people.body.params, people.body.camera, said.limner, True)


def targets_of(model: BodyModel, scene: Scene, noise: float, drop: float, seed: int) -> FitTargets:
    """Keypoints of the truth, exact or spoilt."""
    g = torch.Generator().manual_seed(seed)
    points = scene.camera.project(model.keypoints144(model(scene.truth), scene.truth))
    boxes = bounds_of(points)
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1)[:, None, None]
    seen = (torch.rand(points.shape[:2], generator=g) >= drop).float()
    return FitTargets(points + noise * side * torch.randn(points.shape, generator=g), seen, scene.camera, boxes)


def errors_mm(model: BodyModel, said: BodyParams, true: BodyParams) -> dict[str, Tensor]:
    """PA-V2V by part, a number a person."""

    def carried(*names: str) -> Tensor:
        return model.weights[:, [JOINT[name] for name in names]].sum(-1) > 0.5

    head = carried("head", *FACE_JOINTS)
    left, right = (carried(f"{side}_wrist", *HAND_JOINTS[side]) for side in ("left", "right"))
    zones = {"body": [~(head | left | right)], "hands": [left, right], "head": [head], "all": [torch.ones_like(head)]}
    chunks: dict[str, list[Tensor]] = {name: [] for name in COLUMNS}
    for first in range(0, len(true), 16):
        rows = slice(first, first + 16)
        a, b = model(said[rows]).vertices, model(true[rows]).vertices
        for name, parts in zones.items():
            each = [(procrustes(a[:, z], b[:, z]) - b[:, z]).norm(dim=-1).mean(1) for z in parts]
            chunks[name].append(1000 * torch.stack(each).mean(0))
    return {name: torch.cat(values) for name, values in chunks.items()}


def summary(model: BodyModel, said: BodyParams, true: BodyParams) -> dict[str, float]:
    """Mean errors with their standard errors, and how many of eight limb bones a person are bent the wrong way."""
    numbers = {}
    for name, values in errors_mm(model, said, true).items():
        numbers[name] = round(float(values.mean()), 1)
        numbers[f"{name}_standard_error"] = round(float(values.std() / len(values) ** 0.5), 1)
    a, b = model.joints(said), model.joints(true)
    slopes = []
    for joints in (a, b):
        bones = torch.stack([joints[:, end] - joints[:, start] for start, end in BONES], 1)
        slopes.append(bones[..., 2] / bones.norm(dim=-1))
    wrong = (slopes[0] * slopes[1] < 0) & ((slopes[0] - slopes[1]).abs() > WRONG_WAY)
    return numbers | {"wrong_way_bones": round(float(wrong.float().sum(1).mean()), 2)}


def twin_check(fitter: Fitter, targets: FitTargets, estimate: BodyParams) -> dict[str, float]:
    """The last stage's objective where the batched solver ends and where a plain twin ends, from the same start."""
    start = fitter.middle.solve(targets, estimate).state
    seen = replace(targets, sigma=measured_sigma(fitter.whole.layer, targets, fitter.whole.solve(targets, start).state))
    ours = fitter.final.solve(seen, start).objective
    twins = []
    for k in range(len(targets)):
        row = torch.tensor([k])
        problem = fitter.final.problem(seen[row])
        twins.append(plain_descent(problem, start[row]))
    theirs = torch.tensor(twins)
    worse = ours > theirs + (TWIN_TOLERANCE * theirs.abs()).clamp_min(1.0)
    better = theirs > ours + (TWIN_TOLERANCE * ours.abs()).clamp_min(1.0)
    return {
        "people": len(targets),
        "batched": round(float(ours.mean()), 1),
        "twin": round(float(theirs.mean()), 1),
        "batched_worse": int(worse.sum()),
        "batched_better": int(better.sum()),
    }


def plain_descent(problem: FitProblem, state: BodyParams) -> float:
    """One person's objective after L-BFGS; started anew a few times, since a step turns a joint only so far."""
    value = float(problem.cost(state))
    for _ in range(TWIN_ROUNDS):
        step = torch.zeros(1, problem.unknowns.count, requires_grad=True)
        solver = torch.optim.LBFGS([step], max_iter=TWIN_STEPS, line_search_fn="strong_wolfe")

        def closure(step: Tensor = step, state: BodyParams = state, solver: torch.optim.LBFGS = solver) -> Tensor:
            solver.zero_grad()
            cost = problem.cost(problem.moved(state, step)).sum()
            cost.backward()
            return cost

        with torch.enable_grad():
            solver.step(closure)
        moved = problem.moved(state, step.detach())
        now = float(problem.cost(moved))
        if not now < value - 1e-3 * abs(value):
            break
        value, state = now, moved
    return value


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
    parser.add_argument("--twins", type=int, default=16, help="people whom the plain twin fits too")
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
        scene = cached_scene(model, options.evidence, options.people)
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
            row |= summary(model, fits.params, scene.truth)
            rows.append(row)
            print(row, flush=True)
    before = summary(model, scene.estimate, scene.truth)
    some = torch.arange(min(options.twins, len(scene.truth)))
    exact = targets_of(model, scene, 0.0, 0.0, options.seed)
    spoilt = targets_of(model, scene, NOISE, DROP, options.seed)
    twins = {
        name: twin_check(fitter, t[some], scene.estimate[some]) for name, t in (("exact", exact), ("spoilt", spoilt))
    }
    print(twins, flush=True)
    regression = regression_seconds()
    content = {
        "people": len(scene.truth),
        "threads": options.threads,
        "estimate": "limner" if scene.real_estimate else "stand-in",
        "estimate_error_mm": before,
        "regression_core_seconds_a_person": round(regression, 4),
        "rows": rows,
        "twin": twins,
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n")
    if options.page.exists():
        write_table(options.page, content)
    print(f"regression {regression:.3f} core s a person; wrote {options.out}")


def numbers_of(row: dict) -> str:
    """Errors with their standard errors, and bones, as cells."""
    cells = [f"{row[name]:.1f} ± {row[f'{name}_standard_error']:.1f}" for name in COLUMNS]
    return " | ".join([*cells, f"{row['wrong_way_bones']:.2f}"])


def write_table(page: Path, content: dict) -> None:
    """Put the table between its marks."""
    rows = content["rows"]
    lines = [
        "| keypoints | start | body | hands | head | all | bones the wrong way | core s a person | fitted |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        share = f"{r['fitted']} of {content['people']}"
        seconds = 1 / r["people_per_core_second"]
        lines.append(f"| {r['keypoints']} | {r['start']} | {numbers_of(r)} | {seconds:.2f} | {share} |")
    e = content["estimate_error_mm"]
    regression = content["regression_core_seconds_a_person"]
    what = "the estimate itself" if content["estimate"] == "limner" else "the stand-in for the estimate itself"
    lines.append(f"| - | {what} | {numbers_of(e)} | {regression:.2f} | - |")
    seconds = [1 / r["people_per_core_second"] for r in rows]
    saved = [mean / near for mean, near in zip(seconds[::2], seconds[1::2], strict=True)]
    lines += [
        "",
        f"PA-V2V in mm with its standard error over people, {content['people']} synthetic people in batches of 64; "
        "bones the wrong way: of eight arm and leg bones a person, bent to the other side of the picture's plane; "
        f"processor seconds of one core. On exact points fits from typical poses take {seconds[0] / regression:.1f} "
        f"times as long as the networks' estimate of a person, fits from it {seconds[1] / regression:.1f} times; the "
        f"start from the estimate saves {saved[0]:.1f} times there, {saved[1]:.1f} times on spoilt points.",
        "",
        "The last stage's objective, batched solver and plain twin (L-BFGS, autograd, one person at a time) from the "
        f"same start, more than {100 * TWIN_TOLERANCE:.0f} % (and one) apart:",
        "",
        "| keypoints | people | batched, mean | twin, mean | batched lower | twin lower |",
        "|---|---|---|---|---|---|",
    ]
    for name, t in content["twin"].items():
        lines.append(
            f"| {name} | {t['people']} | {t['batched']} | {t['twin']} | {t['batched_better']} | {t['batched_worse']} |"
        )
    text = page.read_text(encoding="utf-8")
    first, last = (text.index(mark) for mark in MARKS)
    page.write_text(text[: first + len(MARKS[0])] + "\n" + "\n".join(lines) + "\n" + text[last:], encoding="utf-8")


if __name__ == "__main__":
    main()
