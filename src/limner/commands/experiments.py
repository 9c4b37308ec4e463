"""`limner experiments`: the paper's experiments."""

from pathlib import Path


def experiments(
    out: Path = Path("out/experiments"),
    people: int = 40,
    fits: int = 20,
    seed: int = 2020,
    poses: Path | None = None,
    hdri: Path | None = None,
    photos: Path | None = None,
    photo_limit: int = 60,
    weights: str = "limner",
    tuned: Path | None = None,
    backbones: Path | None = None,
) -> int:
    """Repeat the paper's experiments on synthetic people and labelled photos: see docs/experiments.md.

    Args:
        out: folder of numbers, plots and page; a run that was cut off goes on there.
        people: how many synthetic people.
        fits: how many of them are fitted by optimisation, too (some seconds each).
        seed: other seeds give other people.
        poses: captured key poses (.npz); without, everyday poses only.
        hdri: folder of panoramas for light and backgrounds; without, plain studios.
        photos: labelled photos, as for `evaluate photos`; without, synthetic people only.
        photo_limit: at most this many people of each set of photos.
        weights: as for `estimate`; limner's networks only.
        tuned: folder of weights from after end-to-end fine-tuning (`train joint`), to compare `weights` with.
        backbones: JSON of trained backbones (bench/backbones.json), for the page.
    """
    from limner.experiments.run import Plan, run_experiments

    plan = Plan(
        people,
        fits,
        seed,
        photo_limit=photo_limit,
        poses=poses,
        hdri=hdri,
        photos=photos,
        tuned=tuned,
        backbones=backbones,
    )
    run_experiments(out, plan, weights)
    return 0
