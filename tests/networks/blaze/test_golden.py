"""Do the torch networks say what the TFLite graphs say? Against stored values, and against the interpreter if asked."""

import importlib.util
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from limner.networks.blaze.face import BlazeFace
from limner.networks.blaze.hand import BlazeHand
from limner.networks.blaze.pose import BlazePose

HERE = Path(__file__).parent
NETWORKS = {
    "blaze_pose": (BlazePose, 256),
    "blaze_hand": (BlazeHand, 224),
    "blaze_face": (BlazeFace, 192),
}


def graph_outputs(name, pixels):
    """Our outputs in the graphs' names and units (probabilities where the graph gives logits are undone)."""
    with torch.inference_mode():
        if name == "blaze_pose":
            f = BlazePose.load()(pixels, mask=True)
            points = torch.cat([f.landmarks[..., :3] * 256, f.landmarks[..., 3:].logit()], -1)
            return {
                "Identity": points.flatten(1),
                "Identity_1": f.presence[:, None],
                "Identity_2": f.mask.logit()[..., None],
                "Identity_3": f.heatmaps.logit().permute(0, 2, 3, 1),
                "Identity_4": f.world.flatten(1),
            }
        if name == "blaze_hand":
            f = BlazeHand.load()(pixels)
            return {
                "Identity": f.landmarks.flatten(1) * 224,
                "Identity_1": f.presence[:, None],
                "Identity_2": f.handedness[:, None],
                "Identity_3": f.world.flatten(1),
            }
        f = BlazeFace.load()(pixels)
        return {"conv2d_21": f.landmarks * 192, "conv2d_31": f.presence.logit()}


def comparable(name, key, values):
    """Flat numbers; logits cut to +-10, since beyond that the float32 probabilities of our records cannot tell."""
    values = np.array(values, dtype=np.float32).reshape(-1)
    if (name, key) in {
        ("blaze_pose", "Identity_2"),
        ("blaze_pose", "Identity_3"),
        ("blaze_face", "conv2d_31"),
    }:
        return values.clip(-10, 10)
    if (name, key) == ("blaze_pose", "Identity"):  # x, y, z, and two logits
        values = values.reshape(39, 5)
        values[:, 3:] = values[:, 3:].clip(-10, 10)
    return values


def assert_same(name, ours, theirs):
    assert set(ours) == set(theirs)
    for key in theirs:
        expected, values = comparable(name, key, theirs[key]), comparable(name, key, ours[key])
        assert np.abs(values - expected).max() <= 1e-3 * np.abs(theirs[key]).max(), key


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_values_of_the_graphs_are_met(name):
    with np.load(HERE / "golden.npz") as file:
        golden = {k.removeprefix(f"{name}/"): v for k, v in file.items() if k.startswith(f"{name}/")}
    size = NETWORKS[name][1]
    grid = torch.from_numpy(golden.pop("grid"))[None].float() / 255
    ours = graph_outputs(name, interpolate(grid, size=(size, size), mode="bilinear", align_corners=False))
    # the tool keeps every n-th number
    ours = {key: values.flatten()[:: max(1, values.numel() // 200)] for key, values in ours.items()}
    assert_same(name, ours, golden)


@pytest.mark.slow
@pytest.mark.skipif("LIMNER_MEDIAPIPE_WHEEL" not in os.environ, reason="LIMNER_MEDIAPIPE_WHEEL names no wheel")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("smooth", [False, True])
def test_interpreter_agrees_on_fresh_pictures(name, smooth):
    spec = importlib.util.spec_from_file_location("tool", HERE.parents[2] / "tools/convert_mediapipe.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    size, source = NETWORKS[name][1], tool.SOURCES[name]
    graph = zipfile.ZipFile(os.environ["LIMNER_MEDIAPIPE_WHEEL"]).read(source.graph)
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(5))
    pixels = tool.golden_input(size, 99)[1] if smooth else noise
    assert_same(name, graph_outputs(name, pixels), tool.run_graph(graph, pixels))
