"""A bundle as Torch-Pruning (MIT) cuts it."""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, totals
from yolo_slim.weights import network_of, weights_of


def torch_pruned(bundle: Bundle, pruner: str, target_macs: int) -> Bundle:
    """The bundle as Torch-Pruning's `pruner` cuts it: at most `target_macs`, by bisection over its
    ratio; global ranking, widths in multiples of 8, heads left alone."""
    import torch_pruning as tp

    importance = {
        "BNScalePruner": lambda: tp.importance.BNScaleImportance(),
        "GroupNormPruner": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    }[pruner]

    def cut(ratio: float) -> Bundle:
        network = network_of(bundle.cfg, bundle.weights)
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        heads = [network.get_submodule(f"{index}.conv") for index in bundle.cfg.head_convs]
        getattr(tp.pruner, pruner)(
            network, torch.rand(1, bundle.cfg.net.channels, *bundle.cfg.input_hw), importance(),
            global_pruning=True, pruning_ratio=ratio, round_to=8, ignored_layers=heads,
        ).step()  # fmt: skip
        weights = weights_of(network)
        sections = tuple(
            replace(section, filters=len(weights[f"{index}.conv.weight"]))
            if isinstance(section, Conv)
            else section
            for index, section in enumerate(bundle.cfg)
        )
        cfg = replace(bundle.cfg, sections=sections)
        return bundle.then(pruner, {"ratio": ratio}, cfg=cfg, weights=weights)

    low, high = 0.0, 1.0
    found = None
    for _ in range(9):
        middle = (low + high) / 2
        candidate = cut(middle)
        if totals(candidate.cfg).macs <= target_macs:
            found, high = candidate, middle
        else:
            low = middle
    if found is None:
        sys.exit(f"{pruner} does not come down to {target_macs} MACs")
    return found
