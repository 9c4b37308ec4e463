"""How far off is limner on whole people who face the camera (the experiments' test set), with error bars?

    python bench/ehf_like.py --poses cmu_poses.npz --hdri HDRI [--people 120] [--seed 501] [--json bench/ehf_like.json]

Synthetic people as EHF shows them (`limner.experiments.people`): whole in a clear photo of 1024 px, about facing the
camera, hands and face in sight; boxes given. Baseline: the same people as the body network's starting mean pose.
"""

import argparse
import json
from pathlib import Path

import torch

from limner.estimator import Estimator
from limner.experiments.errors import MPJPE, PA_MPJPE, errors_of, truth_of
from limner.experiments.people import Shown, shown_people
from limner.networks.regressor import decode_body
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler

PHOTO_PX = 1024
PARTS = (PA_MPJPE, MPJPE, "PA-V2V all", "PA-V2V body", "hands PA-V2V", "face PA-V2V")


@torch.no_grad()
def measure(estimator: Estimator, person: Shown) -> dict[str, float]:
    """The errors of one person, millimetres (`limner.experiments.errors`)."""
    model = estimator.body_model
    truth = truth_of(model, person.params, person.camera)
    people = estimator(person.photo, person.box)
    errors = errors_of(model, people.params, people.camera, truth)
    mean, _ = decode_body(estimator.networks.body.layout, estimator.networks.body.regressor.mean[None])
    of_mean = errors_of(model, mean.replace(transl=people.params.transl), people.camera, truth)
    return {name: errors[name] for name in PARTS} | {f"{PA_MPJPE}, mean pose": of_mean[PA_MPJPE]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--hdri", type=Path, required=True)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--seed", type=int, default=501)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    estimator = Estimator.load()
    sampler = PersonSampler(estimator.body_model, arguments.poses)
    light = read_panoramas(arguments.hdri, torch.device("cpu"))
    synthetic = SyntheticPeople(estimator.body_model, sampler, light, PHOTO_PX)
    rows: list[dict[str, float]] = []
    for person in shown_people(synthetic, arguments.people, arguments.seed):
        rows.append(measure(estimator, person))
        if len(rows) % 20 == 0:
            print(f"{len(rows)} people: PA-MPJPE body {sum(r['PA-MPJPE body'] for r in rows) / len(rows):.1f} mm")
    result: dict[str, object] = {"people": len(rows), "seed": arguments.seed, "photo_px": PHOTO_PX}
    for name in rows[0]:
        values = torch.tensor([row[name] for row in rows])
        error = float(values.std() / len(values) ** 0.5)
        result[name] = {"mean": round(float(values.mean()), 2), "standard_error": round(error, 2)}
        print(f"{name:26s} {values.mean():6.1f} +- {error:.1f} mm, median {values.median():.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
