"""Where is everyone in the photo?"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from limner.geometry.box import Squares, iou, keep_distinct, upright_squares
from limner.geometry.warp import crop, unit_grid
from limner.networks.blaze import detector as blaze_detector
from limner.networks.blaze import face_detector as blaze_faces
from limner.networks.blaze import pose as blaze_pose
from limner.networks.blaze.detector import BlazeDetector
from limner.networks.blaze.face_detector import FACE_POINTS, BlazeFaceDetector
from limner.networks.blaze.pose import POSE_POINTS, BlazePose, PoseFeatures, borne_out

LEAST_SIDE_PX = 8  # of a photo in which anyone could be seen
LEAST_TILE_PX = 128  # smaller tiles show the detectors nothing that larger ones do not
LEAST_PRESENCE = 0.1  # by BlazePose's own account, in the square that a detector names
SURE_PRESENCE = 0.7  # the same in the square that BlazePose itself names
BATCH = 8  # crops a network sees at once; bounds the memory in crowds
POINT = {name: i for i, name in enumerate(POSE_POINTS)}
TORSO = [POINT[f"{side}_{joint}"] for joint in ("shoulder", "hip") for side in ("left", "right")]
HEAD = [POINT[name] for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
HIPS_BELOW_FACE, REACH_OF_FACE = 4.2, 5.6
"""From a face to the mid-hips, and from there to whatever is farthest, in sides of the face box: medians of people who
stand."""


@dataclass(frozen=True)
class PersonBoxes:
    """Found people, best first: boxes "N 4" x0 y0 x1 y1 photo pixels, inside the photo; scores "N" in [0, 1].

    boxes: of what can be seen. squares: about the hips, turned upright, as large as the whole person, also where the
    photo cuts it off.
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
    """Perhaps people, photo px: mid-hips, a point on the circle about them that holds the body, middle of the head."""

    scores: Float[Tensor, "N"]
    hips_px: Float[Tensor, "N 2"]
    top_px: Float[Tensor, "N 2"]
    head_px: Float[Tensor, "N 2"]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Candidates":
        return Candidates(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: list["Candidates"]) -> "Candidates":
        """All lists in a row."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    @classmethod
    def none(cls) -> "Candidates":
        """Nobody."""
        return cls(torch.zeros(0), torch.zeros(0, 2), torch.zeros(0, 2), torch.zeros(0, 2))

    def squares(self) -> Squares:
        """The crops BlazePose expects: about the hips, 1.25 times the circle, the head up."""
        return upright_squares(self.hips_px, self.top_px, margin=1.25)

    def upper_bodies(self) -> Float[Tensor, "N 4"]:
        """Squares between hips and head: candidates whose squares overlap are one person, neighbours stay two."""
        center, half = (self.hips_px + self.top_px) / 2, (self.top_px - self.hips_px).norm(dim=-1, keepdim=True) / 4
        return torch.cat([center - half, center + half], -1)


@dataclass(frozen=True)
class Seen:
    """Candidates after BlazePose.

    presence, clarity "N"; points_px "N 39 2" landmarks in photo pixels with visibility "N 39"; mask_px "N 4" bounds of
    the pixels that belong to the person.
    """

    presence: Float[Tensor, "N"]
    clarity: Float[Tensor, "N"]
    points_px: Float[Tensor, "N 39 2"]
    visibility: Float[Tensor, "N 39"]
    mask_px: Float[Tensor, "N 4"]

    def __len__(self) -> int:
        return len(self.presence)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Seen":
        return Seen(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Finds:
    """People that BlazePose confirms, with where torso (order of TORSO) and head are, to tell them apart.

    votes: how many other candidates led to the same torso: of two finds of one person, that of most is boxed better.
    """

    people: PersonBoxes
    torsos: Float[Tensor, "N 4 2"]
    heads: Float[Tensor, "N 2"]
    votes: Float[Tensor, "N"]

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Finds":
        return Finds(self.people[index], self.torsos[index], self.heads[index], self.votes[index])

    def distinct(self) -> "Finds":
        """Everybody once, best first."""
        worth = self.people.scores + WORTH_OF_VOTES * (self.votes / FULL_VOTES).clamp_max(1)
        once = self[distinct_people(self.people.boxes, self.torsos, self.heads, self.people.scores, worth)]
        return once[once.people.scores.argsort(descending=True, stable=True)]

    def joined(self, other: "Finds") -> "Finds":
        """Both lists, this one first."""
        mine, its = self.people, other.people
        names = ("center_px", "size_px", "angle_rad")
        squares = Squares(*(torch.cat([getattr(mine.squares, n), getattr(its.squares, n)]) for n in names))
        people = PersonBoxes(torch.cat([mine.boxes, its.boxes]), torch.cat([mine.scores, its.scores]), squares)
        rest = ("torsos", "heads", "votes")
        return Finds(people, *(torch.cat([getattr(self, name), getattr(other, name)]) for name in rest))

    def explains(self, candidates: Candidates, least_score: float = 0.8) -> Bool[Tensor, "M"]:
        """Which candidates have the head of somebody found and clearly seen."""
        clear = self.people.scores >= least_score
        apart = torch.cdist(candidates.head_px, self.heads[clear]) / torso_size(self.torsos[clear])
        return (apart < SAME_HEAD).any(-1)


SAME_HEAD = 0.3  # of a torso's size: heads nearer than this are one
WORTH_OF_VOTES, FULL_VOTES = 0.1, 4  # added to the score where so many other candidates agree


class PersonNet(nn.Module):
    """Detectors of bodies and of faces on the whole photo and on tiles; BlazePose checks and boxes every find.

    Args:
        detector, faces, pose: the three networks.
        margin_view: side of a second look at the whole photo, in longer sides of it: with black around it, people who
            fill or leave the photo are found.
        tile_views: sides of overlapping tiles, as fractions of the same; for several or small people.
        fine_view: the same, for tiles that are searched unless exactly one person has been found before.
        body_threshold, face_threshold: probabilities above which the detectors' finds are looked at.
    """

    def __init__(
        self,
        detector: BlazeDetector,
        faces: BlazeFaceDetector,
        pose: BlazePose,
        *,
        margin_view: float = 1.4,
        tile_views: tuple[float, ...] = (0.5, 0.35),
        fine_view: float = 0.25,
        body_threshold: float = 0.4,
        face_threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.detector, self.faces, self.pose = detector, faces, pose
        self.margin_view, self.tile_views, self.fine_view = margin_view, tile_views, fine_view
        self.body_threshold, self.face_threshold = body_threshold, face_threshold

    @classmethod
    def load(cls, detector: Path | None = None, faces: Path | None = None, pose: Path | None = None) -> "PersonNet":
        """With the shipped weights, or those of the files given."""
        return cls(BlazeDetector.load(detector), BlazeFaceDetector.load(faces), BlazePose.load(pose))

    @torch.no_grad()
    def forward(self, photo: UInt8[Tensor, "3 H W"], threshold: float = 0.6) -> PersonBoxes:
        """People whose score reaches `threshold`; nobody is an empty result.

        The score is the clarity of BlazePose's heat maps: the detectors only name places. Only the whole photo is
        searched if it shows exactly one person who fills most of it: a small second person is missed then.
        """
        height, width = photo.shape[1:]
        whole = whole_square(width, height, 1.0)
        if min(height, width) < LEAST_SIDE_PX:
            return PersonBoxes(torch.zeros(0, 4), torch.zeros(0), whole[:0])
        finds = self._check(photo, self._bodies(photo, whole), threshold)
        if fills_photo(finds.people, width, height):
            return finds.people
        margin, tiles = whole_square(width, height, self.margin_view), tile_squares(width, height, self.tile_views)
        bodies = [self._bodies(photo, squares) for squares in (margin, tiles)]
        faces = [self._faces(photo, squares) for squares in (whole, margin, tiles)]
        finds = self._with(finds, photo, Candidates.joined(bodies + faces), threshold)
        if len(finds.people) != 1:
            fine = tile_squares(width, height, (self.fine_view,))
            candidates = [self._bodies(photo, fine), self._faces(photo, fine)]
            finds = self._with(finds, photo, Candidates.joined(candidates), threshold)
        return finds.people

    def _bodies(self, photo: Tensor, squares: Squares) -> Candidates:
        """What the body detector finds in the given squares of the photo."""
        parts = [Candidates.none()]
        for i in range(0, len(squares), BATCH):
            crops = crop(photo, squares[i : i + BATCH], blaze_detector.CROP_SIZE)
            for k, found in enumerate(self.detector.detect(crops.pixels, self.body_threshold)):
                heads = (found.faces[:, :2] + found.faces[:, 2:]) / 2
                unit = torch.stack([found.points[:, 0], found.points[:, 1], heads], 0) * 2 - 1
                places = crops.squares[k : k + 1].photo_from_unit(unit.flatten(0, 1)[None])[0]
                parts.append(Candidates(found.scores, *places.unflatten(0, (3, -1))))
        return Candidates.joined(parts)

    def _faces(self, photo: Tensor, squares: Squares) -> Candidates:
        """Bodies as they hang from the faces that are found in the given squares of the photo."""
        parts = [Candidates.none()]
        for i in range(0, len(squares), BATCH):
            crops = crop(photo, squares[i : i + BATCH], blaze_faces.CROP_SIZE)
            for k, found in enumerate(self.faces.detect(crops.pixels, self.face_threshold)):
                square = crops.squares[k : k + 1]
                points = square.photo_from_unit(found.points.flatten(0, 1)[None] * 2 - 1)[0].unflatten(0, (-1, 6))
                corners = square.photo_from_unit(found.boxes.view(1, -1, 2) * 2 - 1)[0].unflatten(0, (-1, 2))
                parts.append(hanging_from_faces(found.scores, corners.flatten(1), points))
        return Candidates.joined(parts)

    def _with(self, finds: Finds, photo: Tensor, candidates: Candidates, threshold: float) -> Finds:
        """The finds and those candidates that turn out to be somebody else."""
        return finds.joined(self._check(photo, candidates[~finds.explains(candidates)], threshold)).distinct()

    def _check(self, photo: Tensor, candidates: Candidates, threshold: float) -> Finds:
        """Those candidates that are people, each once."""
        height, width = photo.shape[1:]
        candidates = candidates[keep_distinct(candidates.upper_bodies(), candidates.scores, 0.5)]
        glance = self._look(photo, candidates.squares(), closely=False)
        kept = (glance.presence > LEAST_PRESENCE).nonzero()[:, 0]
        glance, candidates = glance[kept], candidates[kept]
        # Again, in the crop that the landmarks suggest: the detectors' is rough, and chance finds do not last.
        center, top = (glance.points_px[:, POINT[name]] for name in ("body_center", "body_top"))
        candidates = replace(candidates, hips_px=center, top_px=top)
        apart = torso_distances(glance.points_px[:, TORSO])
        votes = (apart < 0.3).to(apart.dtype) @ glance.presence - glance.presence
        index = different(apart < 0.2, glance.presence * candidates.scores)
        squares = candidates[index].squares()
        seen = self._look(photo, squares)
        boxes = visible_boxes(seen, width, height)
        usable = (seen.clarity >= threshold) & (seen.presence > SURE_PRESENCE)
        usable = (usable & ((boxes[:, 2:] - boxes[:, :2]).amin(-1) >= 1)).nonzero()[:, 0]
        people = PersonBoxes(boxes[usable], seen.clarity[usable], squares[usable])
        points = seen.points_px[usable]
        return Finds(people, points[:, TORSO], points[:, HEAD].mean(1), votes[index][usable]).distinct()

    def _look(self, photo: Tensor, squares: Squares, closely: bool = True) -> Seen:
        """BlazePose on the given squares, results in photo pixels; clarity and bounds only `closely`."""
        batches = []
        for i in range(0, max(len(squares), 1), BATCH):  # an empty list is one empty batch
            crops = crop(photo, squares[i : i + BATCH], blaze_pose.CROP_SIZE)
            features = self.pose(crops.pixels, heatmaps=closely, coarse_mask=closely)
            points = crops.photo_from_unit(features.landmarks[..., :2] * 2 - 1)
            count = len(features)
            clear = clarity(features) if closely else points.new_zeros(count)
            mask = mask_bounds(features.coarse_mask, crops.squares) if closely else points.new_zeros(count, 4)
            batches.append((features.presence, clear, points, features.landmarks[..., 3], mask))
        return Seen(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def hanging_from_faces(
    scores: Float[Tensor, "N"], faces: Float[Tensor, "N 4"], points: Float[Tensor, "N 6 2"]
) -> Candidates:
    """People as large as their faces say, halfway between hanging straight down and along the face.

    faces: boxes, and their points in the order of FACE_POINTS, photo px.
    """
    at = {name: points[:, i] for i, name in enumerate(FACE_POINTS)}
    along = at["mouth"] - (at["left_eye"] + at["right_eye"]) / 2
    unit = torch.nn.functional.normalize(along, dim=-1, eps=1e-6)
    down = torch.nn.functional.normalize(unit + unit.new_tensor([0.0, 1.0]), dim=-1, eps=1e-3)
    side = (faces[:, 2:] - faces[:, :2]).mean(-1, keepdim=True)
    center = (faces[:, :2] + faces[:, 2:]) / 2
    hips = center + HIPS_BELOW_FACE * side * down
    return Candidates(scores, hips, hips - REACH_OF_FACE * side * down, center)


def mask_bounds(mask: Float[Tensor, "N S S"] | None, squares: Squares) -> Float[Tensor, "N 4"]:
    """Bounds of the pixels more likely the person's than not, photo px; inside out (low over high) where none is."""
    assert mask is not None
    size = mask.shape[-1]
    places = squares.photo_from_unit(unit_grid(size, mask).flatten(0, 1).expand(len(mask), -1, 2))
    hidden = (mask.flatten(1) <= 0.5)[..., None]
    half = squares.size_px[:, None] / (2 * size)
    low, high = places.masked_fill(hidden, torch.inf).amin(1), places.masked_fill(hidden, -torch.inf).amax(1)
    return torch.cat([low - half, high + half], -1)


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


def fills_photo(people: PersonBoxes, width: int, height: int, extent: float = 0.6, score: float = 0.75) -> bool:
    """Is there exactly one person, clearly seen, as high or as wide as most of the photo?"""
    if len(people) != 1:
        return False
    share = (people.boxes[0, 2:] - people.boxes[0, :2]) / people.boxes.new_tensor([width, height])
    return bool(share.max() >= extent) and bool(people.scores[0] >= score)


def visible_boxes(seen: Seen, width: int, height: int, reach: float = 0.6) -> Float[Tensor, "N 4"]:
    """Bounds of what can be seen of people: of their mask, as far as it stays near their visible points.

    `reach` (of the torso's size): how far clothes, hair and things held may extend beyond the points' box; a mask that
    goes farther is on somebody else. Where there is no mask, the points' box. Cut at the photo's edges.
    """
    rough = point_boxes(seen)
    room = reach * torso_size(seen.points_px[:, TORSO])[:, None]
    low = torch.maximum(seen.mask_px[:, :2], rough[:, :2] - room)
    high = torch.minimum(seen.mask_px[:, 2:], rough[:, 2:] + room)
    boxes = torch.where((high > low).all(-1, keepdim=True), torch.cat([low, high], -1), rough)
    return boxes.clamp_min(0).minimum(boxes.new_tensor([width, height, width, height]))


def point_boxes(seen: Seen, least_visibility: float = 0.3, margin: float = 0.1) -> Float[Tensor, "N 4"]:
    """Bounds of the visible points, of the top of the head and of the finger tips.

    `margin` (of the torso's size) makes room for flesh about the joints. Points outside the photo are invisible to
    BlazePose, so a person cut by the edge gets the visible part.
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
    return torch.cat([low - room, high + room], -1)


def torso_size(torsos: Float[Tensor, "N 4 2"]) -> Float[Tensor, "N"]:
    """Length from shoulders to hips or width of the shoulders, whichever looks longer; order of TORSO."""
    length = (torsos[:, :2].mean(1) - torsos[:, 2:].mean(1)).norm(dim=-1)
    return torch.maximum(length, (torsos[:, 0] - torsos[:, 1]).norm(dim=-1))


def torso_distances(torsos: Float[Tensor, "N 4 2"]) -> Float[Tensor, "N N"]:
    """How far torsos lie apart, corner by corner, in sizes of the smaller one."""
    size = torso_size(torsos)
    return (torsos[:, None] - torsos[None]).norm(dim=-1).mean(-1) / torch.minimum(size[:, None], size[None])


def distinct_people(
    boxes: Float[Tensor, "N 4"],
    torsos: Float[Tensor, "N 4 2"],
    heads: Float[Tensor, "N 2"],
    scores: Float[Tensor, "N"],
    worth: Float[Tensor, "N"],
) -> list[int]:
    """Indices of different people, those of most worth first.

    Dropped: boxes that overlap a better one by more than 0.6, torsos and heads that lie on a better one's, and weak
    finds that lie inside a better one's box (limbs taken for small people).
    """
    size = torso_size(torsos)
    same_head = torch.cdist(heads, heads) / torch.maximum(size[:, None], size[None]) < SAME_HEAD
    part = (inside(boxes) > 0.75) & (scores < 0.8)[:, None]
    same = (iou(boxes, boxes) > 0.6) | (torso_distances(torsos) < 0.5) | same_head | part
    return different(same, worth)


def different(same: Bool[Tensor, "N N"], worth: Float[Tensor, "N"]) -> list[int]:
    """Indices, best first, without those that are the same as a better one (row, column)."""
    kept: list[int] = []
    for i in worth.argsort(descending=True, stable=True).tolist():
        if not bool(same[i, kept].any()):
            kept.append(i)
    return kept


def inside(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N N"]:
    """Share of each box (row) that lies in each other box (column)."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return (high - low).clamp_min(0).prod(-1) / area[:, None].clamp_min(1e-9)
