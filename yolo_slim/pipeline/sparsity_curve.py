"""What cuts of a sparse network cost in AP, before any training after them."""

from __future__ import annotations

import torch

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import Dataset
from yolo_slim.pipeline.pruning import prune_bundle
from yolo_slim.pipeline.scoring import network_scorer
from yolo_slim.prune.plan import plan_ratio
from yolo_slim.train.verdict import ApCurve
from yolo_slim.weights import network_of

RATIOS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

BROKEN = 0.1
"""Share of its AP under which a network is broken; further cuts are not measured."""


def ap_curve_on(dataset: Dataset) -> ApCurve:
    """A bundle -> (share of its channels that went, AP on `dataset`), from nothing on."""
    score = network_scorer(dataset)

    def ap_of(bundle: Bundle) -> float:
        network = network_of(bundle.cfg, bundle.weights).eval()
        return score(network.to("cuda" if torch.cuda.is_available() else "cpu"))["AP"]

    def curve(bundle: Bundle) -> list[tuple[float, float]]:
        points = [(0.0, ap_of(bundle))]
        for ratio in RATIOS:
            plan = plan_ratio(bundle, ratio)
            if plan.ratio <= points[-1][0]:  # no layer has anything left to give
                break
            points.append((plan.ratio, ap_of(prune_bundle(bundle, plan, with_absorb=True))))
            if points[-1][1] < BROKEN * points[0][1]:
                break
        return points

    return curve
