"""What cuts of a sparse network cost in AP, before any training after them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import Dataset
from yolo_slim.pipeline.pruning import prune_bundle
from yolo_slim.pipeline.scoring import network_scorer
from yolo_slim.prune.plan import plan_ratio
from yolo_slim.train.verdict import AP_LOSS, ApCurve
from yolo_slim.weights import network_of

RATIOS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

BROKEN = 0.1
"""Share of its AP under which a network is broken; further cuts are not measured."""

HALVINGS = 4
"""Between the last cut that costs less than AP_LOSS and the first that costs more."""

Point = tuple[float, float]


def ap_curve_on(dataset: Dataset) -> ApCurve:
    """A bundle -> (share of its channels that went, AP on `dataset`), from nothing on."""
    score = network_scorer(dataset)

    def curve(bundle: Bundle) -> list[Point]:
        def cut(ratio: float) -> Point:
            plan = plan_ratio(bundle, ratio)
            slim = prune_bundle(bundle, plan, with_absorb=True) if ratio else bundle
            network = network_of(slim.cfg, slim.weights)
            network = network.to("cuda" if torch.cuda.is_available() else "cpu")
            return plan.ratio if ratio else 0.0, score(network)["AP"]

        return measured(cut)

    return curve


def measured(cut: Callable[[float], Point]) -> list[Point]:
    """Points from 0 on until the network is broken, closer together where AP_LOSS is spent.

    cut: share of the channels that is asked for -> the share that went, and the AP.
    """
    points = {0.0: cut(0.0)[1]}
    whole = points[0.0]
    for asked in RATIOS:
        ratio, ap = cut(asked)
        if ratio in points:  # no layer has anything left to give
            break
        points[ratio] = ap
        if ap < BROKEN * whole:
            break
    for _ in range(HALVINGS):
        worse = [ratio for ratio in sorted(points) if points[ratio] < whole - AP_LOSS]
        if not worse:
            break
        good = max(ratio for ratio in points if ratio < worse[0])
        ratio, ap = cut((good + worse[0]) / 2)
        points[ratio] = ap
    return sorted(points.items())
