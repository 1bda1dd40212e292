"""What cuts of a sparse network cost in AP, before any training after them."""

from __future__ import annotations

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import Dataset
from yolo_slim.pipeline.pruning import prune_bundle
from yolo_slim.pipeline.scoring import bundle_scorer
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.sweep import sweep
from yolo_slim.train.verdict import ApCurve

CLOSER = 4
"""Cuts beyond the grid: a verdict is not waited for as long as a sweep."""


def ap_curve_on(dataset: Dataset) -> ApCurve:
    """A bundle -> (ratio, AP on `dataset`), the uncut network first."""

    def curve(bundle: Bundle) -> list[tuple[float, float]]:
        def cut(ratio: float) -> Bundle:
            return prune_bundle(bundle, plan_ratio(bundle, ratio), with_absorb=True)

        points = sweep(bundle, cut, bundle_scorer(dataset), n_closer=CLOSER)
        return [(point.ratio, point.AP) for point in points]

    return curve
