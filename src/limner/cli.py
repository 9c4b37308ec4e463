"""limner's commands: each is one public function; heavy modules are imported when a command runs."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import LimnerError, shown


def estimate(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    out: Path = Path("out"),
    box: tuple[float, ...] = (),
    keypoints: Path | None = None,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    refine: bool = True,
    boxes: Path | None = None,
    format: tuple[Literal["limner", "expose"], ...] = ("limner",),
    batch: int = 1,
    expose_mode: Literal["official", "clean"] = "official",
    runtime: Literal["torch", "onnx"] = "torch",
    part: Literal["body", "hand", "face"] = "body",
    side: Literal["auto", "left", "right"] = "auto",
    recursive: bool = False,
    resume: bool = False,
) -> int:
    """Estimate everybody in photos: body, hands and face as one mesh.

    Exit codes: 0 all photos went through (also those in which nobody was found), 1 some photo failed (the table says
    why), 2 nothing could start.

    Args:
        photos: photos, or folders of photos.
        out: folder of the results, one folder a photo.
        box: x0 y0 x1 y1 of a person in photo pixels (several: 8, 12, ... numbers) instead of the detector.
        keypoints: keypoint file or folder of limner, OpenPose, COCO(-WholeBody), MMPose, AlphaPose, MediaPipe or
            Ultralytics: people are where their points are.
        weights: `limner`, or a folder with body.safetensors, hand.safetensors, face.safetensors, and with or alone
            movenet.safetensors (`limner train person`); or `expose:PATH` for the official ExPose network: its
            model.ckpt, the folder of the download, or what `weights convert` wrote.
        body_model: your own SMPLX_NEUTRAL.npz or .pkl instead of the embedded body.
        focal_px: focal length in pixels (default: EXIF, else the photo's diagonal).
        refine: move the bodies onto the networks' own 2D points at the end (limner's networks only).
        boxes: JSON file of person boxes by photo, instead of the detector: see docs/official.md.
        format: limner (one folder a photo), expose (the official demo's files, one folder a person), or both.
        batch: photos that go through the networks together.
        expose_mode: official weights: number for number (official), or cut cleaner and put in one camera (clean).
        runtime: official weights: what runs the networks; onnx needs the extra of that name.
        part: hand or face: photos that show no body but one hand, or one face that fills a third of the photo or more
            (smaller ones are often missed: give --box). Of the options --out, --box, --weights, --focal-px, --side and
            --recursive apply.
        side: which hand it is, with `--part hand`; auto goes by its looks.
        recursive: photos in folders below, too; their results lie in folders of the same names.
        resume: keep results in `out` that are whole and of the same photo and options.
    """
    if part != "body":
        from limner.part_photos import estimate_parts

        others = (keypoints, body_model, boxes, format, batch, refine, expose_mode, runtime, resume)
        if others != (None, None, None, ("limner",), 1, True, "official", "torch", False):
            raise LimnerError(
                f"with --part {part} only --out, --box, --weights, --focal-px, --side and --recursive apply."
            )
        return estimate_parts(photos, out, part, side, box, weights, focal_px, recursive)
    if side != "auto":
        raise LimnerError(f"--side {side} is for --part hand, got --part {part}. Leave it out.")
    from limner.batch import estimate_photos
    from limner.expose.estimator import ExposeOptions

    expose = ExposeOptions(expose_mode, runtime)
    return estimate_photos(
        photos,
        out,
        box,
        keypoints,
        weights,
        body_model,
        focal_px,
        refine,
        boxes,
        format,
        batch,
        expose,
        recursive=recursive,
        resume=resume,
    )


def model(body_model: Path | None = None, out: Path = Path("out/body_model.png")) -> int:
    """Print what a body-model file holds and draw it.

    Args:
        body_model: an SMPL-X file; default: the embedded body.
        out: picture of the mean body, its shape directions and expressions.
    """
    from limner.model_report import report_model

    report_model(body_model, out)
    return 0


def evaluate(
    what: Annotated[
        Literal["photos", "synthetic", "ehf", "3dpw", "freihand", "now", "stirling", "agora", "curated"],
        tyro.conf.Positional,
    ],
    path: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path = Path("out/evaluation"),
    weights: str = "limner",
    limit: int | None = None,
    predictions: Path | None = None,
    body_model: Path | None = None,
) -> int:
    """Measure limner, or another system's outputs, on labelled photos, synthetic people or a public benchmark.

    Args:
        what: photos (COCO-WholeBody annotations in sub-folders), synthetic (a folder made by `limner harvest`), or a
            public data set in its published layout (docs/evaluation.md).
        path: the data.
        out: folder for tables, numbers and pictures.
        weights: as for `estimate`; official ones for benchmarks of bodies and hands only.
        limit: at most this many people a set.
        predictions: a file or folder of another system's outputs, scored instead of limner (benchmarks only).
        body_model: your own SMPLX_NEUTRAL.npz; needed where truth or predictions are SMPL-X parameters.
    """
    if what == "photos" or what == "synthetic":
        from limner.evaluate.run import evaluate_photos, evaluate_synthetic

        if predictions is not None or body_model is not None:
            raise LimnerError(f"--predictions and --body-model are for benchmarks, not for {what}: leave them out.")
        (evaluate_photos if what == "photos" else evaluate_synthetic)(path, out, weights, limit)
    else:
        from limner.evaluate.benchmark_run import evaluate_benchmark

        return evaluate_benchmark(what, path, out, weights, limit, predictions, body_model)
    return 0


def harvest(
    out: Path,
    shards: int = 40,
    seed: int = 7,
    poses: Path | None = None,
    hdri: Path | None = None,
    part: Literal["body", "hand", "hands", "face", "all", "person"] = "all",
    crops: bool = False,
    again: Path | None = None,
    depth: Path | None = None,
) -> int:
    """Render synthetic people and keep what the frozen backbones see in them (step 1 of training).

    Args:
        out: folder of the shards; existing ones are kept, so a run that was cut off goes on.
        shards: how many, 128 people each (of `person`: 32 photos each).
        seed: other seeds give other people.
        poses: captured key poses (.npz); without, everyday poses only.
        hdri: folder of panoramas for light and backgrounds; without, plain studios.
        part: only this part of the people; the same seed shows the same people. person: whole photos of nobody, one or
            several people with boxes and points, in COCO's layout, for `train person`.
        crops: keep the pictures as well (2.5 MB a shard and part), to train backbones.
        again: render nobody; look again at the crops kept in this folder.
        depth: depth branch (`limner train depth`) to look with.
    """
    from limner.train.run import run_harvest, run_looks, run_photos

    part = "hand" if part == "hands" else part
    if part == "person":
        if crops or again is not None or depth is not None:
            raise LimnerError("--crops, --again and --depth are for crops of bodies, hands and faces: leave them out.")
        run_photos(out, shards, seed, poses, hdri)
    elif again is not None:
        run_looks(again, out, part, depth)
    else:
        run_harvest(out, shards, seed, poses, hdri, part, crops, depth)
    return 0


def train(
    part: Annotated[Literal["body", "hand", "hands", "face", "all", "person", "depth", "whole"], tyro.conf.Positional],
    /,
    evidence: Path,
    out: Path = Path("runs/limner"),
    poses: Path | None = None,
    preset: Literal["limner", "smoke"] = "limner",
    seed: int = 0,
    backbone: Literal["", "blaze", "blaze_tuned", "compact", "resnet18", "resnet50", "hrnet_w48"] = "",
    init: Literal["frozen", "tuned", "scratch"] = "scratch",
    steps: int | None = None,
    weights: str = "limner",
    real_2d: Path | None = None,
) -> int:
    """Train networks on harvested evidence (step 2 of training); resumes where it stopped.

    Args:
        part: the regressor of one part or of all; depth (BlazePose's branch for depth); whole (all three regressors
            together, through the merge); person (the person finder, on labelled photos; not part of all).
        evidence: folder made by `limner harvest`; for depth and backbones with `--crops`; for person photos in COCO's
            keypoint layout (annotations.json), your own or of `limner harvest --part person`.
        out: folder of weights, checkpoints and logs; usable with `limner estimate --weights`.
        poses: captured key poses (.npz) for the simulated people.
        preset: limner (the shipped weights' recipe) or smoke (a minute, to see that it learns).
        seed: seed of everything random.
        backbone: train this backbone and its regressor on kept crops instead.
        init: of the backbone: as shipped and frozen, tuned from there, or from scratch; of person: frozen unless tuned.
        steps: instead of the preset's (person, depth, whole and backbones).
        weights: where `whole` and `person` start: `limner` or a folder.
        real_2d: real photos with 2D joints, for the body: weights trained with them carry their licence.
    """
    from limner.train import run

    part = "hand" if part == "hands" else part
    if part == "person":
        run.run_person(evidence, weights, out, steps, preset, seed, backbone=init == "tuned")
    elif part == "depth":
        run.run_depth(evidence, out, steps, preset, seed)
    elif part == "whole":
        run.run_whole(evidence, weights, out, steps, preset, seed)
    elif backbone:
        if part == "all":
            raise LimnerError("--backbone trains one part at a time: say body, hand or face instead of all.")
        from limner.train.backbone_run import run_backbone

        run_backbone(part, backbone, init, evidence, out, steps, preset, seed)
    else:
        run.run_training(part, evidence, out, poses, preset, seed, real_2d)
    return 0


def weights(
    action: Annotated[Literal["convert"], tyro.conf.Positional],
    checkpoint: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    /,
    body_model: Path | None = None,
    onnx: bool = False,
) -> int:
    """Convert the official ExPose checkpoint once, for faster loading: see docs/official.md.

    Args:
        action: convert.
        checkpoint: model.ckpt, or the folder of the official download.
        out: the file to write, ending in .safetensors; give it to `estimate --weights expose:FILE`.
        body_model: your SMPLX_NEUTRAL.npz, where the checkpoint lacks something of the body model.
        onnx: also write the networks for `estimate --runtime onnx` (needs the extra `onnx`).
    """
    from limner.expose.load import convert_checkpoint

    written = convert_checkpoint(checkpoint, out, body_model, onnx)
    print(shown(f"{written.resolve()} ({written.stat().st_size / 1e6:.0f} MB): use it with --weights expose:{written}"))
    return 0


def curate(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    out: Path,
    licence: str = "",
    provenance: Path | None = None,
    keypoints: Path | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
    batch: int = 16,
    retry_failed: bool = False,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    vposer: Path | None = None,
    recursive: bool = False,
) -> int:
    """Make a curated set: fit everybody in photos and score the fits, for review. Started again, it goes on.

    Args:
        photos: photos, or folders of photos.
        out: folder of the set.
        licence: licence of the photos, kept with each of them.
        provenance: CSV file with the columns file, licence, source: of each photo by its name.
        keypoints: as for `fit`: what to fit to (default: the networks' points).
        engine: local, or ray: many processes, on the machines of a Ray cluster.
        workers: processes of the ray engine (default: one a core of the cluster).
        batch: photos whose people are fitted together.
        retry_failed: try photos again that failed before.
        weights: as for `estimate`.
        body_model: as for `estimate`.
        focal_px: as for `estimate`.
        vposer: as for `fit`.
        recursive: photos in folders below, too.
    """
    from limner.curate.run import curate as run

    settings = weights, body_model, focal_px, vposer
    return run(
        photos,
        out,
        licence,
        provenance,
        keypoints,
        engine,
        workers,
        batch,
        retry_failed,
        *settings,
        recursive=recursive,
    )


def review(
    folder: Annotated[Path, tyro.conf.Positional],
    /,
    reviewer: str = "",
    port: int = 8765,
    host: str = "127.0.0.1",
    body_model: Path | None = None,
    vposer: Path | None = None,
) -> int:
    """Review a curated set in the browser: accept, reject, move points and fit anew.

    Args:
        folder: the set, made by `limner curate`.
        reviewer: your name; every decision is kept with it.
        port: of the page, http://localhost:PORT.
        host: 0.0.0.0 lets other machines in; they need the token in the address that is printed.
        body_model: where the body of the set lies now, if not where it was.
        vposer: where the VPoser of the set lies now, if not where it was.
    """
    from limner.curate.review import review as serve

    return serve(folder, reviewer, port, host, body_model, vposer)


def curate_export(
    folder: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path,
    include: Literal["accepted", "good"] = "accepted",
    min_quality: float = 0.7,
    layouts: tuple[Literal["shards", "expose", "evidence"], ...] = ("shards", "expose"),
    val_share: float = 0.05,
    body_model: Path | None = None,
) -> int:
    """Write a curated set as a data set: webdataset shards and ExPose's curated_fits layout.

    Args:
        folder: the set.
        out: folder of the data set; must not exist, or be one that was exported before.
        include: who is in it: accepted by a reviewer, or also who is open and of good quality.
        min_quality: what good quality is, 0 to 1.
        layouts: shards (webdataset), expose (curated_fits), evidence (what `limner train` reads).
        val_share: share of the photos that goes into the validation split.
        body_model: where the body of the set lies now, if not where it was.
    """
    from limner.curate.export import export

    return export(folder, out, include, min_quality, layouts, val_share, body_model)


def params(
    path: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    /,
    body_model: Path | None = None,
    focal_px: float | None = None,
) -> int:
    """Convert one person's parameters: the official ExPose demo's file to limner's (and AMASS's), or back.

    Args:
        path: <name>_params.npz of the demo or of `estimate --format expose`, or limner's params.npz.
        out: the file to write, in the other of the two formats.
        body_model: the SMPL-X file that the parameters belong to, for the way to the demo's format.
        focal_px: put the person into a photo's camera of this focal length, for the way from the demo's format.
    """
    from limner.expose.convert_params import convert_params

    print(shown(f"{out}: {convert_params(path, out, body_model, focal_px)}"))
    return 0


def fit(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    /,
    keypoints: Path = Path("keypoints"),
    out: Path = Path("out"),
    start: str = "estimate",
    video: bool = False,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    photo_size: tuple[int, int] | None = None,
    vposer: Path | None = None,
    recursive: bool = False,
) -> int:
    """Fit bodies to given 2D keypoints by optimisation (SMPLify-X), many people at once.

    Args:
        photos: photos, or folders of photos; without, the keypoints alone are fitted.
        keypoints: keypoint file of limner, OpenPose, COCO(-WholeBody), MMPose, AlphaPose, MediaPipe or Ultralytics, or
            a folder of them.
        out: folder of the results, one folder a photo, and fits.json with a verdict and scores for each person.
        start: `estimate` (limner's own), `mean` (typical poses), a folder that limner wrote, or a params.npz.
        video: the photos are frames of one clip, and the n-th person of each file is the same one.
        weights: as for `estimate`.
        body_model: your own SMPLX_NEUTRAL.npz or .pkl instead of the embedded body.
        focal_px: focal length in pixels (default: EXIF, else the photo's diagonal).
        photo_size: width and height of the photos, where neither photos nor keypoint files tell.
        vposer: your own VPoser 2 (its checkpoint, or the folder V02_05) as prior of the body's pose.
        recursive: photos in folders below, too; their results lie in folders of the same names.
    """
    from limner.fit_photos import fit_photos

    given = photos, keypoints, out, start, video, weights, body_model, focal_px, photo_size, vposer
    return fit_photos(*given, recursive=recursive)


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
        tuned: folder of weights from after end-to-end fine-tuning (`train whole`), to compare `weights` with.
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


COMMANDS: dict[str, Callable[..., int]] = {
    "estimate": estimate,
    "fit": fit,
    "model": model,
    "weights": weights,
    "params": params,
    "evaluate": evaluate,
    "experiments": experiments,
    "harvest": harvest,
    "train": train,
    "curate": curate,
    "review": review,
    "curate-export": curate_export,
}


def main() -> None:
    """The `limner` command; user errors end with one clear message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal has no letters for
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="limner", description="One photo in, an expressive 3D person out."
        )
    except LimnerError as error:
        print(f"limner: {shown(str(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
