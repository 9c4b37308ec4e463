"""How long does a folder of photos take on all cores, and does the memory grow with the folder?

    python bench/folder.py [--photos 200] [--source FOLDER] [--busy]      time: needs free cores, minutes
    python bench/folder.py --memory 3000                                  memory, on Linux

Time: `limner estimate` on a folder of so many photos (those of the source, again and again), once as one process of one
thread and once as it comes: one process a core. Prints wall seconds and their ratio; `--busy`: and beside a busy loop
on each core. Memory: a folder of small crops (64 x 48 px) of the source's photos, mostly without people; prints the
resident memory of the process that was started, and of its workers together, after each tenth of the photos but the
last. Writes bench/folder.json, what it measured beside what is there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SHIPPED = Path(__file__).parents[1] / "src" / "limner" / "assets" / "photos"
RECORD = Path(__file__).with_suffix(".json")
LIMNER = [sys.executable, "-c", "from limner.cli import main; main()"]
SMALL = 64, 48


def source_photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".jpeg", ".png"))


def started(photos: Path, out: Path, *options: str, **variables: str) -> subprocess.Popen[bytes]:
    command = [*LIMNER, "estimate", str(photos), "--out", str(out), *options]
    return subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)


def seconds(photos: Path, out: Path, *options: str, **variables: str) -> float:
    start = time.perf_counter()
    assert started(photos, out, *options, **variables).wait() == 0
    return time.perf_counter() - start


def measure_time(folder: Path, count: int, source: list[Path], busy: bool) -> dict[str, float]:
    photos = folder / "photos"
    photos.mkdir()
    for k in range(count):
        (photos / f"{k:04d}{source[k % len(source)].suffix}").symlink_to(source[k % len(source)].resolve())
    found = {"one process of one thread": seconds(photos, folder / "one", "--workers", "1", OMP_NUM_THREADS="1")}
    found["one process a core"] = seconds(photos, folder / "all")
    if busy:
        cores = len(os.sched_getaffinity(0))
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
        found["beside a busy loop on each core"] = seconds(photos, folder / "busy")
        for loop in loops:
            loop.kill()
            loop.wait()
    for name, wall in found.items():
        print(f"{name:32} {wall:7.1f} s, {found['one process of one thread'] / wall:.2f} x as fast as the first")
    return {"photos": count, **found}


def resident_mb(pid: int) -> float:
    """0 where the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def children(pid: int) -> list[int]:
    try:
        return [int(k) for k in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    except OSError:
        return []


def measure_memory(folder: Path, count: int, source: list[Path]) -> dict[str, object]:
    photos, out = folder / "photos", folder / "out"
    photos.mkdir()
    random = np.random.default_rng(0)
    opened = [Image.open(path).convert("RGB") for path in source]
    for k in range(count):
        photo = opened[k % len(opened)]
        x, y = (int(random.integers(0, side - own)) for side, own in zip(photo.size, SMALL, strict=True))
        photo.crop((x, y, x + SMALL[0], y + SMALL[1])).save(photos / f"{k:05d}.png")
    process, rows, outcomes = started(photos, out, "--workers", "2"), [], out / "outcomes.jsonl"
    while process.poll() is None:
        time.sleep(0.2)
        done = outcomes.read_bytes().count(b"\n") if outcomes.exists() else 0
        workers = [resident_mb(pid) for pid in children(process.pid)]
        if len(rows) < 9 and done >= (len(rows) + 1) * count // 10:
            own, theirs = round(resident_mb(process.pid)), round(sum(workers))
            rows.append({"photos": done, "started_mb": own, "workers_mb": theirs})
            print(f"{done:6d} photos: {own:5d} MB, workers {theirs:5d} MB")
    assert process.returncode == 0
    return {"count": count, "workers": 2, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--source", type=Path, default=SHIPPED)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--memory", type=int)
    options = parser.parse_args()
    source = source_photos(options.source)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        if options.memory:
            record["memory"] = measure_memory(Path(folder), options.memory, source)
        else:
            record["seconds"] = measure_time(Path(folder), options.photos, source, options.busy)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
