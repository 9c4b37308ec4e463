"""What does a photo cost beside MediaPipe Holistic? Processor seconds of one thread, turns taken in one run.

    python -m venv out/mediapipe && out/mediapipe/bin/pip install mediapipe==0.10.21
    python bench/against_mediapipe.py PHOTO ... --mediapipe out/mediapipe/bin/python [--rounds 15] [--engine onnx]

MediaPipe (static mode, complexity 1; it sees one person) has an environment of its own, as it asks for older packages;
it runs there as a second process and is asked for one photo at a time, so that both meet the same machine. Prints the
median of each photo and the ratio, and writes bench/against_mediapipe.json. MediaPipe's graph has threads of its own:
what counts is the time of its process, all threads together.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SERVER = """
import os, sys, time
import cv2, mediapipe
holistic = mediapipe.solutions.holistic.Holistic(static_image_mode=True, model_complexity=1)
images = {}
for line in sys.stdin:
    path = line.strip()
    if path not in images:
        images[path] = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    start = time.process_time()
    found = holistic.process(images[path]).pose_landmarks is not None
    print("took", time.process_time() - start, int(found), flush=True)
"""


class MediaPipe:
    """Holistic in a process of its own."""

    def __init__(self, python: Path):
        environment = os.environ | {"GLOG_minloglevel": "3", "OMP_NUM_THREADS": "1"}
        command = ["taskset", "-c", "0"] if sys.platform == "linux" else []
        self.process = subprocess.Popen(
            [*command, str(python), "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def __call__(self, photo: Path) -> float:
        """Processor seconds of one photo."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{photo.resolve()}\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("took "):
                return float(line.split()[1])
        raise SystemExit("MediaPipe ended: is the python of --mediapipe the one that has mediapipe==0.10.21?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--mediapipe", type=Path, required=True, help="python of MediaPipe's environment")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--engine", choices=("onnx", "torch"), default="onnx")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    import torch

    from limner.estimator import Estimator
    from limner.io.image import read_photo

    torch.set_num_threads(1)
    rival, estimator = MediaPipe(options.mediapipe), Estimator.load(engine=options.engine)
    rows = []
    for path in options.photos:
        photo = read_photo(path)
        people = len(estimator(photo))
        rival(path)
        ours, theirs = [], []
        for _ in range(options.rounds):
            theirs.append(rival(path))
            start = time.process_time()
            estimator(photo)
            ours.append(time.process_time() - start)
        a, b = statistics.median(ours), statistics.median(theirs)
        size = [photo.width, photo.height]
        rows.append({"photo": path.name, "size_px": size, "people": people, "limner_s": a, "mediapipe_s": b})
        times = f"limner {a:.3f} s, MediaPipe {b:.3f} s: {a / b:.2f} x"
        print(f"{path.name:40} {size[0]} x {size[1]}, {people} people: {times}", flush=True)
    options.out.write_text(json.dumps({"engine": options.engine, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
