"""How long does a photo take on a busy machine? Alone, beside two busy loops, and with a second limner at work.

    python bench/busy.py [--photo PHOTO] [--runs 15] [--torch-first]

Each measurement is a process of its own with its default threads, as a user has it: it loads limner, estimates the
photo once, then `--runs` times. Prints the median of wall and processor time and the ratio to the time alone, and
writes bench/busy.json. `--torch-first`: torch is imported before limner, which then cannot tell its threads to sleep.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PHOTO = Path(__file__).parents[1] / "src" / "limner" / "assets" / "photos" / "photographer.jpg"
LOOP = "while True: pass"
WORK = """
import sys, time
if sys.argv[3] == "True": import torch
from limner.estimator import Estimator
from limner.io.image import read_photo
photo, estimator = read_photo(sys.argv[1]), Estimator.load()
estimator(photo)
wall, processor = [], []
for _ in range(int(sys.argv[2])):
    start, own = time.perf_counter(), time.process_time()
    estimator(photo)
    wall.append(time.perf_counter() - start)
    processor.append(time.process_time() - own)
print(sorted(wall)[len(wall) // 2], sorted(processor)[len(wall) // 2], flush=True)
"""


def worker(options: argparse.Namespace) -> subprocess.Popen[str]:
    """A limner that measures itself."""
    command = [sys.executable, "-c", WORK, str(options.photo), str(options.runs), str(options.torch_first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measured(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Wall and processor seconds of a photo."""
    out, _ = process.communicate()
    wall, processor = map(float, out.split())
    return wall, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--torch-first", action="store_true")
    options = parser.parse_args()
    rows = {"alone": measured(worker(options))}
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(2)]
    time.sleep(0.5)
    rows["beside two busy loops"] = measured(worker(options))
    for loop in loops:
        loop.kill()
        loop.wait()
    pair = [worker(options), worker(options)]
    both = [measured(one) for one in pair]
    rows["two limners at once"] = max(both)
    for name, (wall, processor) in rows.items():
        ratio = wall / rows["alone"][0]
        print(f"{name:24} {1000 * wall:5.0f} ms, {1000 * processor:5.0f} ms of processor time, {ratio:.2f} x alone")
    record = {"cores": os.cpu_count(), "torch_first": options.torch_first}
    record["seconds"] = {name: {"wall": wall, "processor": processor} for name, (wall, processor) in rows.items()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
