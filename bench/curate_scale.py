"""Does a curated set of 100,000 photos stay quick? Resuming, the queue, decisions, saving: seconds each.

    python bench/curate_scale.py [--photos 100000]

The rows are as large as real ones (one person a photo) and are put in by one transaction; what is timed afterwards goes
through the same functions as in `limner curate` and `limner review`, each commit synced to disk.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import tyro

from limner.body.model import BodyModel
from limner.curate.records import Judged, Seen, params_tensors, seen_tensors, to_bytes
from limner.curate.store import CuratedSet
from limner.fit.records import FitTargets
from limner.geometry.camera import photo_camera


def one_person() -> tuple[Seen, Judged]:
    """Records of the usual size."""
    params = BodyModel.load().rest(1)
    targets = FitTargets(torch.rand(1, 144, 2), torch.rand(1, 144), photo_camera(640, 480, None, 1), torch.rand(1, 4))
    one = torch.ones(1)
    seen = Seen(params, targets, torch.zeros(1, 144), torch.tensor([[640.0, 480.0]]), one, one)
    scores = {f"score_{k}": torch.rand(1) for k in range(15)}
    return seen, Judged(params, one / 2, ("fitted",), (("cut_off",),), scores)


def fill(curated: CuratedSet, photos: int, seen: Seen, judged: Judged) -> None:
    """So many photos, all but the last hundred finished."""
    curated.add_photos((Path(f"/photos/{k:07d}.jpg"), "CC0", "") for k in range(photos))
    curated.save_seen(1, (640, 480), seen, [bytes(4000)])
    curated.save_fits([(1, 1)], judged)
    blob, fit = to_bytes(seen_tensors(seen)), to_bytes(params_tensors(judged.params))
    rest = range(2, photos - 99)
    with curated._write() as db:
        db.execute("UPDATE photos SET state = 'fitted', sha256 = hex(randomblob(32)) WHERE id <= ?", (photos - 100,))
        db.executemany(
            "INSERT INTO people (id, photo, rank, fitted, quality, verdict, flags, scores) SELECT ?1, ?1, 0, 1, "
            "abs(random()) / 9.3e18, verdict, flags, scores FROM people WHERE id = 1",
            ((k,) for k in rest),
        )
        db.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?)", ((k, blob, fit, bytes(4000)) for k in rest))


def seconds(run: Callable[[int], object], times: int) -> float:
    """Median seconds of a call."""
    taken = []
    for k in range(times):
        start = time.perf_counter()
        run(k)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(photos: int = 100_000) -> None:
    """Fill a set and time what the commands do with it."""
    seen, judged = one_person()
    with tempfile.TemporaryDirectory() as folder:
        curated = CuratedSet.make(Path(folder) / "set")
        fill(curated, photos, seen, judged)
        size = sum(file.stat().st_size for file in curated.folder.iterdir())
        first = photos - 99
        rows = {
            "open the set": seconds(lambda k: CuratedSet.open(curated.folder).close(), 5),
            "list what is left to do": seconds(lambda k: curated.unfinished(), 5),
            "add all photos again": seconds(
                lambda k: curated.add_photos((Path(f"/photos/{n:07d}.jpg"), "", "") for n in range(photos)), 1
            ),
            "save what was seen": seconds(lambda k: curated.save_seen(first + k, (640, 480), seen, [bytes(4000)]), 50),
            "save a fit": seconds(lambda k: curated.save_fits([(first + k, 1)], judged), 50),
            "page of the queue": seconds(lambda k: curated.people("open", "best", 60 * k), 20),
            "next person": seconds(lambda k: curated.next_open("best", "Anna"), 20),
            "a decision": seconds(lambda k: curated.decide(1000 + k, 0, "accepted", "Anna"), 50),
            "counts": seconds(lambda k: curated.counts(), 5),
        }
        print(f"{photos} photos, {size / 1e6:.0f} MB")
        for name, value in rows.items():
            print(f"{name:28s}{1000 * value:10.2f} ms")


if __name__ == "__main__":
    tyro.cli(main)
