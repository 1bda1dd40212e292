"""Anchor sizes fitted to the boxes of a data set: k-means by IoU, then small random changes.

How well anchors fit is the mean over the boxes of the IoU with the best anchor, centres equal. It
is what k-means goes by, and by that IoU training gives each object its anchor; the sides' ratio,
which YOLOv5 goes by, is what its own loss accepts an anchor by. Both are told, IoU decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from yolo_slim.errors import DataError

GENERATIONS = 1000
"""Changes that are tried after k-means; ten times as many added 0.0001 of mean IoU."""

# More boxes than this say nothing new about nine anchors, and cost time.
_MAX_BOXES = 20_000
_RESTARTS = 8
_MAX_ROUNDS = 100
# Spread of a change, drawn log-uniformly for each: coarse ones find, fine ones settle.
_SPREADS = (0.01, 0.2)


@dataclass(frozen=True)
class Fit:
    """How well anchors fit boxes: three numbers from 0 to 1.

    mean_best_iou: mean over the boxes of the IoU with the best anchor.
    recall_iou50: share of boxes with an IoU of 0.5 or more with the best anchor.
    recall_ratio4: share of boxes with an anchor of which neither side is 4 times longer or shorter.
    """

    mean_best_iou: float
    recall_iou50: float
    recall_ratio4: float


def fit_of(wh: np.ndarray, anchors: np.ndarray) -> Fit:
    """How well anchors [k, 2] fit boxes [n, 2], both in the same unit."""
    wh, anchors = np.asarray(wh, np.float64), np.asarray(anchors, np.float64)
    best = _iou(wh, anchors).max(axis=1)
    ratio = wh[:, None] / anchors[None]
    worst_side = np.minimum(ratio, 1 / ratio).min(axis=2).max(axis=1)
    return Fit(float(best.mean()), float((best >= 0.5).mean()), float((worst_side > 0.25).mean()))


def fit_anchors(
    wh_px: np.ndarray,
    k: int,
    seed: int = 0,
    generations: int = GENERATIONS,
    progress: Callable[[int, int], None] | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """k anchor sizes, float64 [k, 2] (width, height), in the unit of `wh_px`, smallest area first.

    wh_px: [n, 2] widths and heights of boxes, in pixels of the network's input; all positive. Of
        more than 20,000 boxes a random 20,000 are used.
    seed: the same seed gives the same anchors.
    generations: changes that are tried after k-means, see `refine_anchors`; 0 for none.
    progress: called with (generations done, generations in all).
    known: [k, 2], anchors that the result fits at least as well as.

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
        raise DataError(
            f"{n_sizes} different box sizes cannot give {k} anchors: keep those of the model, or "
            "ask for fewer (`data anchors --k`)."
        )
    candidates = [_converge(wh, _spread_start(wh, k, rng)) for _ in range(_RESTARTS)]
    if known is not None:
        candidates.append(np.asarray(known, np.float64))
    anchors = max(candidates, key=lambda found: best_iou(wh, found))
    anchors = refine_anchors(wh, anchors, generations, seed, progress)
    return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def refine_anchors(
    wh: np.ndarray,
    anchors: np.ndarray,
    generations: int = GENERATIONS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Anchors [k, 2] that fit boxes [n, 2] at least as well: a genetic search with one parent.

    In each generation one anchor, in turn, has its sides multiplied by random factors around 1; the
    change stays where it raises the mean best IoU. The same seed gives the same anchors.
    """
    wh, anchors = np.asarray(wh, np.float64), np.array(anchors, np.float64)
    rng = np.random.default_rng(seed)
    areas = wh.prod(axis=1)
    iou = _iou(wh, anchors)
    fitness = iou.max(axis=1).mean()
    for generation in range(generations):
        index = generation % len(anchors)
        spread = np.exp(rng.uniform(*np.log(_SPREADS)))
        child = anchors[index] * np.exp(rng.normal(0, spread, 2))
        shared = np.minimum(wh, child).prod(axis=1)
        column = shared / (areas + child.prod() - shared)
        others = np.delete(iou, index, axis=1).max(axis=1, initial=0)
        found = np.maximum(others, column).mean()
        if found > fitness:
            fitness, anchors[index], iou[:, index] = found, child, column
        if progress is not None:
            progress(generation + 1, generations)
    return anchors


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
