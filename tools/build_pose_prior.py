"""Build src/limner/assets/pose_prior.safetensors: which poses of body and hands are likely?

    python tools/build_pose_prior.py --poses ../shared/data/poses/cmu_poses.npz

Draws people as `limner render crops` does (captured poses of the CMU database, everyday poses, reaching arms, hands;
`limner.synth.sampler`), and fits two mixtures of Gaussians to their rotation vectors by expectation-maximisation: 21
body joints, 15 joints of the right hand. A few CPU minutes. See docs/cards/pose-prior.md.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import roma
import torch
from safetensors.torch import save_file
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.fit.prior import PRIOR_FILE
from limner.geometry.rotation import rotation_to_axis_angle
from limner.synth.sampler import PersonSampler

OUT = Path(__file__).parents[1] / "src" / "limner" / "assets" / PRIOR_FILE
FLOOR_DEG = {"body": 3.0, "hand": 2.5}
"""No direction of a Gaussian is narrower: keypoints say more than a library of finite size."""
ROUNDS, ENOUGH, CHUNK = 40, 0.01, 2000
"""Rounds at most, the gain in log-likelihood that ends them, and people drawn at a time."""


def draw(sampler: PersonSampler, count: int, seed: int) -> BodyParams:
    """So many people, in chunks."""
    generator = torch.Generator().manual_seed(seed)
    parts = [sampler.sample(CHUNK, generator) for _ in range(math.ceil(count / CHUNK))]
    names = BodyParams.__dataclass_fields__
    return BodyParams(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


@dataclass(frozen=True)
class Gaussians:
    """K Gaussians over D numbers: mean "K D", whitening "K D D" (its transpose's product with it is the inverse
    covariance), log_share "K"."""

    mean: Tensor
    whitening: Tensor
    log_share: Tensor

    def score(self, x: Tensor) -> Tensor:
        """Logarithm of share times density for N x D poses, up to a constant: N x K."""
        log_width = -self.whitening.diagonal(dim1=1, dim2=2).log().sum(-1)
        squared = [((x - m) @ w.mT).square().sum(1) for m, w in zip(self.mean, self.whitening, strict=True)]
        return self.log_share - log_width - torch.stack(squared, 1) / 2


def mixture(poses: Tensor, components: int, floor_deg: float, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Expectation-maximisation over the rotation vectors of N x J rotations, from k-means seeds.

    The last tenth of the people is not learned from: it says how well the mixture knows people it has not seen.
    """
    reference = roma.special_procrustes(poses.double().mean(0))
    every = rotation_to_axis_angle(reference.mT @ poses.double()).flatten(1)
    learned = len(every) * 9 // 10
    x = every[:learned]
    label = _kmeans(x, components, torch.Generator().manual_seed(seed))
    share = torch.nn.functional.one_hot(label, components).double()
    floor = math.radians(floor_deg) ** 2 * torch.eye(x.shape[1], dtype=x.dtype)
    likely = -math.inf
    for _ in range(ROUNDS):
        found = _maximised(x, share, floor)
        score = found.score(x)
        before, likely = likely, float(torch.logsumexp(score, 1).mean())
        share = torch.softmax(score, 1)
        if likely - before < ENOUGH:
            break
    unseen = float(torch.logsumexp(found.score(every[learned:]), 1).mean())
    print(f"  {components} Gaussians, mean log-likelihood {likely:.2f}, of people not learned from {unseen:.2f}")
    log_width = -found.whitening.diagonal(dim1=1, dim2=2).log().sum(-1)
    cost = 2 * (log_width - found.log_share)
    half = {"mean": found.mean, "whitening": found.whitening, "reference": reference, "cost": cost - cost.min()}
    return {name: value.half() for name, value in half.items()}, torch.softmax(found.score(every), 1)


def _maximised(x: Tensor, share: Tensor, floor: Tensor) -> Gaussians:
    """Gaussians of people who belong to each to a share "N K"."""
    total = share.sum(0).clamp_min(1.0)
    mean, whitening = [], []
    for k in range(share.shape[1]):
        rows = (share[:, k] > 1e-4).nonzero()[:, 0]
        weight = share[rows, k, None] / total[k]
        middle = (weight * x[rows]).sum(0)
        apart = x[rows] - middle
        covariance = (weight * apart).mT @ apart + floor
        mean.append(middle)
        # U with U U' = inverse covariance: whitening = U'
        whitening.append(torch.linalg.cholesky(torch.linalg.inv(covariance)).mT)
    return Gaussians(torch.stack(mean), torch.stack(whitening), (total / total.sum()).log())


def upright(global_orient: Tensor, share: Tensor) -> dict[str, Tensor]:
    """Which way is up for the pelvis, for each Gaussian of the body: medians, so that handstands do not count."""
    up = -global_orient[:, 1].double()  # the camera's up (0, -1, 0) in the pelvis' axes
    label = share.argmax(1)
    mean, whitening = [], []
    for k in range(share.shape[1]):
        mine = up[label == k]
        middle = mine.median(0).values
        apart = mine - middle
        near = apart[apart.norm(dim=1) <= apart.norm(dim=1).quantile(0.9)]
        covariance = near.mT @ near / len(near) + 0.1**2 * torch.eye(3, dtype=up.dtype)
        mean.append(middle)
        whitening.append(torch.linalg.cholesky(torch.linalg.inv(covariance)).mT)
    return {"up": torch.stack(mean).half(), "up_whitening": torch.stack(whitening).half()}


def _kmeans(x: Tensor, components: int, generator: torch.Generator) -> Tensor:
    centre = x[torch.randperm(len(x), generator=generator)[:components]]
    for _ in range(20):
        label = torch.cdist(x, centre).argmin(1)
        centre = torch.stack([x[label == k].mean(0) if (label == k).any() else centre[k] for k in range(components)])
    return label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--people", type=int, default=40000)
    parser.add_argument("--body", type=int, default=28, help="Gaussians of the body")
    parser.add_argument("--hand", type=int, default=10, help="Gaussians of the hand")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    people = draw(PersonSampler(BodyModel.load(), options.poses), options.people, options.seed)
    arrays: dict[str, Tensor] = {}
    for part, poses, count in (
        ("body", people.body_pose, options.body),
        ("hand", people.right_hand_pose, options.hand),
    ):
        print(part)
        made, share = mixture(poses, count, FLOOR_DEG[part], options.seed)
        if part == "body":
            made |= upright(people.global_orient, share)
        arrays |= {f"{part}.{name}": value.contiguous() for name, value in made.items()}
    save_file(arrays, options.out, {"built_by": "tools/build_pose_prior.py", "people": str(options.people)})
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
