"""Training of the detector for one's own cameras: MoveNet's decoder and heads learn on, its backbone stays."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Generator, Tensor, nn

from limner.data.labelled_photos import LabelledPhoto, read_labelled_photos
from limner.errors import DataSetError, LimnerError, PhotoError
from limner.geometry.box import iou, share_inside
from limner.geometry.warp import Frames
from limner.io.atomic import atomic_write
from limner.networks.detector import COARSE_PX, FINE_PX, Candidates, distinct, search
from limner.networks.movenet import MoveNet
from limner.networks.shipped import digest
from limner.networks.weights import MOVENET_FILE
from limner.records import join
from limner.train.center_maps import CenterWeights, center_loss, targets_of
from limner.train.checkpoint import append_row, read_log
from limner.train.detector_photos import CutOptions, KeptPhoto, draw_batch, keep_photo
from limner.train.relative import RelativeAdamW
from limner.train.steps import Progress, StepOptions, train_steps

HEADS = ("center", "size", "offset", "heat", "points")
DECODER = ("reduce", "lateral", "merge")
MOST_SEEN = 48  # photos looked at whenever people are counted: 0.3 s each
LEAST_SCORE, NEARLY_BEST = 0.1, 0.005  # detections that are counted when scores are levelled; share of F1 that is noise
CLEAR_HEAT = 0.7  # mean heat of the clearest points of somebody who is about as clear as the threshold asks
LICENCE = "Apache-2.0, Copyright Google LLC; changed by training on the photos named, whose licences may go with it"


@dataclass(frozen=True)
class DetectorOptions(StepOptions):
    """Numbers of one run.

    size: pixels a side of what the network sees in a step. learning_rate: relative (`RelativeAdamW`). backbone: train
    it as well. held_out: share of the photos (of their groups) that is never trained on. sizes_px, threshold: longer
    sides and least score at which held-out people are looked for, as the detector does.
    """

    batch_size: int = 8
    save_every: int = 50
    size: int = 256
    backbone: bool = False
    held_out: float = 0.15
    sizes_px: tuple[int, ...] = (COARSE_PX, FINE_PX)
    threshold: float = 0.35
    cut: CutOptions = CutOptions()
    weights: CenterWeights = CenterWeights()


def train_detector(
    evidence: Path,
    folder: Path,
    options: DetectorOptions,
    start: Path | None = None,
    progress: Progress | None = None,
    complain: Callable[[str], None] = lambda text: None,
) -> dict[str, float]:
    """Train on the photos of `evidence` (see `read_labelled_photos`) from the shipped weights, or those of `start`.

    Writes movenet.safetensors, detector_checkpoint.pt to go on from and detector_log.csv (row 0: before the first step;
    the last: scores levelled) to `folder`. On a CPU the same seed gives the same weights, in one go or in pieces.
    `complain` hears of photos that cannot be used. Returns held-out numbers in %, as they were before and as they are.
    Raises DataSetError.
    """
    if start is not None and start.resolve() == (folder / MOVENET_FILE).resolve():
        raise LimnerError(
            f"{start} is both the start and the result: a run that is cut off could not go on. Give another --out."
        )
    folder.mkdir(parents=True, exist_ok=True)
    training, held_out = read_split(evidence, options.held_out, complain)
    movenet = MoveNet.load(start)
    trained = trained_parts(movenet, options.backbone)
    optimiser = RelativeAdamW(trained.parameters(), options.learning_rate, options.weight_decay)

    def loss_of(generator: Generator) -> tuple[Tensor, dict[str, float]]:
        pixels, labels = draw_batch(training, options.batch_size, options.size, options.cut, generator)
        return center_loss(movenet(pixels), targets_of(labels, options.size, options.size), options.weights)

    def judge() -> dict[str, float]:
        return judged(movenet, held_out, options)

    def write() -> None:
        changes = f"{len(training)} photos of {evidence.resolve().name}, {options.steps} steps, seed {options.seed}"
        write_movenet(folder / MOVENET_FILE, movenet, start, changes)

    log = folder / "detector_log.csv"
    if not log.exists():
        with torch.no_grad():
            loss, terms = loss_of(torch.Generator().manual_seed(options.seed))
        append_row(log, {"step": 0.0, "loss": float(loss), **terms, **judge()})
    train_steps(trained, optimiser, options, loss_of, judge, write, folder, "detector", progress)
    level_scores(movenet, training, options)
    write()
    last = read_log(log)[-1]
    levelled = last | {name: float(f"{value:.6g}") for name, value in judge().items()}
    if levelled != last:  # otherwise it has been written before, or nothing had to be levelled
        append_row(log, levelled)
    return _before_and_after(read_log(log))


def _before_and_after(rows: list[dict[str, float]]) -> dict[str, float]:
    """Held-out numbers of the first row and of the last."""
    names = [name for name in rows[0] if name.startswith("held_out")]
    return {f"{name}{when}": row[name] for name in names for when, row in (("_before", rows[0]), ("", rows[-1]))}


def trained_parts(movenet: MoveNet, backbone: bool) -> nn.ModuleDict:
    """What learns: decoder and heads, or everything; the rest is frozen."""
    movenet.requires_grad_(backbone)
    names = [name for name, _ in movenet.named_children() if backbone or name in DECODER + HEADS]
    parts = nn.ModuleDict({name: getattr(movenet, name) for name in names})
    return parts.requires_grad_(True)


def read_split(
    evidence: Path, share: float, complain: Callable[[str], None] = lambda text: None
) -> tuple[list[KeptPhoto], list[KeptPhoto]]:
    """Photos to learn from and photos held out: photos of a group stay together, and the choice depends on names only.

    Photos that cannot be read are named to `complain` and left out. Raises DataSetError if none can be read, or one
    of the two parts has nobody.
    """
    photos = read_labelled_photos(evidence)
    groups = sorted({photo.group for photo in photos}, key=lambda name: hashlib.sha256(name.encode()).digest())
    apart = set(groups[: max(1, round(share * len(groups)))])
    kept: list[KeptPhoto] = []
    wrong: list[str] = []
    for photo in photos:
        try:
            kept.append(keep_photo(photo))
        except PhotoError as error:
            wrong.append(str(error))
    if not kept:
        raise DataSetError(
            f"{evidence}: none of the {len(photos)} photos that are listed can be used; the first: {wrong[0]}"
        )
    for text in wrong:
        complain(text)
    training = [photo for photo in kept if photo.labels.group not in apart]
    held_out = [photo for photo in kept if photo.labels.group in apart]
    for what, chosen in (("to learn from", training), ("to hold out", held_out)):
        if not any(len(photo.labels.boxes) for photo in chosen):
            raise DataSetError(
                f"{evidence}: of {len(photos)} photos ({len(kept)} readable, {len(groups)} groups) {len(chosen)} are "
                f"{what}, none with a person: expected people in both. Label more photos."
            )
    return training, held_out


@torch.no_grad()
def judged(movenet: MoveNet, photos: Sequence[KeptPhoto], options: DetectorOptions) -> dict[str, float]:
    """MoveNet alone on held-out photos, before BlazePose has its say: percent of the people found (IoU 0.5), of the
    detections that are people, and error of the points of people found in longer sides of their box."""
    movenet.eval()
    hits = people = detections = 0
    errors = []
    for photo in _some(photos):
        found = find_people(movenet, photo, options)
        pairs = matched(found, photo.labels)
        hits, people = hits + len(pairs), people + len(photo.labels.boxes)
        detections += len(pairs) + len(wrong_detections(found, photo.labels, [row for row, _ in pairs]))
        for row, true in pairs:
            box, known = photo.labels.boxes[true], photo.labels.labelled[true]
            off = (found.points_px[row] - photo.labels.points_px[true]).norm(dim=-1)[known]
            errors.append(off / (box[2:] - box[:2]).amax())
    error = torch.cat(errors) if errors else torch.zeros(0)
    return {
        "held_out_found": 100 * hits / max(1, people),
        "held_out_right": 100 * hits / max(1, detections),
        "held_out_points": 100 * float(error.mean()) if len(error) else 100.0,
    }


@torch.no_grad()
def level_scores(movenet: MoveNet, photos: Sequence[KeptPhoto], options: DetectorOptions) -> float:
    """Shift the centres' logits so that the detector's threshold is a good one for these photos; returns the shift.

    Training on hard photos makes the network careful: it ranks detections better, but all scores sink (measured: people
    found at a threshold of 0.35 fell from 79 to 73 %, at the same precision they rose). Good is where F1 is largest.
    """
    movenet.eval()
    right, wrong, people = [], [], 0
    for photo in _some(photos):
        found = find_people(movenet, photo, replace(options, threshold=LEAST_SCORE))
        hits = [row for row, _ in matched(found, photo.labels)]
        right.append(found.scores[hits])
        wrong.append(found.scores[wrong_detections(found, photo.labels, hits)])
        people += len(photo.labels.boxes)
    levels = torch.arange(LEAST_SCORE, 0.8, 0.01)
    reached, mistakes = ((torch.cat(scores) >= levels[:, None]).sum(1) for scores in (right, wrong))
    f1 = 2 * reached / (reached + mistakes + people)
    good = levels[f1 >= f1.amax() - NEARLY_BEST]
    best = good[(good - options.threshold).abs().argmin()]
    at_threshold, at_best = (
        (torch.as_tensor(level) ** 2 / CLEAR_HEAT).logit() for level in (options.threshold, best.clamp_max(0.8))
    )
    shift = float(at_threshold - at_best) if float(f1.amax()) > 0 else 0.0
    last = movenet.center[1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    last.bias += shift
    return shift


def _some(photos: Sequence[KeptPhoto]) -> Sequence[KeptPhoto]:
    """At most MOST_SEEN, evenly from all."""
    return photos[:: -(-len(photos) // MOST_SEEN)]


def find_people(movenet: MoveNet, photo: KeptPhoto, options: DetectorOptions) -> Candidates:
    """Everybody MoveNet sees in a photo, small and large, best first."""
    frames = Frames((photo.pixels(),))
    found = join([search(movenet, frames, [0], size, options.threshold) for size in options.sizes_px])
    return found[distinct(found.frame, found.boxes, found.scores)]


def matched(found: Candidates, labels: LabelledPhoto, least_iou: float = 0.5) -> list[tuple[int, int]]:
    """Which detection is which person, greedily, best detections first."""
    overlap = iou(found.boxes, labels.boxes)
    pairs = []
    for row in range(len(found) if len(labels.boxes) else 0):
        true = int(overlap[row].argmax())
        if float(overlap[row, true]) >= least_iou:
            pairs.append((row, true))
            overlap[:, true] = 0.0
    return pairs


def wrong_detections(found: Candidates, labels: LabelledPhoto, hits: list[int]) -> list[int]:
    """Which detections are of nobody: those mostly inside a region that does not count are not held against anyone."""
    rows = [row for row in range(len(found)) if row not in hits]
    others = found.boxes[rows]
    if not len(labels.ignored):
        return rows
    covered = share_inside(others, labels.ignored).amax(1)
    return [row for row, share in zip(rows, covered.tolist(), strict=True) if share < 0.5]


def write_movenet(path: Path, movenet: MoveNet, start: Path | None, changes: str) -> None:
    """The weights as float16, with a hash of the tensors and where they come from. Raises OutputError."""
    tensors = {name: value.half().contiguous() for name, value in movenet.state_dict().items()}
    origin = "MoveNet MultiPose Lightning as shipped with limner" if start is None else str(start)
    metadata = {
        "origin": f"{origin}, trained further by limner train detector",
        "licence": LICENCE,
        "tensors_sha256": digest(tensors),
        "changes": changes,
    }
    with atomic_write(path) as file:
        file.write(save(tensors, metadata))
