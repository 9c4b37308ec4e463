"""The review bench. People are shown, decided on, corrected and fitted anew; no web in here."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, KEYPOINT_SETS, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.curate.observe import with_points
from limner.curate.originals import read_original
from limner.curate.pictures import (
    Body,
    Region,
    body_to_draw,
    bones,
    jpeg,
    mesh_picture,
    photo_picture,
    regions,
    side_picture,
)
from limner.curate.records import Decision, Judged, Seen
from limner.curate.score import BOUNDS
from limner.curate.store import CuratedSet, Order, PersonRow, PhotoRow
from limner.errors import LimnerError

Value = TypeVar("Value")
ORDER = {name: index for index, name in enumerate(KEYPOINT_NAMES)}
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
LIMBS = (
    *((f"{s}_shoulder", f"{s}_elbow", f"{s}_wrist") for s in ("left", "right")),
    *((f"{s}_hip", f"{s}_knee", f"{s}_ankle", f"{s}_big_toe", f"{s}_heel", f"{s}_ankle") for s in ("left", "right")),
    ("left_ankle", "left_small_toe"),
    ("right_ankle", "right_small_toe"),
    ("left_shoulder", "right_shoulder", "right_hip", "left_hip", "left_shoulder"),
    ("left_ear", "left_eye", "nose", "right_eye", "right_ear"),
)
PALMS = tuple((f"{s}_wrist", *(f"{s}_{f}{k}" for k in ("1", "2", "3", ""))) for s in ("left", "right") for f in FINGERS)
View = Literal["person", "left_hand", "right_hand", "face", "side"]
GROUPS: dict[View, tuple[str, ...]] = {
    "person": KEYPOINT_SETS["coco_wholebody133"][:23],
    "left_hand": hand21("left"),
    "right_hand": hand21("right"),
    "face": FACE68,
}
"""Which of the 144 points can be moved in which picture."""
POINTS = {
    "names": list(KEYPOINT_NAMES),
    "groups": {view: list(indices_of(names)) for view, names in GROUPS.items()},
    "bones": bones([*LIMBS, *PALMS], ORDER),
    "bounds": {name: [bound.good, bound.bad] for name, bound in BOUNDS.items()},
}
"""What the page needs to know once."""


class EditError(LimnerError):
    """A point cannot be moved there."""


@runtime_checkable
class Fit(Protocol):
    """Whoever fits and scores people from what was seen of them."""

    def __call__(self, seen: Seen) -> Judged: ...


class Cache(Generic[Value]):
    """The most recent values, made once each even when several threads ask."""

    def __init__(self, size: int):
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._size, self._lock = size, threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key; made where it is not there."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
            return self._values[key]


class Bench:
    """A set, the body it was fitted with, and somebody who fits anew."""

    def __init__(self, curated: CuratedSet, model: BodyModel, fit: Fit):
        self.curated, self.model, self.fit = curated, model, fit
        self.keypoint_model = model.keypoints_only()
        self._fitting = threading.Lock()
        self._photos: Cache[Tensor] = Cache(4)
        self._bodies: Cache[Body] = Cache(8)
        self._pictures: Cache[bytes] = Cache(400)

    @property
    def fitting(self) -> bool:
        """Whether somebody is being fitted anew right now."""
        return self._fitting.locked()

    def summary(self) -> dict[str, Any]:
        """The state of the set."""
        return {"name": self.curated.folder.resolve().name, "people": self.curated.counts()} | {
            "photos": self.curated.photo_counts()
        }

    def queue(self, decision: Decision | None, order: Order, offset: int, limit: int) -> list[dict[str, Any]]:
        """A page of people, briefly."""
        return [self._brief(row) for row in self.curated.people(decision, order, offset, limit)]

    def person(self, person: int) -> dict[str, Any]:
        """All that the page shows of a person."""
        row = self.curated.person(person)
        seen, params = self.curated.body(person)
        photo = self.curated.photo(row.photo)
        views = self._regions(seen, params)
        fit_px = self._projected(params, seen)
        points = torch.cat(
            [seen.targets.keypoints_px[0], seen.targets.confidence[0, :, None], seen.by_hand[0, :, None]], 1
        )
        return self._brief(row) | {
            "licence": photo.licence,
            "source": photo.source,
            "people_in_photo": len(self.curated.people_of(row.photo)),
            "scores": row.scores,
            "verdict": row.verdict,
            "changed": row.changed,
            "history": [change.__dict__ for change in self.curated.changes(person)],
            "views": {name: _view(region) for name, region in views.items()},
            "points": [[round(value, 2) for value in point] for point in points.tolist()],
            "fit": [[round(value, 2) for value in point] for point in fit_px.tolist()],
        }

    def picture(self, person: int, view: View, mesh: bool) -> bytes:
        """A JPEG of a person as it stands: "side", or one of the regions with or without the mesh."""
        row = self.curated.person(person)
        # the photo's own picture stays as it was when only the fit changed, but its region may not
        return self._pictures.get((person, row.version, view, mesh), lambda: self._draw(row, view, mesh))

    def decide(self, person: int, version: int, decision: Decision, reviewer: str) -> dict[str, Any]:
        """Keep a decision at once. Raises ConflictError, KeyError."""
        self.curated.decide(person, version, decision, reviewer)
        return self.person(person)

    def move_points(
        self, person: int, version: int, edits: dict[int, tuple[float, float, float]], reviewer: str
    ) -> dict[str, Any]:
        """Set points by hand (index: x, y photo pixels, confidence; 0: not to be seen), fit anew, keep both.

        Raises EditError for points that cannot be, ConflictError, KeyError.
        """
        seen, _ = self.curated.body(person)
        _check_edits(edits, seen)
        seen = with_points(seen, edits)
        with self._fitting:
            judged = self.fit(seen)
        names = ", ".join(KEYPOINT_NAMES[index].replace("_", " ") for index in sorted(edits)[:3])
        verb = "hid" if all(sure == 0 for _, _, sure in edits.values()) else "moved"
        self.curated.refit(person, version, seen, judged, reviewer, f"{verb} {names}")
        return self.person(person)

    def undo(self, person: int, version: int, reviewer: str) -> dict[str, Any]:
        """Take back the last change. Raises ConflictError, KeyError."""
        self.curated.undo(person, version, reviewer)
        return self.person(person)

    def _brief(self, row: PersonRow) -> dict[str, Any]:
        return {
            "id": row.id,
            "photo": self.curated.photo(row.photo).path.name,
            "rank": row.rank,
            "version": row.version,
            "decision": row.decision,
            "reviewer": row.reviewer,
            "quality": row.quality,
            "flags": list(row.flags),
        }

    def _projected(self, params: BodyParams, seen: Seen) -> Tensor:
        with torch.no_grad():
            keypoints = self.keypoint_model.keypoints144(self.keypoint_model(params), params)
        return seen.targets.camera.project(keypoints)[0]

    def _regions(self, seen: Seen, params: BodyParams) -> dict[str, Region]:
        width, height = (int(value) for value in seen.size_px[0])
        targets = seen.targets
        return regions(
            targets.boxes[0],
            targets.keypoints_px[0],
            targets.confidence[0],
            self._projected(params, seen),
            self._projected(seen.estimate, seen),
            (width, height),
        )

    def _draw(self, row: PersonRow, view: View, mesh: bool) -> bytes:
        seen, params = self.curated.body(row.id)
        body = self._bodies.get((row.id, row.version), lambda: self._body(seen, params))
        if view == "side":
            return jpeg(side_picture(body))
        region = self._regions(seen, params)[view]
        pixels = self._pixels(self.curated.photo(row.photo))
        return jpeg(mesh_picture(pixels, region, body) if mesh else photo_picture(pixels, region))

    def _body(self, seen: Seen, params: BodyParams) -> Body:
        with torch.no_grad():
            vertices = self.model(params).vertices[0]
        return body_to_draw(vertices, self.model.faces, seen.targets.camera)

    def _pixels(self, photo: PhotoRow) -> Tensor:
        return self._photos.get(photo.path, lambda: read_original(photo).pixels)


def _view(region: Region) -> dict[str, Any]:
    return {"left": region.left, "top": region.top, "scale": region.scale, "shown": list(region.shown)}


def _check_edits(edits: dict[int, tuple[float, float, float]], seen: Seen) -> None:
    width, height = seen.size_px[0].tolist()
    if not edits:
        raise EditError("no point was given, expected at least one. Move a point first.")
    for index, (x, y, sure) in edits.items():
        inside = -width <= x <= 2 * width and -height <= y <= 2 * height  # a limb may be cut off by the photo
        if not (0 <= index < len(KEYPOINT_NAMES) and math.isfinite(x) and math.isfinite(y) and inside):
            raise EditError(
                f"point {index} at ({x:g}, {y:g}): expected one of 144, near the photo of {width:g} x {height:g}."
            )
        if not 0 <= sure <= 1:
            raise EditError(f"point {index} has confidence {sure:g}, expected 0 to 1.")
