"""How much may go: quality against ratio, measured where it falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, totals

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Ratios that are looked at first."""

COLLAPSED_SHARE = 0.1
"""Below this share of the uncut network's AP nothing is left to look at."""

FINEST = 0.01
"""Ratios are not looked at more closely than this."""


@dataclass(frozen=True)
class Point:
    """A network cut at `ratio` (0: uncut), without any training after it.

    AP, AP50: 0 to 1. parameters, macs: of the cut network, for one image. latency_ms: measured, or
    None.
    """

    ratio: float
    AP: float
    AP50: float
    parameters: int
    macs: int
    latency_ms: float | None = None


def sweep(
    bundle: Bundle,
    cut: Callable[[float], Bundle],
    score: Callable[[Bundle], dict[str, float]],
    latency_ms: Callable[[Bundle], float] | None = None,
    ratios: Sequence[float] = GRID,
    n_closer: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Points by rising ratio, the uncut network first.

    cut: a ratio -> the bundle cut at it. score: AP and AP50 of a bundle.
    After the grid `n_closer` more ratios are spent where AP falls most between two neighbours, each
    in their middle, so that the edge of the cliff is known to FINEST. The grid ends early once AP
    is below COLLAPSED_SHARE of that of the uncut network.
    """
    n_all = 1 + len(ratios) + n_closer
    known: dict[Cfg, Point] = {}

    def measured(ratio: float, candidate: Bundle) -> Point:
        if candidate.cfg in known:  # no layer has anything left to give
            return replace(known[candidate.cfg], ratio=ratio)
        known[candidate.cfg] = point = asked(ratio, candidate)
        return point

    def asked(ratio: float, candidate: Bundle) -> Point:
        numbers, total = score(candidate), totals(candidate.cfg)
        latency = None if latency_ms is None else latency_ms(candidate)
        return Point(
            ratio, numbers["AP"], numbers["AP50"], total.parameters, total.macs, latency
        )  # fmt: skip

    def told(done: int) -> None:
        if progress is not None:
            progress(done, n_all)

    points = [measured(0.0, bundle)]
    told(1)
    for ratio in sorted(ratios):
        points.append(measured(ratio, cut(ratio)))
        told(len(points))
        if points[-1].AP < COLLAPSED_SHARE * points[0].AP:
            break
    n_skipped = 1 + len(ratios) - len(points)
    for _ in range(n_closer):
        middle = _middle_of_the_fall(points)
        if middle is None:
            break
        points.append(measured(middle, cut(middle)))
        points.sort(key=lambda point: point.ratio)
        told(len(points) + n_skipped)
    told(n_all)
    return points


def _middle_of_the_fall(points: Sequence[Point]) -> float | None:
    """Half way between the two neighbours, not yet FINEST apart, between which AP falls most."""
    falls = [
        (a.AP - b.AP, round((a.ratio + b.ratio) / 2, 3))
        for a, b in pairwise(points)
        if b.ratio - a.ratio >= 2 * FINEST - 1e-9
    ]
    fall, middle = max(falls, default=(0.0, None))
    return middle if fall > 0 else None
