"""How long does each backbone take on a CPU? Accuracy is another matter: only BlazePose has weights here."""

import time

import torch

from limner.networks.weights import NetSpec, build_backbone

BACKBONES = ("blaze", "compact", "resnet18", "resnet50", "hrnet_w48")


@torch.no_grad()
def backbone_times(names: tuple[str, ...] = BACKBONES, runs: int = 5) -> list[dict[str, object]]:
    """CPU milliseconds of one body crop through each backbone (the least of `runs`), and its parameters."""
    rows: list[dict[str, object]] = []
    for name in names:
        net = build_backbone(NetSpec("body", backbone=name))
        assert isinstance(net, torch.nn.Module)
        net.eval()
        pixels = torch.zeros(1, 3, 256, 256)
        net(pixels)
        spent = []
        for _ in range(runs):
            started = time.process_time()
            net(pixels)
            spent.append(time.process_time() - started)
        count = sum(p.numel() for p in net.parameters())
        rows.append({"backbone": name, "ms": round(1000 * min(spent), 1), "parameters": count})
    return rows
