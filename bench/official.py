"""How fast is the official network in limner? Layer by layer, folded, fused, Winograd, ONNX Runtime, on one photo.

    python bench/official.py PATH/TO/model.ckpt [--converted FILE.safetensors] [--threads 1] [--rounds 12] [--json OUT]

All forms take turns in the same run, so that their ratios hold although the machine's speed drifts. "eager" runs the
layers one by one as the checkpoint names them, as the original does; it stands for the original here, whose code limner
does not have. CPU time is given beside wall time: with one thread it hardly depends on what else the machine is doing.
With `--converted` (made by `limner weights convert --onnx`) also the time to load, files in the page cache, imports and
the making of machine code (once in a process, 0.25 s) left out on all sides: "plain" reads the whole file and draws
initial values for all layers, which the original does at least.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch

from limner.expose.checkpoint import read_checkpoint
from limner.expose.load import build_network, folded_network, fused_network, load_network, onnx_network
from limner.expose.network import CropNet, ExposeNetwork
from limner.networks.hrnet import HRNet
from limner.networks.resnet import ResNet

BOX = (700.2, 60.3, 1200.7, 1050.9)


def parts_of(network: ExposeNetwork, photo: torch.Tensor, box: torch.Tensor) -> dict[str, Callable[[], object]]:
    """What is timed: the whole path from the photo in memory to the mesh, and its heavy pieces."""
    people = network.people([photo], [box])
    body = torch.rand(1, 3, 256, 256)
    hands = torch.rand(2, 3, 224, 224)
    start = network.hand_condition(people.body_regression.vector, people.coarse)

    def regress(net: CropNet, features: torch.Tensor, *start: torch.Tensor) -> object:
        return net.regressor(features, *start)

    return {
        "whole": lambda: network.people([photo], [box]),
        "body backbone": lambda: network.body_net.backbone(body),
        "hand backbone, 2": lambda: network.hand_net.backbone(hands),
        "head backbone": lambda: network.head_net.backbone(body),
        "body regressor": lambda: regress(network.body_net, people.body_regression.features),
        "hand regressor": lambda: regress(network.hand_net, people.hand_regression.features, start),
        "body model": lambda: network.body_model(people.params),
    }


def measure(jobs: dict[tuple[str, str], Callable[[], object]], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Wall and CPU milliseconds of each job, taken in turns: smallest wall, median wall, smallest CPU."""
    wall: dict[tuple[str, str], list[float]] = {key: [] for key in jobs}
    cpu: dict[tuple[str, str], list[float]] = {key: [] for key in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for key, job in jobs.items():
            before = time.perf_counter(), time.process_time()
            job()
            wall[key].append((time.perf_counter() - before[0]) * 1e3)
            cpu[key].append((time.process_time() - before[1]) * 1e3)
    return {key: [min(wall[key]), statistics.median(wall[key]), min(cpu[key])] for key in jobs}


def loaders(checkpoint: Path, converted: Path, onnx: bool) -> dict[tuple[str, str], Callable[[], object]]:
    """Ways to a network in memory, their files in the page cache."""

    def plain() -> object:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=False)
        return content, HRNet(256), ResNet(18, 224), ResNet(18, 256)

    def plain_tensors() -> object:
        return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=False)

    jobs: dict[tuple[str, str], Callable[[], object]] = {
        ("loading", "plain"): plain,
        ("loading", "plain, tensors alone"): plain_tensors,
        ("loading", "checkpoint"): lambda: load_network(checkpoint),
        ("loading", "converted"): lambda: load_network(converted),
    }
    if onnx:
        jobs["loading", "converted, onnx"] = lambda: load_network(converted, runtime="onnx")
    return jobs


def _cell(form: str, times: list[float], eager: list[float]) -> str:
    wall, median, cpu = times
    return f"  {form} {wall:.1f} ({median:.1f}) | {cpu:.1f} = x{median / eager[1]:.2f}, CPU x{cpu / eager[2]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--converted", type=Path, help="measure loading too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    eager = build_network(read_checkpoint(args.checkpoint))
    folded = folded_network(eager)
    with patch("limner.expose.fold.kernel", lambda tile: None):  # as without llvmlite
        fused = fused_network(folded)
    networks = {
        "eager": eager,
        "folded": folded,
        "fused": fused,
        "winograd": fused_network(folded),  # limner's default
    }
    onnx = bool(importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"))
    if onnx:
        networks["onnx"] = onnx_network(folded, args.checkpoint)
    photo = torch.randint(0, 256, (3, 1080, 1920), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([BOX])
    jobs = {(part, form): job for form, net in networks.items() for part, job in parts_of(net, photo, box).items()}
    with torch.inference_mode():
        found = measure({key: jobs[key] for key in sorted(jobs)}, args.rounds)
    print(f"torch {torch.__version__}, {args.threads} thread(s), {args.rounds} rounds")
    print("ms: wall smallest (median) | CPU smallest = median wall to eager's, CPU to eager's")
    for part in dict.fromkeys(part for part, _ in jobs):
        print(f"{part:18s}" + "".join(_cell(form, found[part, form], found[part, "eager"]) for form in networks))
    if args.converted:
        loading = measure(loaders(args.checkpoint, args.converted, onnx), max(3, args.rounds // 4))
        base = loading["loading", "plain"]
        print(f"{'loading':18s}" + "".join(_cell(way, times, base) for (_, way), times in loading.items()))
        found |= loading
    if args.json:
        table: dict[str, object] = {f"{part}, {form}": v for (part, form), v in found.items()}
        machine = f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {args.threads} thread(s)"
        note = "ms: smallest wall, median wall, smallest CPU"
        args.json.write_text(json.dumps({"machine": machine, "unit": note, **table}, indent=1))


if __name__ == "__main__":
    main()
