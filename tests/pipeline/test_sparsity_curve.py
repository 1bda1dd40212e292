"""A curve is measured closely where it matters, and no further than it has to be."""

from __future__ import annotations

import pytest

from yolo_slim.knee import cost_within, knee
from yolo_slim.pipeline.sparsity_curve import BROKEN, HALVINGS, RATIOS, measured


@pytest.mark.parametrize("edge", [0.02, 0.33, 0.71, 0.93])
def test_the_edge_is_found_to_an_eightieth(edge):
    """AP is 0.6 up to the edge, and falls to nothing within a tenth after it."""
    asked: list[float] = []

    def cut(ratio: float) -> tuple[float, float]:
        asked.append(ratio)
        return ratio, max(0.0, 0.6 - 6 * max(0.0, ratio - edge))

    points = measured(cut)
    ratios, aps = zip(*points, strict=True)
    assert ratios[0] == 0 and list(ratios) == sorted(set(ratios))
    assert cost_within(ratios, aps, 0.005) == pytest.approx(edge, abs=0.2 / 2**HALVINGS)
    if 0.1 < edge < 0.9:  # elsewhere the fall begins at once, or has no end yet
        assert knee(ratios, aps) == pytest.approx(edge, abs=0.1)
    assert sum(ratio > edge + 0.1 for ratio in asked if ratio in RATIOS) <= 1
    assert all(ap >= BROKEN * 0.6 for ap in aps[:-1])


def test_where_floors_hold_channels_back_the_same_cut_is_not_measured_twice():
    points = measured(lambda ratio: (min(ratio, 0.55), 0.6))
    assert [ratio for ratio, _ in points] == [0, 0.2, 0.4, 0.5, 0.55]
