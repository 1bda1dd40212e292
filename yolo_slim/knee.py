"""Where a curve of quality over cost breaks down: numbers in, a place on the curve out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

LEAST_DROP = 0.1
"""Share of its quality that a curve must lose before one can speak of a drop."""

LEAST_BULGE = 0.1
"""How far the curve must stand out over its chord, of 1: a steady decline has no knee."""

ARRIVED = 0.05
"""Of the whole drop: what is left above the bottom where the fall is over."""


def falling(qualities: Sequence[float]) -> list[float]:
    """The monotone hull: the lowest curve that never rises and lies on or above all points.

    What is reached at a higher cost can be reached at a lower one, too: a point below a later one
    is noise. (Noise upwards stays; a network that is broken does not score by luck.)

    >>> falling([0.6, 0.5, 0.58, 0.1])
    [0.6, 0.58, 0.58, 0.1]
    """
    hull: list[float] = []
    for quality in reversed(qualities):
        hull.append(max(quality, hull[-1]) if hull else quality)
    return hull[::-1]


def knee(costs: Sequence[float], qualities: Sequence[float]) -> float | None:
    """The last cost before the drop; None where the curve does not drop, or does so steadily.

    costs rise. Of the falling hull, up to where its fall is over, it is the point that stands out
    furthest over the chord between the ends, both axes scaled to 1 (Satopaa et al., Kneedle,
    2011); of several, the last.

    >>> knee([0.7, 0.8, 0.9, 1.0], [0.60, 0.59, 0.58, 0.1])
    0.9
    """
    _require_curve(costs, qualities)
    hull = falling(qualities)
    drop = hull[0] - hull[-1] if hull else 0.0
    if len(hull) < 3 or drop <= LEAST_DROP * abs(hull[0]):
        return None
    end = next(i for i, quality in enumerate(hull) if quality <= hull[-1] + ARRIVED * drop)
    length, height = costs[end] - costs[0], hull[0] - hull[end]
    bulges = [(costs[i] - costs[0]) / length - (hull[0] - hull[i]) / height for i in range(end + 1)]
    best = max(range(end + 1), key=lambda i: (bulges[i], i))
    return costs[best] if bulges[best] >= LEAST_BULGE else None


def cost_within(costs: Sequence[float], qualities: Sequence[float], loss: float) -> float:
    """The highest cost at which the hull is at most `loss` below its start, on straight lines
    between the points.

    >>> cost_within([0.0, 0.8, 0.9], [0.60, 0.60, 0.50], 0.05)
    0.85
    """
    _require_curve(costs, qualities)
    hull = falling(qualities)
    least = hull[0] - loss
    for i in range(1, len(hull)):
        if hull[i] < least:
            share = (hull[i - 1] - least) / (hull[i - 1] - hull[i])
            return round(costs[i - 1] + share * (costs[i] - costs[i - 1]), 12)
    return costs[-1]


def _require_curve(costs: Sequence[float], qualities: Sequence[float]) -> None:
    if len(costs) != len(qualities):
        raise ValueError(f"{len(costs)} costs and {len(qualities)} qualities: expected as many")
    if any(b <= a for a, b in itertools.pairwise(costs)):
        raise ValueError(f"costs {list(costs)[:8]}: expected each higher than the one before")
