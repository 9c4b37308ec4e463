"""Pictures of the worst cases: photo, target and prediction side by side; and all errors as curves."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from limner.errors import LimnerError
from limner.evaluate.benchmarks.record import Case
from limner.evaluate.benchmarks.scan_metrics import carried
from limner.evaluate.person_points import PersonPoints, stack
from limner.extras import extra
from limner.geometry.align import procrustes
from limner.geometry.box import squares_around
from limner.geometry.warp import crop
from limner.io.image import read_photo
from limner.render.overlay import clay, paint, to_bytes

with extra("evaluate", "Drawing curves of errors"):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

SIDE = 220
ROOM = 1.15
DOT = 2
CURVES = 8


def draw_case(case: Case, prediction: PersonPoints, target: PersonPoints) -> UInt8[Tensor, "3 h w"]:
    """Photo, target, and the prediction moved onto the target by the similarity that fits best; seen as by the camera.

    Meshes are shaded, points without triangles are dots. The photo's place is grey where it cannot be read.
    """
    moved = _onto(prediction, target)
    low, high = _bounds(target)
    return torch.cat([_photo(case), *(_draw(shown, target, low, high) for shown in (target, moved))], -1)


def _photo(case: Case) -> UInt8[Tensor, "3 h w"]:
    try:
        photo = read_photo(case.photo)
    except LimnerError:
        return torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    whole = torch.tensor([0.0, 0.0, photo.width, photo.height])
    box = whole if case.box is None or bool(case.box.isnan().any()) else case.box
    return to_bytes(crop(photo.pixels, squares_around(box[None], ROOM), SIDE).pixels[0])


def _points(prediction: PersonPoints) -> Float[Tensor, "N 3"]:
    points = prediction.vertices if prediction.vertices is not None else prediction.joints
    return torch.zeros(0, 3) if points is None else points


def _onto(prediction: PersonPoints, target: PersonPoints) -> PersonPoints:
    """The prediction on the target, by whatever points both have; as it is where they have none."""
    if prediction.landmarks is not None and target.landmarks is not None:
        mine, onto = prediction.landmarks, target.landmarks
        return prediction.moved(lambda points: carried(points, mine.to(points), onto.to(points)))
    if (
        prediction.vertices is not None
        and target.vertices is not None
        and len(prediction.vertices) == len(target.vertices)
    ):
        aligned = procrustes(stack(prediction.vertices), stack(target.vertices))[0].float()
        return PersonPoints(vertices=aligned, faces=target.faces if prediction.faces is None else prediction.faces)
    names = tuple(name for name in target.joint_names if name in prediction.joint_names)
    if len(names) < 3:
        return prediction
    mine, onto = prediction.named(names), target.named(names)
    return prediction.moved(lambda points: carried(points, mine.to(points), onto.to(points)))


def _bounds(target: PersonPoints) -> tuple[Tensor, Tensor]:
    points = _points(target)[:, :2]
    low, high = points.amin(0), points.amax(0)
    half = (high - low).amax() / 2 * ROOM
    middle = (low + high) / 2
    return middle - half, middle + half


def _draw(prediction: PersonPoints, target: PersonPoints, low: Tensor, high: Tensor) -> UInt8[Tensor, "3 h w"]:
    points = _points(prediction)
    canvas = torch.full((3, SIDE, SIDE), 255, dtype=torch.uint8)
    pixels = (points[:, :2] - low) / (high - low) * SIDE
    faces = prediction.faces
    if faces is None and prediction.vertices is not None and target.vertices is not None:
        faces = target.faces if len(prediction.vertices) == len(target.vertices) else None
    if faces is not None and prediction.vertices is not None:
        depth = points[:, 2:] - points[:, 2].min() + 1.0  # the painter wants depths before the camera
        return paint(canvas, torch.cat([pixels, depth], 1)[None], faces, clay(points[None], faces))
    for x, y in pixels.round().long().tolist():
        if 0 <= x < SIDE and 0 <= y < SIDE:
            canvas[:2, max(0, y - DOT) : y + DOT, max(0, x - DOT) : x + DOT] = 64
    return canvas


def error_curves(errors: dict[str, Float[Tensor, "P"]], title: str) -> UInt8[Tensor, "3 h w"]:
    """Share of people (%) whose error is below a value, a curve for each of the first metrics in mm."""
    figure = Figure(figsize=(8, 4.6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    shown = {name: values[~values.isnan()] for name, values in errors.items() if name.endswith("mm")}
    for name, values in list(shown.items())[:CURVES]:
        ordered = np.sort(values.numpy())
        share = 100 * np.arange(1, len(ordered) + 1) / max(1, len(ordered))
        axes.plot(np.concatenate([[0], ordered]), np.concatenate([[0], share]), drawstyle="steps-post", label=name)
    axes.set(xlabel="error below, mm", ylabel="people, %", title=title, ylim=(0, 100))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    if shown:
        axes.legend(fontsize=8, loc="lower right")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3]).permute(2, 0, 1).contiguous()
