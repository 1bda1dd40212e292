"""Anchor sizes fitted to the boxes of a data set: k-means in which distance is 1 - IoU."""

from __future__ import annotations

import numpy as np

from yolo_slim.errors import DataError

# More boxes than this say nothing new about nine anchors, and cost time.
_MAX_BOXES = 20_000
_RESTARTS = 8
_MAX_ROUNDS = 100


def fit_anchors(wh_px: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """k anchor sizes, float64 [k, 2] (width, height), in the unit of `wh_px`, smallest area first.

    wh_px: [n, 2] widths and heights of boxes, in pixels of the network's input; all positive. Of
        more than 20,000 boxes a random 20,000 are used.
    seed: the same seed gives the same anchors.

    Raises DataError for fewer than k different sizes, or sizes that are not positive and finite.
    """
    wh = np.asarray(wh_px, np.float64).reshape(-1, 2)
    if not (np.isfinite(wh).all() and (wh > 0).all()):
        raise DataError("Some boxes have no width or height. Anchors need positive, finite sizes.")
    rng = np.random.default_rng(seed)
    if len(wh) > _MAX_BOXES:
        wh = wh[rng.choice(len(wh), _MAX_BOXES, replace=False)]
    n_sizes = len(np.unique(wh, axis=0))
    if n_sizes < k:
        raise DataError(f"{n_sizes} different box sizes cannot give {k} anchors. Ask for fewer.")
    candidates = [_converge(wh, _spread_start(wh, k, rng)) for _ in range(_RESTARTS)]
    anchors = max(candidates, key=lambda found: best_iou(wh, found))
    return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def best_iou(wh: np.ndarray, anchors: np.ndarray) -> float:
    """Mean over boxes [n, 2] of the IoU, 0 to 1, with the best anchor of [k, 2], centres equal."""
    return float(_iou(np.asarray(wh, np.float64), anchors).max(axis=1).mean())


def _iou(wh: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU [n, k] of boxes and anchors that share a centre."""
    shared = np.minimum(wh[:, None], anchors[None]).prod(axis=2)
    iou: np.ndarray = shared / (wh.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared)
    return iou


def _spread_start(wh: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each next anchor is drawn in proportion to its squared distance to the others."""
    chosen: np.ndarray = wh[rng.integers(len(wh))][None]
    while len(chosen) < k:
        distance = 1 - _iou(wh, chosen).max(axis=1)
        # Rounding may make a distance negative; the last term serves where all distances are zero.
        weight = np.clip(distance, 0, None) ** 2 + 1e-12
        chosen = np.vstack([chosen, wh[rng.choice(len(wh), p=weight / weight.sum())]])
    return chosen


def _converge(wh: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Moves each anchor to the median of the boxes nearest to it, until no box changes sides."""
    nearest = None
    for _ in range(_MAX_ROUNDS):
        iou = _iou(wh, anchors)
        previous, nearest = nearest, iou.argmax(axis=1)
        if previous is not None and (previous == nearest).all():
            break
        groups = [wh[nearest == index] for index in range(len(anchors))]
        # An anchor that lost all its boxes restarts at the box that is served worst.
        worst = wh[iou.max(axis=1).argmin()]
        anchors = np.array([np.median(g, axis=0) if len(g) else worst for g in groups])
    return anchors
