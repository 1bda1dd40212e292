"""The greedy choice against all choices there are."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from yolo_slim.factorize.knapsack import Menu, choose, frontier, hull


def menus(seed: int) -> list[Menu]:
    """Up to four things, up to five choices of each; some worse and dearer than others."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 6, draw.integers(1, 5))
    return [Menu(draw.integers(1, 30, n).astype(float), draw.normal(size=n)) for n in counts]


def worth(found: list[Menu], places: tuple[int, ...] | list[int]) -> tuple[float, float]:
    """Cost and value of a choice."""
    pairs = list(zip(found, places, strict=True))
    return sum(m.costs[k] for m, k in pairs), sum(m.values[k] for m, k in pairs)


def best(found: list[Menu], budget: float) -> float:
    """By trying everything."""
    tried = (worth(found, places) for places in product(*(range(len(m.costs)) for m in found)))
    return max(value for cost, value in tried if cost <= budget)


@pytest.mark.parametrize("seed", range(20))
def test_within_the_budget_and_at_most_a_step_short_of_the_best(seed):
    found = menus(seed)
    least = sum(m.costs.min() for m in found)
    most = sum(m.costs.max() for m in found)
    corners = [hull(m, frontier(m)) for m in found]
    steps = [
        m.values[b] - m.values[a]
        for m, c in zip(found, corners, strict=True)
        for a, b in pairwise(c)
    ]
    for budget in np.linspace(least, most, 12):
        cost, value = worth(found, choose(found, budget))
        assert cost <= budget
        assert value >= best(found, budget) - max(steps, default=0) - 1e-9
    assert worth(found, choose(found, most))[1] == pytest.approx(best(found, most))


@pytest.mark.parametrize("seed", range(20))
def test_exact_at_the_corners_of_the_joint_hull(seed):
    found = menus(seed)
    corners = [hull(m, frontier(m)) for m in found]
    steps = sorted(
        ((m.values[a] - m.values[b]) / (m.costs[b] - m.costs[a]), m.costs[b] - m.costs[a])
        for m, c in zip(found, corners, strict=True)
        for a, b in pairwise(c)
    )
    budget = sum(m.costs[c[0]] for m, c in zip(found, corners, strict=True))
    for _, cost in [(0, 0.0), *steps]:
        budget += cost
        assert worth(found, choose(found, budget))[1] == pytest.approx(best(found, budget))


def test_a_budget_below_the_cheapest_is_refused():
    with pytest.raises(ValueError, match="too small"):
        choose([Menu(np.array([3.0, 4.0]), np.array([0.0, 1.0]))], 2.9)


def test_nothing_to_choose():
    assert choose([], 0.0) == []
