"""What does writing a photo's results cost, by kind of file? Processor seconds of one thread, beside the estimate.

    python bench/writing.py [PHOTO ...] [--runs 9] [--out bench/writing.json]

The baseline is the estimate of the same photo in the same run, turn by turn; the ratio says how much of it each kind of
file takes alone (overlay and sheet share their light, so all together cost less than the sum).
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from limner.estimator import Estimator
from limner.io.image import read_photo
from limner.networks.weights import weights_folder
from limner.pipeline.result_names import FILES
from limner.pipeline.results import save_results

PHOTOS = sorted((weights_folder().parent / "photos").glob("*.jpg"))
BASELINE, ALL = "the estimate", "all files"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    estimator = Estimator.load()
    kinds = {ALL: tuple(FILES)} | {kind: (kind,) for kind in FILES}
    rows = []
    for path in options.photos:
        photo = read_photo(path)
        people = estimator(photo)
        times: dict[str, list[float]] = {name: [] for name in (BASELINE, *kinds)}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.runs):  # turn by turn: the machine's speed drifts
                start = time.process_time()
                estimator(photo)
                times[BASELINE].append(time.process_time() - start)
                for name, files in kinds.items():
                    start = time.process_time()
                    save_results(people, photo, estimator.body_model, Path(folder) / path.stem, files=files)
                    times[name].append(time.process_time() - start)
        seconds = {name: statistics.median(values) for name, values in times.items()}
        rows.append({"photo": path.name, "size_px": [photo.width, photo.height], "people": len(people)} | seconds)
        print(f"{path.name}: {photo.width} x {photo.height} px, {len(people)} people")
        for name, median in seconds.items():
            print(f"  {name:14s} {median:6.3f} s  {median / seconds[BASELINE]:5.2f} x the estimate", flush=True)
    options.out.write_text(json.dumps({"runs": options.runs, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
