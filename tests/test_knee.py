"""The knee is the last cost before the drop, and there is none where nothing drops."""

from __future__ import annotations

import itertools
import random

import pytest

from yolo_slim.knee import cost_within, falling, knee

PUBLISHED = {
    0.7: 0.627, 0.8: 0.626, 0.88: 0.621, 0.89: 0.621, 0.90: 0.484, 0.91: 0.14, 0.92: 0.00118,
}  # fmt: skip
"""Share of channels that went -> mAP, of a public sweep over YOLOv3-SPP."""


def of(curve: dict[float, float]) -> float | None:
    return knee(list(curve), list(curve.values()))


def test_the_knee_of_a_published_sweep():
    assert of(PUBLISHED) == 0.89
    assert of(PUBLISHED | {0.95: 0.0, 0.99: 0.0}) == 0.89  # what follows the fall says nothing
    assert of({x: y for x, y in PUBLISHED.items() if x <= 0.90}) == 0.89


def test_noise_moves_the_knee_by_no_step():
    draw = random.Random(0)
    for _ in range(200):
        assert of({x: y + draw.uniform(-0.01, 0.01) for x, y in PUBLISHED.items()}) == 0.89
    assert of(PUBLISHED | {0.8: 0.55}) == 0.89  # one measurement failed


@pytest.mark.parametrize(
    "curve",
    [
        {x: y for x, y in PUBLISHED.items() if x <= 0.89},  # the drop is not reached
        {0.0: 0.6, 0.25: 0.45, 0.5: 0.3, 0.75: 0.15, 1.0: 0.0},  # steady
        {0.0: 0.6, 0.1: 0.2, 0.2: 0.1, 0.6: 0.05, 1.0: 0.0},  # at once
        {0.0: 0.0, 0.5: 0.0, 1.0: 0.0},
        {0.0: 0.6, 0.5: 0.1},
        {},
    ],
)
def test_without_a_drop_there_is_no_knee(curve):
    assert of(curve) is None


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_knee_does_not_depend_on_units(scale):
    assert knee([100 * x for x in PUBLISHED], [scale * y for y in PUBLISHED.values()]) == 89


def test_the_hull_is_the_lowest_falling_curve_over_all_points():
    draw = random.Random(1)
    for _ in range(100):
        points = [draw.random() for _ in range(draw.randint(1, 9))]
        hull = falling(points)
        assert all(a >= b for a, b in itertools.pairwise(hull))
        assert hull == [max(points[i:]) for i in range(len(points))]


def test_the_cost_within_a_loss_lies_on_the_line_between_two_points():
    costs, qualities = list(PUBLISHED), list(PUBLISHED.values())
    assert cost_within(costs, qualities, 0.0) == pytest.approx(0.7)
    assert cost_within(costs, qualities, 0.006) == pytest.approx(0.89)
    assert cost_within(costs, qualities, 0.006 + 0.137 / 2) == pytest.approx(0.895)
    assert cost_within(costs, qualities, 1.0) == 0.92


def test_a_curve_that_is_none_is_refused():
    with pytest.raises(ValueError, match="2 costs and 1 qualities"):
        knee([0.1, 0.2], [1.0])
    with pytest.raises(ValueError, match="higher than the one before"):
        cost_within([0.2, 0.1], [1.0, 1.0], 0.1)
