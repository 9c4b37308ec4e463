"""A fast stand-in for estimator and fitter: real records, real scores, no networks."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.curate.records import Judged, Seen
from limner.curate.run import curate
from limner.curate.score import judge
from limner.curate.work import Worker
from limner.data.evidence import kept_observations
from limner.fit.records import FITTED, Fits, FitTargets
from limner.geometry.box import bounds_of, squares_around
from limner.geometry.camera import photo_camera
from limner.io.image import Photo
from limner.pipeline.parts import face_squares, hand_squares, part_points
from limner.pipeline.people import PeopleObservations
from limner.scale.engine import Engine


def standing(model: BodyModel, count: int, depth: float = 4.0) -> BodyParams:
    """People of nearly mean shape side by side in front of the camera."""
    x = torch.arange(count) * 0.9 - 0.45 * (count - 1)
    transl = torch.stack([x, torch.full_like(x, -0.1), torch.full_like(x, depth)], -1)
    rest = model.rest(count)
    return rest.replace(transl=transl, betas=rest.betas + 0.1, expression=rest.expression + 0.05)


def seen_people(model: BodyModel, count: int, width: int = 320, height: int = 400) -> Seen:
    """People standing, all points seen exactly."""
    params = standing(model, count)
    camera = photo_camera(width, height, 400.0, count)
    points_px = camera.project(model.keypoints144(model(params), params))
    targets = FitTargets(points_px, torch.ones(points_px.shape[:2]), camera, bounds_of(points_px))
    return Seen(
        estimate=params,
        targets=targets,
        by_hand=torch.zeros(count, 144),
        size_px=torch.tensor([[float(width), float(height)]]).repeat(count, 1),
        blur=torch.full((count,), 0.3),
        score=torch.full((count,), 0.9),
        observations=observed(points_px, torch.tensor([[float(width), float(height)]]).repeat(count, 1)),
    )


def observed(points_px: Tensor, size_px: Tensor) -> PeopleObservations:
    """Crops about the true points; the features say nothing."""
    count = len(points_px)
    squares = {"body": squares_around(bounds_of(points_px), 1.1), "face": face_squares(part_points(points_px, "face"))}
    squares |= {f"{side}_hand": hand_squares(part_points(points_px, f"{side}_hand")) for side in ("left", "right")}
    sizes = {"body": (198, 39), "face": (1404, 68), "left_hand": (126, 21), "right_hand": (126, 21)}
    parts = {}
    for part, (features, points) in sizes.items():
        mirrored = torch.full((count,), part == "left_hand")
        seen = torch.zeros(count, features), torch.zeros(count, points, 3), torch.ones(count)
        parts[part] = kept_observations(*seen, squares[part], mirrored, size_px)
    return PeopleObservations(**parts)


@dataclass
class SlidingFit:
    """Moves the estimate sideways until its points lie on the seen ones on average; no joint is turned."""

    model: BodyModel = field(default_factory=BodyModel.load)

    def __call__(self, seen: Seen) -> Judged:
        targets, params = seen.targets, seen.estimate
        for _ in range(4):
            fit_px = targets.camera.project(self.model.keypoints144(self.model(params), params))
            weight = (targets.confidence * (1 + 200 * seen.by_hand))[..., None]
            off = ((targets.keypoints_px - fit_px) * weight).sum(1) / weight.sum(1)
            step = off * (params.transl[:, 2] / targets.camera.focal_px)[:, None]
            params = params.replace(transl=params.transl + torch.cat([step, torch.zeros(len(seen), 1)], -1))
        fit_px = targets.camera.project(self.model.keypoints144(self.model(params), params))
        size = (targets.boxes[:, 2:] - targets.boxes[:, :2]).amax(-1)
        error = (fit_px - targets.keypoints_px).norm(dim=-1)[:, :22].mean(-1) / size
        scores = {"reprojection_body": error, "penetration_m": torch.zeros(len(seen))}
        fits = Fits(params, targets.camera, error, (FITTED,) * len(seen), scores)
        return judge(self.model, seen, fits)


@dataclass
class FakeWorker:
    """As many people as the photo's name says after its last underscore; a photo named *broken* has a bug."""

    log: Path | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        torch.set_num_threads(1)
        self.fit_all = SlidingFit()

    def observe(self, photo: Photo) -> Seen:
        self._note("look", photo.path.name)
        time.sleep(self.seconds)
        if "broken" in photo.path.name:
            raise ZeroDivisionError("a bug")
        return seen_people(self.fit_all.model, int(photo.path.stem.rsplit("_", 1)[1]), photo.width, photo.height)

    def fit(self, seen: Seen) -> Judged:
        self._note("fit", str(len(seen)))
        time.sleep(self.seconds)
        return self.fit_all(seen)

    def _note(self, what: str, which: str) -> None:
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{what} {which}\n")


@dataclass(frozen=True)
class MakeFake:
    """Makes a FakeWorker, in whichever process."""

    log: Path | None = None
    seconds: float = 0.0

    def __call__(self) -> Worker:
        return FakeWorker(self.log, self.seconds)


def photos(folder: Path, people: list[int], size: tuple[int, int] = (320, 400)) -> Path:
    """A folder of small photos, each different, with so many people (by name)."""
    folder.mkdir(parents=True, exist_ok=True)
    g = np.random.default_rng(0)
    for number, count in enumerate(people):
        pixels = g.integers(60, 200, (size[1] // 20, size[0] // 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize(size).save(folder / f"p{number:02d}_{count}.png")
    return folder


def fake_run(source: Path, out: Path, log: Path, seconds: float, engine: Engine = "local") -> None:
    """Curate `source`, note every look and fit in `log`, take `seconds` for each: so that a test can kill it midway."""
    sys.exit(curate([source], out, engine=engine, batch=4, make_worker=MakeFake(log, seconds)))
