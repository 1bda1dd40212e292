"""From how values are spread to the range that they are clipped to: one function a calibrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from yolo_slim.precision import Range
from yolo_slim.quantize.histogram import HALF, Histogram

Calibrator = Literal["mse", "minmax", "percentile", "entropy"]

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

PERCENTILE = 99.99
SHARES = np.linspace(0.1, 1.0, 46)
"""Of an extreme: where a grid may end."""

N_BINS, N_LEVELS, STRIDE = 2048, 128, 8
"""Of the entropy calibrator: bins of |x|, steps of the grid on one side, distance of candidates."""


def _as_they_are(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values


def minmax(histogram: Histogram, read: Curve = _as_they_are) -> Range:
    """Every value that was seen."""
    return Range(histogram.low, histogram.high)


def percentile(
    histogram: Histogram, read: Curve = _as_they_are, percent: float = PERCENTILE
) -> Range:
    """What is left when (100 - percent) % of the values, those farthest from 0, are clipped."""
    sizes = _sizes(histogram)
    below = np.searchsorted(np.cumsum(sizes), percent / 100 * sizes.sum())
    return _within(histogram, (below + 1) * histogram.width / HALF)


def entropy(histogram: Histogram, read: Curve = _as_they_are) -> Range:
    """The clip whose 128 steps say most about the distribution of |x| (Migacz, "8-bit inference
    with TensorRT", 2017): the least Kullback-Leibler divergence of the clipped distribution from
    its rounded form."""
    step = HALF // N_BINS
    sizes = _sizes(histogram).reshape(N_BINS, step).sum(axis=1)
    sizes[0] = 0  # exact zeros, of which a ReLU makes most of a map, are held by any grid
    if not sizes.any():
        return minmax(histogram)
    last = int(np.nonzero(sizes)[0][-1]) + 1
    ends = np.array([*range(N_LEVELS, last, STRIDE), max(last, N_LEVELS)])
    divergences = [_divergence(sizes, end) for end in ends]
    best = ends[int(np.argmin(divergences))]
    return _within(histogram, best * histogram.width / N_BINS)


def mse(histogram: Histogram, read: Curve = _as_they_are) -> Range:
    """The ends whose 255 steps have the least mean squared error: first where it ends above, then
    below, then above again. The error is that of `read(values)`: what an activation flattens may
    be wrong."""
    kept = histogram.counts > 0
    values, counts = histogram.centres[kept], histogram.counts[kept]
    wanted = read(values)

    def error(low: float, high: float) -> float:
        scale, zero_point = Range(low, high).unsigned_grid
        steps = np.clip(np.rint(values / scale) + zero_point, 0, 255)
        return float(counts @ np.square(read((steps - zero_point) * scale) - wanted))

    low, high = histogram.low, histogram.high
    for _ in range(2):
        # From the widest down: of equals it clips least.
        high = min((histogram.high * s for s in SHARES[::-1]), key=lambda end: error(low, end))
        low = min((histogram.low * s for s in SHARES[::-1]), key=lambda end: error(end, high))
    return Range(low, high)


class Find(Protocol):
    """How values are spread -> their range. read: what is made of them next."""

    def __call__(self, histogram: Histogram, read: Curve = ...) -> Range: ...


CALIBRATORS: dict[str, Find] = {
    "mse": mse, "minmax": minmax, "percentile": percentile, "entropy": entropy,
}  # fmt: skip


def joined(ranges: list[Range]) -> Range:
    """The range that holds all of them."""
    return Range(min(r.low for r in ranges), max(r.high for r in ranges))


def _sizes(histogram: Histogram) -> NDArray[np.float64]:
    """Counts of |x|, [HALF]."""
    return histogram.counts[HALF:] + histogram.counts[:HALF][::-1]


def _within(histogram: Histogram, size: float) -> Range:
    return Range(max(histogram.low, -size), min(histogram.high, size))


def _divergence(sizes: NDArray[np.float64], end: int) -> float:
    """Of the first `end` bins, with what lies beyond in the last, from their 128 levels."""
    inside = sizes[:end]
    clipped = inside.copy()
    clipped[-1] += sizes[end:].sum()
    levels = np.minimum(np.arange(end) * N_LEVELS // end, N_LEVELS - 1)
    held = inside > 0
    counts = np.bincount(levels, inside, N_LEVELS)
    bins = np.bincount(levels, held, N_LEVELS)
    rounded = np.where(held, (counts / np.maximum(bins, 1))[levels], 0.0)
    p, q = clipped / clipped.sum(), rounded / max(rounded.sum(), 1e-300)
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / np.maximum(q[some], 1e-12))))
