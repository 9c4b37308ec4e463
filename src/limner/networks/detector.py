"""The person detector: MoveNet's candidates that BlazePose bears out, in a batch of frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from limner.geometry.box import Squares, bounds_of, iou, share_inside, squares_around, upright_squares
from limner.geometry.warp import Crops, Frames
from limner.networks.blaze import pose as blaze_pose
from limner.networks.blaze.pose import POSE_POINTS, BlazePose, PoseFeatures, borne_out
from limner.networks.movenet import GRANULE, MOVENET_POINTS, MoveNet, Peaks, decode
from limner.networks.onnx import Engine, OnnxNetwork
from limner.networks.part_net import JITTER
from limner.records import Rows, choose, join, put

LEAST_SIDE_PX = 8  # of a photo in which anyone could be seen
LEAST_PERSON_PX = 24  # the longer side of a box: of smaller people nothing could be told
COARSE_PX, FINE_PX = 256, 640  # longer side of what MoveNet sees
BODY_POINTS, CLEAREST = 33, 8  # of BlazePose's points those of the body; how many of them speak for a person
SURE = 0.95  # confidence of somebody who is not looked at again in a crop that is nearly the same
LESS_CLEAR = 0.05  # confidence that a better aligned look may lose
CLEAR = 0.8  # confidence of somebody whose square is good enough
LOW, CLEARER = 0.6, 0.1  # confidence of somebody who is worth another way up, and what that has to gain
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
    """Perhaps people: frame "N", scores "N", boxes "N 4" and points "N 17 2" (MOVENET_POINTS) in its pixels."""

    frame: Int[Tensor, "N"]
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
class PoseObservations(Rows):
    """Where BlazePose looked at people, and what it saw: the body network goes on from it.

    frame     "N" in which of the frames
    crops     upright, about the hips, as large as the whole person
    seen      BlazePose's answer
    presence  "N", of `seen`, or of an earlier look if that was surer
    """

    frame: Int[Tensor, "N"]
    crops: Crops
    seen: PoseFeatures
    presence: Float[Tensor, "N"]

    @property
    def points_px(self) -> Float[Tensor, "N 39 2"]:
        """BlazePose's points in the frame."""
        return self.crops.photo_from_unit(self.seen.landmarks[..., :2] * 2 - 1)

    @property
    def heat(self) -> Float[Tensor, "N 39"]:
        """What the heat maps say of each point."""
        return borne_out(self.seen.landmarks, self.seen.heatmaps)

    @property
    def confidence(self) -> Float[Tensor, "N"]:
        """How well the heat maps bear out the landmarks: mean probability of the clearest body points.

        Landmarks and presence are read from a global code and describe a plausible person even on a chair or a shrub;
        the heat maps look locally and stay dim there (median 0.46 in photos without people, 0.89 on people).
        """
        return self.heat[:, :BODY_POINTS].topk(CLEAREST, dim=1).values.mean(1)


@dataclass(frozen=True)
class Detections(Rows):
    """Found people, frame by frame, best first.

    frame "N"; boxes "N 4" x0 y0 x1 y1 frame pixels, inside the frame; scores "N" in [0, 1]; pose: the squares about the
    hips, turned upright, as large as the whole person, also where the frame cuts it off, and what BlazePose saw there.
    """

    frame: Int[Tensor, "N"]
    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, "N"]
    pose: PoseObservations


class PersonDetector(nn.Module):
    """MoveNet finds people in the frame, small first, then large; BlazePose looks at every candidate and has to agree.

    Args:
        movenet, pose: the two networks, torch's or ONNX Runtime's.
        least_confidence, least_presence: what BlazePose has to say of a candidate (see `PoseObservations`); it denies
            the presence of people half hidden, so hardly any is asked for.
    """

    def __init__(
        self, movenet: nn.Module, pose: nn.Module, *, least_confidence: float = 0.5, least_presence: float = 0.1
    ) -> None:
        super().__init__()
        self.movenet, self.pose = movenet, pose
        self.least_confidence, self.least_presence = least_confidence, least_presence

    @classmethod
    def load(
        cls, movenet: Path | None = None, engine: Engine = "onnx", pose: nn.Module | None = None
    ) -> "PersonDetector":
        """With the shipped weights, or MoveNet's of the file given. Raises WeightsError.

        `pose`: BlazePose with its shipped weights, where it is loaded already.
        """
        networks: list[nn.Module] = [MoveNet.load(movenet), BlazePose.load() if pose is None else pose]
        if engine == "onnx":
            networks = [net if isinstance(net, OnnxNetwork) else OnnxNetwork(net) for net in networks]
        return cls(*networks)

    @torch.no_grad()
    def forward(self, frames: Frames, which: Sequence[int] | None = None, threshold: float = 0.35) -> Detections:
        """People whose score (of `Peaks`) reaches `threshold`; nobody is an empty result. `which` frames: all.

        A frame is searched once more in higher resolution, unless the first search shows exactly one person, who
        fills most of it: a small second person is missed then.
        """
        asked = range(len(frames)) if which is None else which
        large = [i for i in asked if min(frames.pixels[i].shape[1:]) >= LEAST_SIDE_PX]
        found = search(self.movenet, frames, large, COARSE_PX, threshold)
        pose = self._observe_twice(frames, found)
        people = self._agreed(frames, found, pose)
        again = [i for i in large if not fills_frame(people[people.frame == i], frames.size_px[i])]
        if again:
            both = join([found, search(self.movenet, frames, again, FINE_PX, threshold)])
            index = distinct(both.frame, both.boxes, both.scores)
            old, new = [i for i in index if i < len(found)], [i for i in index if i >= len(found)]
            pose = join([pose[old], self._observe_twice(frames, both[new])]) if new else pose[old]
            people = self._agreed(frames, both[old + new], pose)
        return people[people.frame.argsort(stable=True)]

    @torch.no_grad()
    def better_observed(
        self, frames: Frames, frame: Int[Tensor, "P"], boxes: Float[Tensor, "P 4"], squares: Squares
    ) -> PoseObservations:
        """People whose boxes are known, in `squares`, or in MoveNet's where those show the person more clearly.

        Only people who are not seen clearly in their squares are searched for: upside down, bent, or one of several;
        those of low confidence also with the frame turned by quarters, because MoveNet knows people who stand.
        """
        pose = self._observe(frames, frame, squares)
        for quarter in range(4):
            confidence = pose.confidence
            least = confidence + CLEARER if quarter else confidence
            rows, lists = [], []
            for i in (confidence < (LOW if quarter else CLEAR)).nonzero()[:, 0].tolist():
                found = self._in_box(frames, frame[i : i + 1], boxes[i : i + 1], quarter)
                if len(found):
                    rows.append(i)
                    lists.append(found)
            if not rows:
                continue
            others = self._observe_twice(frames, join(lists))
            better = (others.confidence > least[rows]) & (others.confidence >= (LOW if quarter else 0))
            pose = put(pose, torch.tensor(rows, device=better.device)[better], others[better])
        return pose

    def _in_box(self, frames: Frames, frame: Int[Tensor, "1"], box: Float[Tensor, "1 4"], quarter: int) -> Candidates:
        """The person MoveNet finds in a box, if any, when the frame is turned by so many quarters."""
        upright = squares_around(box, BOX_MARGIN)
        about = replace(upright, angle_rad=upright.angle_rad + quarter * torch.pi / 2)
        peaks = decode(self.movenet(frames.crop(frame, about, COARSE_PX).pixels), 0, LEAST_IN_BOX)
        found = candidates(peaks, about, COARSE_PX, frame, frames.size_px[frame])
        overlap = iou(box, found.boxes)[0]
        return found[[int(overlap.argmax())]] if len(found) and overlap.max() >= SAME_IOU else found[:0]

    def _observe_twice(self, frames: Frames, found: Candidates) -> PoseObservations:
        """BlazePose on each candidate, then in the crop that its landmarks suggest: that counts, unless less clear."""
        first = self._observe(frames, found.frame, found.squares())
        center, top = (first.points_px[:, POINT[f"body_{name}"]] for name in ("center", "top"))
        squares = upright_squares(center, top, margin=1.25)
        same = JITTER["body"].holds(squares, first.crops.squares) & (first.confidence >= SURE)
        rows = (~same).nonzero()[:, 0]
        if not len(rows):
            return first
        before, second = first[rows], self._observe(frames, found.frame[rows], squares[rows])
        better = choose(second.confidence >= before.confidence - LESS_CLEAR, second, before)
        return put(first, rows, replace(better, presence=torch.maximum(before.presence, second.presence)))

    def _observe(self, frames: Frames, frame: Int[Tensor, "N"], squares: Squares) -> PoseObservations:
        """BlazePose on the given squares."""
        crops = frames.crop(frame, squares, blaze_pose.CROP_SIZE)
        seen = self.pose(crops.pixels)
        return PoseObservations(frame, crops, seen, seen.presence)

    def _agreed(self, frames: Frames, found: Candidates, pose: PoseObservations) -> Detections:
        """One box for each candidate that is a person by both accounts and not one already counted."""
        agreed = (pose.confidence >= self.least_confidence) & (pose.presence >= self.least_presence)
        found, pose = found[agreed], pose[agreed]
        index = distinct(found.frame, found.boxes, found.scores, pose.points_px[:, TORSO])
        boxes = inside_frame(stretched(found.boxes, pose), frames.size_px[found.frame])
        return Detections(found.frame[index], boxes[index], found.scores[index], pose[index])


def search(movenet: nn.Module, frames: Frames, which: Sequence[int], size: int, threshold: float) -> Candidates:
    """What MoveNet finds when the longer side of a frame has `size` pixels, or twice its own; each person once.

    which: numbers of the frames. Those that MoveNet sees in one size go through it together.
    """
    device = frames.size_px.device
    alike: dict[tuple[int, int, int], list[tuple[int, Squares]]] = {}
    for number in which:
        height, width = frames.pixels[number].shape[1:]
        tiles = square_tiles(width, height, device)
        side = float(tiles.size_px[0])
        own = min(size, GRANULE * math.ceil(2 * side / GRANULE))
        # below or beside the frame a square is black: not shown to the network
        shown_y, shown_x = (GRANULE * math.ceil(min(length * own / side, own) / GRANULE) for length in (height, width))
        alike.setdefault((own, shown_y, shown_x), []).append((number, tiles))
    found = [nowhere(device)]
    for (own, shown_y, shown_x), some in alike.items():
        tiles = join([squares for _, squares in some])
        frame = torch.tensor([number for number, squares in some for _ in range(len(squares))], device=device)
        maps = movenet(frames.crop(frame, tiles, own).pixels[:, :, :shown_y, :shown_x])
        for i in range(len(tiles)):
            row = slice(i, i + 1)
            peaks = decode(maps, i, threshold)
            found.append(candidates(peaks, tiles[row], own, frame[row], frames.size_px[frame[row]]))
    everything = join(found)
    return everything[distinct(everything.frame, everything.boxes, everything.scores)]


def nowhere(device: torch.device) -> Candidates:
    """No candidate."""
    empty = torch.zeros(0, device=device)
    return Candidates(empty.long(), empty, empty.view(0, 4), empty.view(0, 17, 2))


def candidates(
    peaks: Peaks, square: Squares, size: int, frame: Int[Tensor, "1"], size_px: Float[Tensor, "1 2"]
) -> Candidates:
    """MoveNet's peaks in a piece of a frame, as candidates in frame pixels.

    square: the piece, as it was shown with `size` pixels a side, upright or turned by quarters; size_px: width and
    height of the frame, at whose edges boxes end.
    """

    def in_frame(points: Float[Tensor, "N K 2"]) -> Float[Tensor, "N K 2"]:
        unit = points * (2 / size) - 1
        return square.photo_from_unit(unit.flatten(0, 1)[None])[0].unflatten(0, unit.shape[:2])

    points, corners = in_frame(peaks.points), in_frame(peaks.boxes.unflatten(1, (2, 2)))
    boxes = inside_frame(bounds_of(corners), size_px)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = (sides.amax(1) >= size_px.amin().clamp_max(LEAST_PERSON_PX)) & (sides.amin(1) >= 1)
    return Candidates(frame.expand(len(points)), peaks.scores, boxes, points)[large]


def inside_frame(boxes: Float[Tensor, "N 4"], size_px: Float[Tensor, "#N 2"]) -> Float[Tensor, "N 4"]:
    """Boxes cut at the frame's edges."""
    return boxes.clamp_min(0).minimum(size_px.repeat(1, 2))


def stretched(boxes: Float[Tensor, "N 4"], pose: PoseObservations, least_heat: float = 0.5) -> Float[Tensor, "N 4"]:
    """Boxes that reach to all points that BlazePose's heat maps bear out: MoveNet's sometimes end at the knees."""
    points, sure = pose.points_px[:, :BODY_POINTS], (pose.heat[:, :BODY_POINTS] > least_heat)[..., None]
    low = points.masked_fill(~sure, torch.inf).amin(1)
    high = points.masked_fill(~sure, -torch.inf).amax(1)
    return torch.cat([torch.minimum(boxes[:, :2], low), torch.maximum(boxes[:, 2:], high)], -1)


def square_tiles(width: int, height: int, device: torch.device | None = None, overlap: float = 0.3) -> Squares:
    """Squares from the top left corner that cover the photo: one, or several that overlap in photos longer than 2:1.

    In strips that would need more than MOST_TILES of them they are larger: who is small there is not found.
    """
    longer = max(width, height)
    least = longer / (1 + (MOST_TILES - 1) * (1 - overlap))
    side = float(min(longer, max(2 * min(width, height), least)))
    xs, ys = (_tile_starts(length, side, overlap) for length in (width, height))
    centers = torch.tensor([(x + side / 2, y + side / 2) for y in ys for x in xs], device=device)
    return Squares(centers, torch.full_like(centers[:, 0], side), torch.zeros_like(centers[:, 0]))


def _tile_starts(length: int, side: float, overlap: float) -> list[float]:
    steps = max(0, math.ceil((length - side) / (side * (1 - overlap))))
    return [(length - side) * i / steps if steps else 0.0 for i in range(steps + 1)]


def fills_frame(people: Detections, size_px: Float[Tensor, "2"], extent: float = 0.6, score: float = 0.5) -> bool:
    """Is there exactly one person, clearly seen, as high or as wide as most of the frame?"""
    if len(people) != 1:
        return False
    share = (people.boxes[0, 2:] - people.boxes[0, :2]) / size_px
    return bool(share.max() >= extent) and bool(people.scores[0] >= score)


def torso_size(torsos: Float[Tensor, "N 4 2"]) -> Float[Tensor, "N"]:
    """Length from shoulders to hips or width of the shoulders, whichever looks longer; order of TORSO."""
    length = (torsos[:, :2].mean(1) - torsos[:, 2:].mean(1)).norm(dim=-1)
    return torch.maximum(length, (torsos[:, 0] - torsos[:, 1]).norm(dim=-1))


def distinct(
    frame: Int[Tensor, "N"],
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
    return _first_of_each(same & (frame[:, None] == frame), scores)


def _first_of_each(same: Bool[Tensor, "N N"], scores: Float[Tensor, "N"]) -> list[int]:
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if not bool(same[i, kept].any()):
            kept.append(i)
    return kept
