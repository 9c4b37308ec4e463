"""Where is everyone in the photo?"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from limner.geometry.box import Squares, iou, keep_distinct, upright_squares
from limner.geometry.warp import crop
from limner.networks.blaze import detector as blaze_detector
from limner.networks.blaze import pose as blaze_pose
from limner.networks.blaze.detector import BlazeDetector
from limner.networks.blaze.pose import POSE_POINTS, BlazePose, PoseFeatures, borne_out

LEAST_SIDE_PX = 8  # of a photo in which anyone could be seen
LEAST_TILE_PX = 128  # smaller tiles show the detector nothing that larger ones do not
LEAST_PRESENCE = 0.5  # by BlazePose's own account
BATCH = 8  # crops a network sees at once; bounds the memory in crowds
POINT = {name: i for i, name in enumerate(POSE_POINTS)}
TORSO = [POINT[f"{side}_{joint}"] for joint in ("shoulder", "hip") for side in ("left", "right")]


@dataclass(frozen=True)
class PersonBoxes:
    """Found people, best first: boxes "N 4" x0 y0 x1 y1 photo pixels, inside the photo; scores "N" in [0, 1].

    squares: about the hips, turned upright, as large as the whole person, also where the photo cuts it off.
    """

    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, "N"]
    squares: Squares

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "PersonBoxes":
        return PersonBoxes(self.boxes[index], self.scores[index], self.squares[index])


@dataclass(frozen=True)
class Candidates:
    """Perhaps people: probability "N", mid-hips and a point on the circle about them that holds the body, photo px."""

    scores: Float[Tensor, "N"]
    hips_px: Float[Tensor, "N 2"]
    top_px: Float[Tensor, "N 2"]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Candidates":
        return Candidates(self.scores[index], self.hips_px[index], self.top_px[index])

    def joined(self, other: "Candidates") -> "Candidates":
        """Both lists, this one first."""
        return Candidates(
            torch.cat([self.scores, other.scores]),
            torch.cat([self.hips_px, other.hips_px]),
            torch.cat([self.top_px, other.top_px]),
        )

    def squares(self) -> Squares:
        """The crops BlazePose expects: about the hips, 1.25 times the circle, the head up."""
        return upright_squares(self.hips_px, self.top_px, margin=1.25)

    def upper_bodies(self) -> Float[Tensor, "N 4"]:
        """Squares between hips and head: candidates whose squares overlap are one person, neighbours stay two."""
        center, half = (self.hips_px + self.top_px) / 2, (self.top_px - self.hips_px).norm(dim=-1, keepdim=True) / 4
        return torch.cat([center - half, center + half], -1)


@dataclass(frozen=True)
class Seen:
    """Candidates after BlazePose: presence and clarity "N", landmarks in photo pixels "N 39 2", visibility "N 39"."""

    presence: Float[Tensor, "N"]
    clarity: Float[Tensor, "N"]
    points_px: Float[Tensor, "N 39 2"]
    visibility: Float[Tensor, "N 39"]


class PersonNet(nn.Module):
    """BlazePose's detector on the whole photo and on tiles; BlazePose checks and boxes every find.

    Args:
        detector, pose: the two networks.
        margin_view: side of a second look at the whole photo, in longer sides of it: with black around it, people who
            fill or leave the photo are found.
        tile_views: sides of overlapping tiles, as fractions of the same; for several or small people.
        tile_detection: detector probability above which a find on a tile is looked at (tiles are many).
    """

    def __init__(
        self,
        detector: BlazeDetector,
        pose: BlazePose,
        *,
        margin_view: float = 1.4,
        tile_views: tuple[float, ...] = (0.5, 0.35),
        tile_detection: float = 0.5,
    ) -> None:
        super().__init__()
        self.detector, self.pose = detector, pose
        self.margin_view, self.tile_views, self.tile_detection = margin_view, tile_views, tile_detection

    @classmethod
    def load(cls, detector: Path | None = None, pose: Path | None = None) -> "PersonNet":
        """With the shipped weights, or those of the files given."""
        return cls(BlazeDetector.load(detector), BlazePose.load(pose))

    @torch.no_grad()
    def forward(self, photo: UInt8[Tensor, "3 H W"], threshold: float = 0.5) -> PersonBoxes:
        """People whose score reaches `threshold`; nobody is an empty result.

        The score is the root of the detector's probability times the clarity of BlazePose's heat maps: the detector is
        the weaker witness. The margin view and the tiles are not searched if the whole photo shows exactly one person
        who fills most of it: a small second person is missed then.
        """
        height, width = photo.shape[1:]
        if min(height, width) < LEAST_SIDE_PX:
            return PersonBoxes(torch.zeros(0, 4), torch.zeros(0), whole_square(width, height, 1.0)[:0])
        needed = threshold**2  # of the detector, if the maps were perfectly clear
        found = self._search(photo, whole_square(width, height, 1.0), needed)
        people = self._check(photo, found, threshold)
        if fills_photo(people, width, height):
            return people
        margin = self._search(photo, whole_square(width, height, self.margin_view), needed)
        tiles = tile_squares(width, height, self.tile_views)
        tiled = self._search(photo, tiles, max(needed, self.tile_detection))
        return self._check(photo, found.joined(margin).joined(tiled), threshold)

    def _search(self, photo: Tensor, squares: Squares, threshold: float) -> Candidates:
        """What the detector finds in the given squares of the photo."""
        scores, hips_px, top_px = [torch.zeros(0)], [torch.zeros(0, 2)], [torch.zeros(0, 2)]
        for i in range(0, len(squares), BATCH):
            crops = crop(photo, squares[i : i + BATCH], blaze_detector.CROP_SIZE)
            for k, found in enumerate(self.detector.detect(crops.pixels, threshold)):
                square = crops.squares[k : k + 1]
                scores.append(found.scores)
                hips_px.append(square.photo_from_unit(found.points[None, :, 0] * 2 - 1)[0])
                top_px.append(square.photo_from_unit(found.points[None, :, 1] * 2 - 1)[0])
        return Candidates(torch.cat(scores), torch.cat(hips_px), torch.cat(top_px))

    def _check(self, photo: Tensor, candidates: Candidates, threshold: float) -> PersonBoxes:
        """One box for each candidate that is a person and not one already counted."""
        height, width = photo.shape[1:]
        candidates = candidates[keep_distinct(candidates.upper_bodies(), candidates.scores, 0.3)]
        seen = self._look(photo, candidates.squares())
        kept = seen.presence > LEAST_PRESENCE
        candidates = candidates[kept]
        # Again, in the crop that the landmarks suggest: the detector's is rough, and chance finds do not last.
        refined = Candidates(
            candidates.scores,
            seen.points_px[kept, POINT["body_center"]],
            seen.points_px[kept, POINT["body_top"]],
        )
        seen = self._look(photo, refined.squares())
        scores = candidates.scores.sqrt() * seen.clarity
        boxes = person_boxes(seen, width, height)
        sides = boxes[:, 2:] - boxes[:, :2]
        usable = (scores >= threshold) & (seen.presence > LEAST_PRESENCE) & (sides.amin(-1) >= 1)
        boxes, scores, torsos = boxes[usable], scores[usable], seen.points_px[usable][:, TORSO]
        index = distinct_people(boxes, torsos, scores)
        return PersonBoxes(boxes[index], scores[index], refined[usable].squares()[index])

    def _look(self, photo: Tensor, squares: Squares) -> Seen:
        """BlazePose on the given squares, results in photo pixels."""
        batches = []
        for i in range(0, max(len(squares), 1), BATCH):  # an empty list is one empty batch
            crops = crop(photo, squares[i : i + BATCH], blaze_pose.CROP_SIZE)
            features = self.pose(crops.pixels, heatmaps=True)
            points = crops.photo_from_unit(features.landmarks[..., :2] * 2 - 1)
            batches.append((features.presence, clarity(features), points, features.landmarks[..., 3]))
        presence, clear, points_px, visibility = (torch.cat(parts) for parts in zip(*batches, strict=True))
        return Seen(presence, clear, points_px, visibility)


def clarity(features: PoseFeatures, count: int = 8) -> Float[Tensor, "B"]:
    """How well do the heat maps bear out the landmarks: mean probability of the `count` clearest body points.

    Landmarks and presence are read from a global code and describe a plausible person even on a chair or a shrub; the
    heat maps look locally and stay dim there (median 0.46 in photos without people, 0.89 on people).
    """
    assert features.heatmaps is not None
    at = borne_out(features.landmarks, features.heatmaps)[:, :33]
    return at.topk(count, dim=1).values.mean(1)


def whole_square(width: int, height: int, fraction: float) -> Squares:
    """The square about the photo's centre whose side is `fraction` of the longer side."""
    side = torch.tensor([max(width, height) * fraction], dtype=torch.float32)
    return Squares(torch.tensor([[width / 2, height / 2]]), side, torch.zeros(1))


def tile_squares(width: int, height: int, fractions: tuple[float, ...], overlap: float = 0.3) -> Squares:
    """Overlapping squares that cover the photo, coarse ones first; none smaller than LEAST_TILE_PX.

    In photos longer than 2:1 the fractions count from twice the shorter side.
    """
    base = min(max(width, height), 2 * min(width, height))
    tiles = []
    for side in (base * fraction for fraction in fractions):
        if side >= LEAST_TILE_PX:
            ys, xs = (_tile_centers(length, side, overlap) for length in (float(height), float(width)))
            tiles += [(x, y, side) for y in ys for x in xs]
    table = torch.tensor(tiles).reshape(-1, 3)
    return Squares(table[:, :2], table[:, 2], torch.zeros(len(tiles)))


def _tile_centers(length: float, side: float, overlap: float) -> list[float]:
    if length <= side:
        return [length / 2]
    steps = math.ceil((length - side) / (side * (1 - overlap)))
    return [side / 2 + (length - side) * i / steps for i in range(steps + 1)]


def fills_photo(people: PersonBoxes, width: int, height: int, extent: float = 0.6, score: float = 0.7) -> bool:
    """Is there exactly one person, clearly seen, as high or as wide as most of the photo?"""
    if len(people) != 1:
        return False
    share = (people.boxes[0, 2:] - people.boxes[0, :2]) / people.boxes.new_tensor([width, height])
    return bool(share.max() >= extent) and bool(people.scores[0] >= score)


def person_boxes(
    seen: Seen, width: int, height: int, least_visibility: float = 0.3, margin: float = 0.1
) -> Float[Tensor, "N 4"]:
    """Boxes as people draw them: bounds of the visible points, of the top of the head and of the finger tips.

    `margin` (of the torso's length) makes room for flesh about the joints. Cut at the photo's edges. Points outside the
    photo are invisible to BlazePose, so a person cut by the edge gets the visible part.
    """
    points, visibility = seen.points_px[:, :33], seen.visibility[:, :33]
    at = {name: points[:, i] for name, i in POINT.items() if i < 33}
    eyes = (at["left_eye"] + at["right_eye"]) / 2
    mouth = (at["mouth_left"] + at["mouth_right"]) / 2
    extra = [eyes + 2 * (eyes - mouth)]  # the eyes are halfway up the head, the mouth a quarter of it lower
    extra += [1.8 * at[f"{side}_index"] - 0.8 * at[f"{side}_wrist"] for side in ("left", "right")]  # finger tips
    carriers = [POINT[name] for name in ("nose", "left_wrist", "right_wrist")]
    points = torch.cat([points, torch.stack(extra, 1)], 1)
    visibility = torch.cat([visibility, visibility[:, carriers]], 1)
    # of somebody hardly visible, the five clearest points
    least = visibility.topk(5, dim=1).values[:, -1:].clamp_max(least_visibility)
    hidden = (visibility < least)[..., None]
    low = points.masked_fill(hidden, torch.inf).amin(1)
    high = points.masked_fill(hidden, -torch.inf).amax(1)
    room = margin * torso_size(seen.points_px[:, TORSO])[:, None]
    limit = points.new_tensor([width, height])
    return torch.cat([(low - room).clamp_min(0).minimum(limit), (high + room).clamp_min(0).minimum(limit)], -1)


def torso_size(torsos: Float[Tensor, "N 4 2"]) -> Float[Tensor, "N"]:
    """Length from shoulders to hips or width of the shoulders, whichever looks longer; order of TORSO."""
    length = (torsos[:, :2].mean(1) - torsos[:, 2:].mean(1)).norm(dim=-1)
    return torch.maximum(length, (torsos[:, 0] - torsos[:, 1]).norm(dim=-1))


def distinct_people(
    boxes: Float[Tensor, "N 4"], torsos: Float[Tensor, "N 4 2"], scores: Float[Tensor, "N"]
) -> list[int]:
    """Indices of different people, best first.

    Dropped: boxes that overlap a better one by more than 0.6, torsos that lie on a better one, and weak finds that lie
    inside a better one's box (limbs taken for small people).
    """
    size = torso_size(torsos)
    apart = (torsos[:, None] - torsos[None]).norm(dim=-1).mean(-1) / torch.minimum(size[:, None], size[None])
    part = inside(boxes) > 0.75
    same = (iou(boxes, boxes) > 0.6) | (apart < 0.5) | (part & (scores < 0.65)[:, None])
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if not bool(same[i, kept].any()):
            kept.append(i)
    return kept


def inside(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N N"]:
    """Share of each box (row) that lies in each other box (column)."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return (high - low).clamp_min(0).prod(-1) / area[:, None].clamp_min(1e-9)
