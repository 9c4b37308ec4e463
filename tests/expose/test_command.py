"""The official network through the command line alone, number for number: photos and a box file in, files out.

Checkpoint, golden numbers and tolerances are those of parity/README.md in the shared data.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.cli import main
from limner.expose.demo_file import read_demo_params
from limner.io.keypoint_file import read_keypoints
from limner.io.motion_file import read_params

KEYS = {
    "vertices": ("final.vertices", 2e-4),
    "joints": ("final.joints", 2e-4),
    "joints_px": ("final.joints_in_photo", 5e-2),
    "proj_joints": ("final.joints_in_body_crop", 2e-4),
    "global_orient": ("final.global_orient", 4e-4),
    "body_pose": ("final.body_pose", 4e-4),
    "left_hand_pose": ("final.left_hand_pose", 6e-4),
    "right_hand_pose": ("final.right_hand_pose", 6e-4),
    "jaw_pose": ("final.jaw_pose", 6e-4),
    "betas": ("final.betas", 3e-4),
    "expression": ("final.expression", 1.5e-3),
    "camera_scale": ("camera.scale", 5e-5),
    "camera_translation": ("camera.translation", 5e-5),
    "transl": ("demo.transl", 5e-3),
    "crop_center_px": ("body_crop.center_px", 1e-3),
    "crop_size_px": ("body_crop.size_px", 1e-3),
}
"""Key of the demo's file: golden array and tolerance."""


@pytest.fixture(scope="module")
def download(parity, maker, tmp_path_factory) -> Path:
    """A folder as downloaded: a checkpoint with its keys, latest_checkpoint, a body model that must not win."""
    folder = tmp_path_factory.mktemp("expose") / "data"
    (folder / "checkpoints").mkdir(parents=True)
    with np.load(parity / "calibration_1.npz") as calibration:
        state, body, *_ = maker.build(1, maker.read_keys(parity / "state_dict_keys.txt"), calibration)
    location_tag = torch.serialization.location_tag
    maker.save(maker.as_downloaded(1, state), folder / "checkpoints/model.ckpt", legacy=False, from_gpu=True)
    torch.serialization.location_tag = location_tag  # the maker sets it
    (folder / "checkpoints/latest_checkpoint").write_text("data/checkpoints/model.ckpt\n")
    np.savez(folder / "SMPLX_NEUTRAL.npz", **maker.body_file(body, "1.1", True))
    yield folder
    (folder / "checkpoints/model.ckpt").unlink()


def limner(*words: object) -> None:
    """Run a command line; it must end well."""
    before, sys.argv = sys.argv, ["limner", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
    assert not end.value.code


@pytest.fixture(scope="module")
def results(download, parity, tmp_path_factory) -> Path:
    """What the command line makes of the four photos, in both formats, as one batch."""
    out = tmp_path_factory.mktemp("results")
    where = ["--boxes", parity / "boxes.json", "--body-model", download / "SMPLX_NEUTRAL.npz"]
    limner("expose", parity / "images_1", *where, "--weights", download,
           "--format", "expose", "limner", "--batch", 4, "--out", out)  # fmt: skip
    return out


def params_of(out: Path, number: int) -> Path:
    name = f"image_{number}.png_{number:03d}"
    return out / name / f"{name}_params.npz"


def failures(out: Path, golden: dict[str, np.ndarray], numbers: range) -> list[str]:
    odd = []
    for i in numbers:
        with np.load(params_of(out, i)) as found:
            for key, (name, tolerance) in KEYS.items():
                error = np.abs(found[key].squeeze() - golden[name][i].squeeze()).max()
                odd += [] if error < tolerance else [f"{key} of photo {i}: {error:.1e}, allowed {tolerance:.0e}"]
    return odd


@pytest.fixture(scope="module")
def golden(parity) -> dict[str, np.ndarray]:
    with np.load(parity / "golden_1.npz") as archive:
        return {name: archive[name] for name, _ in KEYS.values()}


@pytest.mark.slow
def test_numbers_of_the_original(results, golden):
    assert failures(results, golden, range(4)) == []


@pytest.mark.slow
def test_converted_weights_and_single_photos_give_the_same(download, parity, golden, tmp_path):
    converted = tmp_path / "expose.safetensors"
    limner("weights", "convert", download / "checkpoints/model.ckpt", converted)
    where = ["--boxes", parity / "boxes.json", "--weights", converted, "--format", "expose"]
    limner("expose", parity / "images_1/image_0.png", *where, "--out", tmp_path / "out")
    assert failures(tmp_path / "out", golden, range(1)) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"image_0.png_000"}
    converted.unlink()


@pytest.mark.slow
def test_both_formats_tell_the_same(results, parity):
    boxes = json.loads((parity / "boxes.json").read_text())["boxes"]
    for i in range(4):
        demo = read_demo_params(params_of(results, i))
        own = read_params(results / f"image_{i}" / "person_0" / "params.npz")
        assert own.body_model == "smplx" and own.extras["box_px"][0].tolist() == pytest.approx(boxes[i], abs=1e-3)
        assert torch.allclose(own.rotations[0], demo.rotations, atol=1e-5)
        assert torch.allclose(own.transl[0], demo.transl.float())
        (photo,) = read_keypoints(results / f"image_{i}" / "keypoints.json").values()
        nose_px = demo.crop.photo_from_unit(demo.proj_joints[None])[0, 55]
        assert torch.allclose(photo.people[0].xy[0], nose_px, atol=0.01)


@pytest.mark.slow
def test_files_of_the_demo(results):
    name = "image_2.png_002"
    assert {path.name for path in (results / name).iterdir()} == {
        f"{name}_params.npz", f"{name}.ply", f"body_{name}.ply", "hd_imgs.png", "hd_overlay.png", "hd_orig_overlay.png",
    }  # fmt: skip
