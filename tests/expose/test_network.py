"""Number for number against the original ExPose network, stage by stage and end to end.

The numbers, the rule that makes the weights and the tolerances ("use") are those of parity/README.md in the shared
data.
"""

import json
import os
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from limner.body.assets import read_body_assets
from limner.body.params import BodyParams
from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.errors import BoxError, WeightsError
from limner.expose.body_assets import assets_to_arrays, checkpoint_assets
from limner.expose.checkpoint import read_checkpoint
from limner.expose.crops import official_body_crops, official_part_crops
from limner.expose.load import (
    build_network,
    convert_checkpoint,
    folded_network,
    fused_network,
    load_network,
)
from limner.expose.network import (
    DEMO_FOCAL_PX,
    HAND_MARGIN,
    HEAD_MARGIN,
    ExposeNetwork,
    ExposePeople,
    Regression,
)
from limner.geometry.box import Squares, bounds_of, squares_around
from limner.geometry.camera import Camera, WeakCamera, translation_from_weak
from limner.geometry.rotation import mirror_rotation, rotation_from_6d
from limner.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Normalise
from limner.networks.regressor import decode_body

PARTS = ("right_hand", "left_hand", "head")


@pytest.fixture(scope="module")
def golden(parity) -> dict[str, Tensor]:
    with np.load(parity / "golden_1.npz") as archive:
        return {k: torch.from_numpy(archive[k]) for k in archive.files if archive[k].dtype.kind == "f"}


@pytest.fixture(scope="module")
def made(maker, parity) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """State dict and body-model file of seed 1, in memory."""
    with np.load(parity / "calibration_1.npz") as calibration:
        state, body, *_ = maker.build(1, maker.read_keys(parity / "state_dict_keys.txt"), calibration)
    return state, body


@pytest.fixture(scope="module")
def checkpoint(made, maker, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("expose") / "model.ckpt"
    maker.save(made[0], path, legacy=False, from_gpu=False)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def eager(checkpoint) -> ExposeNetwork:
    return build_network(read_checkpoint(checkpoint))


@pytest.fixture(scope="module")
def net(eager) -> ExposeNetwork:
    return fused_network(folded_network(eager))


@pytest.fixture(scope="module")
def photos(parity) -> list[Tensor]:
    files = [parity / name for name in json.loads((parity / "boxes.json").read_text())["images"]]
    return [torch.from_numpy(np.array(Image.open(f).convert("RGB"))).permute(2, 0, 1) for f in files]


@pytest.fixture(scope="module")
def boxes(parity) -> Tensor:
    return torch.tensor(json.loads((parity / "boxes.json").read_text())["boxes"])


def pixels_of(normalised: Tensor) -> Tensor:
    """[0, 1] from what the original's networks were fed."""
    mean, std = (torch.tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    return normalised * std + mean


def off(ours: Tensor, expected: Tensor) -> float:
    """Largest difference; shapes must agree but for axes of length one."""
    return float((ours.double().squeeze() - expected.double().squeeze()).abs().max())


def golden_params(golden: dict[str, Tensor], stage: str) -> BodyParams:
    count = len(golden[f"{stage}.betas"])
    eyes, one = torch.eye(3).expand(count, 3, 3), ("global_orient", "jaw_pose")
    given = {f.name: golden[f"{stage}.{f.name}"] for f in fields(BodyParams) if f"{stage}.{f.name}" in golden}
    given |= {name: given[name][:, 0] for name in one}
    return BodyParams(leye_pose=eyes, reye_pose=eyes, transl=torch.zeros(count, 3), **given)


def golden_squares(golden: dict[str, Tensor], part: str) -> Squares:
    matrix = golden[f"{part}.photo_from_crop"]
    size = matrix[:, 0, 0]
    return Squares(matrix[:, :2, 2] + size[:, None] / 2, size, torch.zeros(len(size)))


# -------------------------------------------------------------------------------- each stage alone, from exact inputs
def test_body_crops(golden, photos, boxes):
    crops = [official_body_crops(p, b[None], 256) for p, b in zip(photos, boxes, strict=True)]
    pixels = Normalise()(torch.cat([c.pixels for c in crops]))
    assert off(pixels[0], golden["body.input_image0"]) < 1e-5
    assert off(pixels[1:, :, ::4, ::4], golden["body.input_every4th"]) < 1e-5
    assert off(torch.cat([c.squares.size_px for c in crops]), golden["body_crop.size_px"]) < 1e-3
    assert off(torch.cat([c.squares.center_px for c in crops]), golden["body_crop.center_px"]) < 1e-3


@pytest.mark.parametrize("part", PARTS)
def test_part_crops(golden, photos, part):
    squares, size = golden_squares(golden, part), 256 if part == "head" else 224
    cuts = [official_part_crops(p, squares[i : i + 1], size, part == "left_hand") for i, p in enumerate(photos)]
    pixels = Normalise()(torch.cat([c.pixels for c in cuts]))
    assert off(pixels[0], golden[f"{part}.input_image0"]) < 2e-3
    assert off(pixels[1:, :, ::4, ::4], golden[f"{part}.input_every4th"]) < 2e-3


@pytest.mark.parametrize("which", ["eager", "net"])
@torch.inference_mode()
def test_backbones(request, which, golden):
    network = request.getfixturevalue(which)
    hands = torch.stack([golden["right_hand.input_image0"], golden["left_hand.input_image0"]])
    assert (
        off(network.body_net.backbone(pixels_of(golden["body.input_image0"])[None]).pooled, golden["body.features"][0])
        < 1e-4
    )
    assert off(network.hand_net.backbone(pixels_of(hands)).pooled, golden["hand.features"][[0, 4]]) < 2e-5
    assert (
        off(network.head_net.backbone(pixels_of(golden["head.input_image0"])[None]).pooled, golden["head.features"][0])
        < 2e-5
    )


@pytest.mark.parametrize("which", ["eager", "net"])
@torch.inference_mode()
def test_regressors(request, which, golden):
    network = request.getfixturevalue(which)
    for name in ("body", "hand", "head"):
        start = () if name == "body" else (golden[f"{name}.condition"],)
        stages = getattr(network, f"{name}_net").regressor(golden[f"{name}.features"], *start)
        assert max(off(stages[i], golden[f"{name}.params_{i + 1}"]) for i in range(3)) < 1e-5


def test_coarse_body(golden, net):
    params, camera = decode_body(net.body_net.layout, golden["body.params_3"])
    for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "betas", "expression"):
        assert off(getattr(params, name), golden[f"coarse.{name}"]) < 1e-5
    assert off(camera.scale, golden["camera.scale"]) < 1e-5
    assert off(camera.translation, golden["camera.translation"]) < 1e-5
    mesh = net.body_model(params)
    assert off(mesh.vertices[:2], golden["coarse.vertices"]) < 1e-5
    for model in (net.body_model, net.keypoint_model):
        assert off(model.keypoints144(model(params), params), golden["coarse.joints"]) < 1e-5


def test_conditions(golden, net):
    params, _ = decode_body(net.body_net.layout, golden["body.params_3"])
    assert off(net.hand_condition(golden["body.params_3"], params), golden["hand.condition"]) < 1e-5
    assert off(net.head_condition(golden["body.params_3"]), golden["head.condition"]) < 1e-5
    parents = [absolute_rotation(params.full_pose(), chain_to_root(f"{s}_wrist")[:-1]) for s in ("right", "left")]
    assert off(torch.cat([parents[0], mirror_rotation(parents[1])]), golden["hand.parent_rotation"]) < 1e-5


def test_merging(golden, net):
    parts = [Regression(golden[f"{n}.features"], (golden[f"{n}.params_3"],)) for n in ("hand", "head")]
    merged = net.merge(golden_params(golden, "coarse"), *parts)
    for f in fields(BodyParams):
        if f"final.{f.name}" in golden:
            assert off(getattr(merged, f.name), golden[f"final.{f.name}"]) < 1e-5, f.name


def test_final_body(golden, net):
    params = golden_params(golden, "final")
    mesh = net.body_model(params)
    assert off(mesh.vertices, golden["final.vertices"]) < 1e-5
    assert off(net.body_model.keypoints144(mesh, params), golden["final.joints"]) < 1e-5


def test_demo_translation(golden):
    camera = WeakCamera(golden["camera.scale"], golden["camera.translation"])
    squares = Squares(golden["body_crop.center_px"], golden["body_crop.size_px"], torch.zeros(4))
    pinhole = Camera(torch.full((4,), DEMO_FOCAL_PX), squares.center_px)
    assert off(translation_from_weak(camera, squares, pinhole), golden["demo.transl"]) < 1e-4


# ---------------------------------------------------------------------------------------- end to end, from image files
def expected_of(people: ExposePeople, network: ExposeNetwork) -> dict[str, tuple[Tensor, float]]:
    """Golden array: ours and the tolerance of the README."""
    found: dict[str, tuple[Tensor, float]] = {
        "coarse.joints": (people.coarse_keypoints, 2e-4),
        "camera.scale": (people.camera.scale, 5e-5),
        "camera.translation": (people.camera.translation, 5e-5),
        "hand.condition": (network.hand_condition(people.body_regression.vector, people.coarse), 2e-4),
        "head.condition": (network.head_condition(people.body_regression.vector), 2e-4),
        "final.vertices": (people.vertices, 2e-4),
        "final.joints": (people.keypoints, 2e-4),
        "final.joints_in_photo": (people.keypoints_px, 5e-2),
        "final.joints_in_body_crop": (people.camera.project(people.keypoints), 2e-4),
        "final.betas": (people.params.betas, 3e-4),
        "final.expression": (people.params.expression, 1.5e-3),
    }
    for name, features, vector in (("body", 2e-4, 2e-4), ("hand", 2e-3, 1e-3), ("head", 2e-3, 1e-3)):
        seen = getattr(people, f"{name}_regression")
        found[f"{name}.features"] = seen.features, features
        found |= {f"{name}.params_{i + 1}": (stage, vector) for i, stage in enumerate(seen.stages)}
    for name in ("global_orient", "body_pose"):
        found[f"final.{name}"] = getattr(people.params, name), 4e-4
    for name in ("left_hand_pose", "right_hand_pose", "jaw_pose"):
        found[f"final.{name}"] = getattr(people.params, name), 6e-4
    for part in PARTS:
        squares: Squares = getattr(people, part)
        corner, size = bounds_of(squares.corners_px())[:, :2], squares.size_px[:, None, None]
        found[f"{part}.photo_from_crop"] = torch.cat([torch.eye(2) * size, corner[..., None]], -1), 2e-2
        in_crop = (people.keypoints_px - corner[:, None]) / size * (256 if part == "head" else 224)
        found[f"{part}.joints_in_crop"] = in_crop, 1e-1
    return found


def failures(people: ExposePeople, network: ExposeNetwork, golden: dict[str, Tensor], prefix: str = "") -> list[str]:
    odd = []
    for name, (ours, tolerance) in expected_of(people, network).items():
        if prefix + name in golden:
            want = golden[prefix + name]
            want = want[:, :2] if name.endswith("photo_from_crop") else want
            error = off(ours, want)
            if not error < tolerance:
                odd.append(f"{name}: {error:.1e}, allowed {tolerance:.0e}")
    return odd


@pytest.mark.parametrize("which", ["eager", "net"])
def test_four_photos_at_once(request, which, golden, photos, boxes):
    network = request.getfixturevalue(which)
    people = network.people(photos, [box[None] for box in boxes])
    assert len(people) == 4 and failures(people, network, golden) == []


def test_single_photos(golden, net, photos, boxes):
    alone = {k: v for k, v in golden.items() if k.startswith("alone.")}
    for i, (photo, box) in enumerate(zip(photos, boxes, strict=True)):
        own = {k: v[[i, i + 4]] if ".hand." in k else v[[i]] for k, v in alone.items()}
        assert failures(net.people([photo], [box[None]]), net, own, "alone.") == []


def test_several_people_of_one_photo_are_independent(net, photos, boxes):
    two = torch.stack([boxes[0], boxes[0] + torch.tensor([30.0, 10.0, -20.0, -40.0])])
    both, alone = net.people(photos[:1], [two]), net.people(photos[:1], [boxes[:1]])
    assert off(both.vertices[0], alone.vertices[0]) < 1e-5
    assert off(both.vertices[0], both.vertices[1]) > 1e-3


def test_a_photo_without_people_is_an_empty_result(net, photos):
    assert len(net.people(photos[:1], [torch.zeros(0, 4)])) == 0


def test_a_box_outside_the_photo_is_refused(net, photos):
    with pytest.raises(BoxError, match="outside the photo"):
        net.people(photos[:1], [torch.tensor([[5000.0, 5.0, 5100.0, 200.0]])])


# -------------------------------------------------------------------------------- other forms of the same checkpoint
def same_network(a: ExposeNetwork, b: ExposeNetwork) -> bool:
    """Bit-identical weights and body model."""
    arrays = assets_to_arrays(a.body_model.assets), assets_to_arrays(b.body_model.assets)
    shared = (arrays[0].keys() & arrays[1].keys()) - {"hand_components"}
    states = a.state_dict(), b.state_dict()
    return (
        states[0].keys() == states[1].keys()
        and all(torch.equal(states[0][k], states[1][k]) for k in states[0])
        and all(np.array_equal(arrays[0][k], arrays[1][k]) for k in shared)
    )


@pytest.mark.parametrize(
    ("version", "other", "downloaded", "legacy"), [("1.1", False, True, False), ("1.0", True, False, True)]
)
def test_variants_change_nothing(
    monkeypatch, tmp_path, made, maker, eager, version: str, other: bool, downloaded: bool, legacy: bool
):
    monkeypatch.setattr(torch.serialization, "location_tag", torch.serialization.location_tag)  # the maker sets it
    state, body = made
    users_file, path = tmp_path / "SMPLX_NEUTRAL.npz", tmp_path / "model.ckpt"
    np.savez(users_file, **maker.body_file(body, version, other))
    maker.save(maker.as_downloaded(1, dict(state)) if downloaded else state, path, legacy, from_gpu=downloaded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_checkpoint(path)
    assert same_network(build_network(read, read_body_assets(users_file)), eager)
    without_file = checkpoint_assets(read, None)
    assert np.array_equal(without_file.v_template, eager.body_model.assets.v_template)
    path.unlink()


def edit_header(path: Path, old: bytes, new: bytes) -> None:
    """Other text of the same length in a safetensors file, in place."""
    with path.open("r+b") as file:
        header = file.read(200_000)
        assert old in header
        file.seek(0)
        file.write(header.replace(old, new))


def test_converted_file_is_the_folded_network(checkpoint, net, photos, boxes, tmp_path):
    path = convert_checkpoint(checkpoint, tmp_path / "expose.safetensors")
    again = load_network(path)
    ours, theirs = (n.people(photos[1:2], [boxes[1:2]]) for n in (again, net))
    assert off(ours.vertices, theirs.vertices) < 1e-5 and off(ours.keypoints_px, theirs.keypoints_px) < 1e-2
    edit_header(path, b"body_model.", b"nobodys_it.")
    with pytest.raises(WeightsError, match="holds no body model.*Convert the .ckpt again"):
        load_network(path)
    edit_header(path, b"nobodys_it.", b"body_model.")
    edit_header(path, rb"\"version\": 2", rb"\"version\": 9")
    with pytest.raises(WeightsError, match=r"expected version 2 .*Convert the .ckpt again"):
        load_network(path)
    edit_header(path, rb"\"version\": 9", rb"\"version\": 2")
    os.truncate(path, path.stat().st_size - 1000)
    with pytest.raises(WeightsError, match="refused or damaged.*cut off"):
        load_network(path)
    path.unlink()


@pytest.mark.slow
def test_onnx_runtime_is_the_same_function(checkpoint, golden, photos, boxes, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = convert_checkpoint(checkpoint, tmp_path / "expose.safetensors", onnx=True)
    network = load_network(path, runtime="onnx")
    people = network.people(photos, [box[None] for box in boxes])
    assert failures(people, network, golden) == []


def test_missing_and_misshapen_tensors_are_named(checkpoint):
    read: Any = read_checkpoint(checkpoint)
    tensors = dict(read.tensors)
    del tensors["backbone.conv1.weight"]
    tensors["regressor.module.output_layer.bias"] = torch.zeros(340)
    with pytest.raises(
        WeightsError, match=r"backbone.conv1.weight is missing; .*output.bias is \(340,\), expected \(341,\)"
    ):
        build_network(type(read)(read.path, tensors))


# ---------------------------------------------------------------------------------------------------- single functions
@pytest.fixture(scope="module")
def units(parity) -> dict[str, Tensor]:
    with np.load(parity / "golden_units.npz") as archive:
        return {k: torch.from_numpy(archive[k]) for k in archive.files if archive[k].dtype.kind in "fi"}


def test_6d_decoding_and_mirroring_of_the_original(units):
    decoded = rotation_from_6d(units["rot6d.in"].unflatten(-1, (-1, 6)))
    assert off(decoded, units["rot6d.decoded"]) < 1e-5
    assert off(decoded[..., :2].flatten(1), units["rot6d.reencoded"]) < 1e-5
    assert off(mirror_rotation(units["rot.R"]), units["rot.flip"]) == 0


def test_camera_of_the_original(units):
    camera = WeakCamera(units["cam.s"][:, 0], units["cam.t"])
    assert off(camera.project(units["cam.points"]), units["cam.proj"]) < 1e-5


def test_chain_of_the_original(units):
    pose = units["chain.pose"]
    chain = chain_to_root("right_wrist")
    assert units["chain.idx"].tolist() == chain[::-1]
    full = torch.cat([pose, torch.eye(3).expand(len(pose), 33, 3, 3)], 1)
    assert off(absolute_rotation(full, chain), units["chain.abs"]) < 1e-5
    assert off(absolute_rotation(full, chain[:-1]), units["chain.parent_abs"]) < 1e-5


def test_part_boxes_of_the_original(units):
    around = squares_around(bounds_of(units["box.points"]), HAND_MARGIN)
    assert off(around.center_px, units["box.p_center"]) < 1e-4 and off(around.size_px, units["box.p_size"]) < 1e-3
    matrix = units["tocrops.inv_crop_transforms"]  # photo pixels from those of a 256 crop
    size = matrix[:, 0, 0] * 256
    body = Squares(matrix[:, :2, 2] + size[:, None] / 2, size, torch.zeros(2))
    where = body.photo_from_unit(units["box.points"][:2] / 128 - 1)
    in_photo = squares_around(bounds_of(where), HEAD_MARGIN)
    assert off(in_photo.center_px, units["tocrops.center"]) < 1e-4
    assert off(in_photo.size_px, units["tocrops.orig_bbox_size"]) < 1e-4
