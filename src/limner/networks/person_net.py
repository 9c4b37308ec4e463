"""Where is everyone in the photo?"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from limner.geometry.box import Squares, bounds_of, iou, share_inside, squares_around, upright_squares
from limner.geometry.warp import Crops, crop
from limner.networks.blaze import pose as blaze_pose
from limner.networks.blaze.pose import POSE_POINTS, BlazePose, PoseFeatures, borne_out
from limner.networks.movenet import GRANULE, MOVENET_POINTS, Finds, MoveNet, decode
from limner.networks.onnx import Engine, OnnxNetwork
from limner.records import Rows, choose, join, put

LEAST_SIDE_PX = 8  # of a photo in which anyone could be seen
LEAST_PERSON_PX = 24  # the longer side of a box: of smaller people nothing could be told
COARSE_PX, FINE_PX = 256, 640  # longer side of what MoveNet sees
BODY_POINTS, CLEAREST = 33, 8  # of BlazePose's points those of the body; how many of them speak for a person
LESS_CLEAR = 0.05  # clarity that a better aligned look may lose
CLEAR = 0.8  # clarity of somebody whose square is good enough
DIM, CLEARER = 0.6, 0.1  # clarity of somebody who is worth another way up, and what that has to gain
POINTS_ROOM = 1.1  # for crown and toes beyond the points
MOST_TILES = 12  # of a panorama
BOX_MARGIN, LEAST_IN_BOX, SAME_IOU = 1.25, 0.1, 0.3  # looking for the person of a given box
POINT = {name: i for i, name in enumerate(POSE_POINTS)}
TORSO = [POINT[f"{side}_{joint}"] for joint in ("shoulder", "hip") for side in ("left", "right")]
SHOULDERS, HIPS = (
    [MOVENET_POINTS.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("shoulder", "hip")
)


@dataclass(frozen=True)
class Candidates(Rows):
    """Perhaps people: scores "N", boxes "N 4", points "N 17 2" in the order of MOVENET_POINTS, photo pixels."""

    scores: Float[Tensor, "N"]
    boxes: Float[Tensor, "N 4"]
    points_px: Float[Tensor, "N 17 2"]

    def squares(self) -> Squares:
        """The crops BlazePose expects: about the hips, 1.25 times the circle that holds the body, the head up."""
        hips = self.points_px[:, HIPS].mean(1)
        up = self.points_px[:, SHOULDERS].mean(1) - hips
        reach = POINTS_ROOM * (self.points_px - hips[:, None]).norm(dim=-1).amax(1, keepdim=True)
        top = hips + reach * up / up.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        return upright_squares(hips, top, margin=1.25)


@dataclass(frozen=True)
class Looks(Rows):
    """Where BlazePose looked at people, and what it saw: the body network goes on from it.

    crops     upright, about the hips, as large as the whole person
    seen      BlazePose's answer
    presence  "N", of `seen`, or of an earlier look if that was surer
    """

    crops: Crops
    seen: PoseFeatures
    presence: Float[Tensor, "N"]

    @property
    def points_px(self) -> Float[Tensor, "N 39 2"]:
        """BlazePose's points in the photo."""
        return self.crops.photo_from_unit(self.seen.landmarks[..., :2] * 2 - 1)

    @property
    def heat(self) -> Float[Tensor, "N 39"]:
        """What the heat maps say of each point."""
        return borne_out(self.seen.landmarks, self.seen.heatmaps)

    @property
    def clarity(self) -> Float[Tensor, "N"]:
        """How well do the heat maps bear out the landmarks: mean probability of the clearest body points.

        Landmarks and presence are read from a global code and describe a plausible person even on a chair or a shrub;
        the heat maps look locally and stay dim there (median 0.46 in photos without people, 0.89 on people).
        """
        return self.heat[:, :BODY_POINTS].topk(CLEAREST, dim=1).values.mean(1)


@dataclass(frozen=True)
class PersonBoxes(Rows):
    """Found people, best first: boxes "N 4" x0 y0 x1 y1 photo pixels, inside the photo; scores "N" in [0, 1].

    looks: the squares about the hips, turned upright, as large as the whole person, also where the photo cuts it off,
    and what BlazePose saw in them.
    """

    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, "N"]
    looks: Looks


class PersonNet(nn.Module):
    """MoveNet finds people in the photo, small first, then large; BlazePose looks at every find and has to agree.

    Args:
        movenet, pose: the two networks, torch's or ONNX Runtime's.
        least_clarity, least_presence: what BlazePose has to say of a find (see `clarity`); it denies the presence of
            people half hidden, so hardly any is asked for.
    """

    def __init__(
        self, movenet: nn.Module, pose: nn.Module, *, least_clarity: float = 0.5, least_presence: float = 0.1
    ) -> None:
        super().__init__()
        self.movenet, self.pose = movenet, pose
        self.least_clarity, self.least_presence = least_clarity, least_presence

    @classmethod
    def load(cls, movenet: Path | None = None, engine: Engine = "onnx", pose: nn.Module | None = None) -> "PersonNet":
        """With the shipped weights, or MoveNet's of the file given. Raises WeightsError.

        `pose`: BlazePose with its shipped weights, where it is loaded already.
        """
        networks: list[nn.Module] = [MoveNet.load(movenet), BlazePose.load() if pose is None else pose]
        if engine == "onnx":
            networks = [net if isinstance(net, OnnxNetwork) else OnnxNetwork(net) for net in networks]
        return cls(*networks)

    @torch.no_grad()
    def forward(self, photo: UInt8[Tensor, "3 H W"], threshold: float = 0.35) -> PersonBoxes:
        """People whose score (of `Finds`) reaches `threshold`; nobody is an empty result.

        The photo is looked at once more in higher resolution, unless the first look shows exactly one person, who
        fills most of it: a small second person is missed then.
        """
        height, width = photo.shape[1:]
        if min(height, width) < LEAST_SIDE_PX:
            nowhere = square_tiles(width, height)[:0]
            return PersonBoxes(torch.zeros(0, 4), torch.zeros(0), self._look(photo, nowhere))
        found = search(self.movenet, photo, COARSE_PX, threshold)
        looks = self._look_twice(photo, found)
        people = self._agreed(found, looks, width, height)
        if fills_photo(people.boxes, people.scores, width, height):
            return people
        both = join([found, search(self.movenet, photo, FINE_PX, threshold)])
        index = distinct(both.boxes, both.scores)
        old, new = [i for i in index if i < len(found)], [i for i in index if i >= len(found)]
        looks = join([looks[old], self._look_twice(photo, both[new])])
        return self._agreed(both[old + new], looks, width, height)

    @torch.no_grad()
    def better_looks(self, photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "P 4"], squares: Squares) -> Looks:
        """People whose boxes are known, in `squares`, or in MoveNet's where those show the person more clearly.

        Only people who are not seen clearly in their squares are looked for: upside down, bent, or one of several;
        those who stay dim also with the photo turned by quarters, because MoveNet knows people who stand.
        """
        looks = self._look(photo, squares)
        for quarter in range(4):
            clarity = looks.clarity
            least = clarity + CLEARER if quarter else clarity
            rows, lists = [], []
            for i in (clarity < (DIM if quarter else CLEAR)).nonzero()[:, 0].tolist():
                found = self._in_box(photo, boxes[i : i + 1], quarter)
                if len(found):
                    rows.append(i)
                    lists.append(found)
            if not rows:
                continue
            others = self._look_twice(photo, join(lists))
            better = (others.clarity > least[rows]) & (others.clarity >= (DIM if quarter else 0))
            looks = put(looks, torch.tensor(rows)[better], others[better])
        return looks

    def _in_box(self, photo: Tensor, box: Float[Tensor, "1 4"], quarter: int) -> Candidates:
        """The person MoveNet finds in a box, if any, when the photo is turned by so many quarters."""
        upright = squares_around(box, BOX_MARGIN)
        about = replace(upright, angle_rad=upright.angle_rad + quarter * torch.pi / 2)
        finds = decode(self.movenet(crop(photo, about, COARSE_PX).pixels), 0, LEAST_IN_BOX)
        found = candidates(finds, about, COARSE_PX, photo.shape[2], photo.shape[1])
        overlap = iou(box, found.boxes)[0]
        return found[[int(overlap.argmax())]] if len(found) and overlap.max() >= SAME_IOU else found[:0]

    def _look_twice(self, photo: Tensor, found: Candidates) -> Looks:
        """BlazePose on each candidate, then in the crop that its landmarks suggest: that counts, unless less clear."""
        first = self._look(photo, found.squares())
        center, top = (first.points_px[:, POINT[f"body_{name}"]] for name in ("center", "top"))
        second = self._look(photo, upright_squares(center, top, margin=1.25))
        better = choose(second.clarity >= first.clarity - LESS_CLEAR, second, first)
        return replace(better, presence=torch.maximum(first.presence, second.presence))

    def _look(self, photo: Tensor, squares: Squares) -> Looks:
        """BlazePose on the given squares."""
        crops = crop(photo, squares, blaze_pose.CROP_SIZE)
        seen = self.pose(crops.pixels)
        return Looks(crops, seen, seen.presence)

    def _agreed(self, found: Candidates, looks: Looks, width: int, height: int) -> PersonBoxes:
        """One box for each candidate that is a person by both accounts and not one already counted."""
        agreed = (looks.clarity >= self.least_clarity) & (looks.presence >= self.least_presence)
        found, looks = found[agreed], looks[agreed]
        index = distinct(found.boxes, found.scores, looks.points_px[:, TORSO])
        boxes = inside_photo(stretched(found.boxes, looks), width, height)
        return PersonBoxes(boxes[index], found.scores[index], looks[index])


def search(movenet: nn.Module, photo: UInt8[Tensor, "3 H W"], size: int, threshold: float) -> Candidates:
    """What MoveNet finds when the longer side of the photo has `size` pixels, or twice its own; each person once."""
    height, width = photo.shape[1:]
    tiles = square_tiles(width, height)
    size = min(size, GRANULE * math.ceil(2 * float(tiles.size_px[0]) / GRANULE))
    scale = float(tiles.size_px[0]) / size
    # below or beside the photo a square is black: not shown to the network
    shown = [GRANULE * math.ceil(min(side / scale, size) / GRANULE) for side in (height, width)]
    maps = movenet(crop(photo, tiles, size).pixels[:, :, : shown[0], : shown[1]])
    finds = [decode(maps, i, threshold) for i in range(len(tiles))]
    found = join([candidates(some, tiles[i : i + 1], size, width, height) for i, some in enumerate(finds)])
    return found[distinct(found.boxes, found.scores)]


def candidates(finds: Finds, square: Squares, size: int, width: int, height: int) -> Candidates:
    """MoveNet's finds in a piece of the photo, as candidates in photo pixels.

    square: the piece, as it was shown with `size` pixels a side, upright or turned by quarters; width, height of the
    photo, at whose edges boxes end.
    """

    def in_photo(points: Float[Tensor, "N K 2"]) -> Float[Tensor, "N K 2"]:
        unit = points * (2 / size) - 1
        return square.photo_from_unit(unit.flatten(0, 1)[None])[0].unflatten(0, unit.shape[:2])

    points, corners = in_photo(finds.points), in_photo(finds.boxes.unflatten(1, (2, 2)))
    boxes = inside_photo(bounds_of(corners), width, height)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = (sides.amax(1) >= min(LEAST_PERSON_PX, width, height)) & (sides.amin(1) >= 1)
    return Candidates(finds.scores, boxes, points)[large]


def inside_photo(boxes: Float[Tensor, "N 4"], width: int, height: int) -> Float[Tensor, "N 4"]:
    """Boxes cut at the photo's edges."""
    return boxes.clamp_min(0).minimum(boxes.new_tensor([width, height] * 2))


def stretched(boxes: Float[Tensor, "N 4"], looks: Looks, least_heat: float = 0.5) -> Float[Tensor, "N 4"]:
    """Boxes that reach to all points that BlazePose's heat maps bear out: MoveNet's sometimes end at the knees."""
    points, sure = looks.points_px[:, :BODY_POINTS], (looks.heat[:, :BODY_POINTS] > least_heat)[..., None]
    low = points.masked_fill(~sure, torch.inf).amin(1)
    high = points.masked_fill(~sure, -torch.inf).amax(1)
    return torch.cat([torch.minimum(boxes[:, :2], low), torch.maximum(boxes[:, 2:], high)], -1)


def square_tiles(width: int, height: int, overlap: float = 0.3) -> Squares:
    """Squares from the top left corner that cover the photo: one, or several that overlap in photos longer than 2:1.

    In strips that would need more than MOST_TILES of them they are larger: who is small there is not found.
    """
    longer = max(width, height)
    least = longer / (1 + (MOST_TILES - 1) * (1 - overlap))
    side = float(min(longer, max(2 * min(width, height), least)))
    xs, ys = (_tile_starts(length, side, overlap) for length in (width, height))
    centers = torch.tensor([(x + side / 2, y + side / 2) for y in ys for x in xs])
    return Squares(centers, torch.full((len(centers),), side), torch.zeros(len(centers)))


def _tile_starts(length: int, side: float, overlap: float) -> list[float]:
    steps = max(0, math.ceil((length - side) / (side * (1 - overlap))))
    return [(length - side) * i / steps if steps else 0.0 for i in range(steps + 1)]


def fills_photo(
    boxes: Float[Tensor, "N 4"],
    scores: Float[Tensor, "N"],
    width: int,
    height: int,
    extent: float = 0.6,
    score: float = 0.5,
) -> bool:
    """Is there exactly one person, clearly seen, as high or as wide as most of the photo?"""
    if len(boxes) != 1:
        return False
    share = (boxes[0, 2:] - boxes[0, :2]) / boxes.new_tensor([width, height])
    return bool(share.max() >= extent) and bool(scores[0] >= score)


def torso_size(torsos: Float[Tensor, "N 4 2"]) -> Float[Tensor, "N"]:
    """Length from shoulders to hips or width of the shoulders, whichever looks longer; order of TORSO."""
    length = (torsos[:, :2].mean(1) - torsos[:, 2:].mean(1)).norm(dim=-1)
    return torch.maximum(length, (torsos[:, 0] - torsos[:, 1]).norm(dim=-1))


def distinct(
    boxes: Float[Tensor, "N 4"],
    scores: Float[Tensor, "N"],
    torsos: Float[Tensor, "N 4 2"] | None = None,
    max_iou: float = 0.7,
) -> list[int]:
    """Indices of different people, best first.

    Dropped: boxes that overlap a better one by more than `max_iou`, clearly weaker finds inside a better one's box (its
    upper body, limbs taken for small people), and torsos that lie on a better one, where torsos are known.
    """
    same = (iou(boxes, boxes) > max_iou) | ((share_inside(boxes, boxes) > 0.8) & (scores[:, None] < 0.8 * scores))
    if torsos is not None:
        size = torso_size(torsos)
        apart = (torsos[:, None] - torsos[None]).norm(dim=-1).mean(-1) / torch.minimum(size[:, None], size[None])
        same |= apart < 0.5
    return _first_of_each(same, scores)


def _first_of_each(same: Bool[Tensor, "N N"], scores: Float[Tensor, "N"]) -> list[int]:
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if not bool(same[i, kept].any()):
            kept.append(i)
    return kept
