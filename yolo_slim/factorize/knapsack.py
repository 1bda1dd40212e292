"""One choice for each of several things, the worth of all as large as a budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Menu:
    """What there is to choose from for one thing: costs, values: float64 [n], n > 0."""

    costs: Numbers
    values: Numbers


def choose(menus: Sequence[Menu], budget: float) -> list[int]:
    """For each menu the place of what is taken: the costs add up to at most `budget`, the values to
    as much as a greedy choice reaches.

    From the cheapest of each menu it goes along the upper convex hull of value over cost, the
    steepest step of all menus first, and spends what is left on whatever still fits. The sum of
    values is the best there is at every corner of the joint hull, and elsewhere short of it by less
    than one step (Sinha and Zoltners, The Multiple-Choice Knapsack Problem, 1979).

    Raises ValueError where the cheapest of all menus cost more than the budget.
    """
    fronts = [frontier(menu) for menu in menus]
    taken = [front[0] for front in fronts]
    left = budget - sum(float(m.costs[k]) for m, k in zip(menus, taken, strict=True))
    if left < 0:
        raise ValueError(f"budget {budget} is {-left} too small for the cheapest choices")
    steps = []
    for number, (menu, front) in enumerate(zip(menus, fronts, strict=True)):
        for a, b in pairwise(hull(menu, front)):
            rise, cost = menu.values[b] - menu.values[a], menu.costs[b] - menu.costs[a]
            steps.append((-float(rise / cost), number, b, float(cost)))
    stuck = set()
    for _, number, place, cost in sorted(steps):
        if number in stuck:
            continue
        if cost > left:
            stuck.add(number)  # its later steps start from this one
            continue
        taken[number], left = place, left - cost
    return _spent(menus, fronts, taken, left)


def frontier(menu: Menu) -> list[int]:
    """Places of what nothing beats at its cost or below, from the cheapest to the best."""
    order = np.lexsort((-menu.values, menu.costs))
    best = np.maximum.accumulate(menu.values[order])
    found: list[int] = order[np.append(True, best[1:] > best[:-1])].tolist()
    return found


def hull(menu: Menu, front: Sequence[int]) -> list[int]:
    """Those of the frontier that lie on its upper convex hull: each costs more, and adds less for
    what it costs, than the one before."""
    corners: list[int] = []
    for place in front:
        while len(corners) > 1 and _below(menu, corners[-2], corners[-1], place):
            corners.pop()
        corners.append(place)
    return corners


def _below(menu: Menu, a: int, b: int, c: int) -> bool:
    """Whether b lies on or under the line from a to c."""
    cost, value = menu.costs, menu.values
    return bool(
        (value[b] - value[a]) * (cost[c] - cost[a]) <= (value[c] - value[a]) * (cost[b] - cost[a])
    )


def _spent(
    menus: Sequence[Menu], fronts: Sequence[Sequence[int]], taken: list[int], left: float
) -> list[int]:
    """What is left of the budget goes to the largest rise that fits, as long as there is one."""
    costs = [menu.costs[front] for menu, front in zip(menus, fronts, strict=True)]
    while True:
        best = (0.0, 0, 0)  # rise, menu, place
        for number, (menu, front, now) in enumerate(zip(menus, fronts, taken, strict=True)):
            fits = int(np.searchsorted(costs[number], menu.costs[now] + left, side="right")) - 1
            rise = float(menu.values[front[fits]] - menu.values[now])
            if rise > best[0]:
                best = (rise, number, front[fits])
        rise, number, place = best
        if not rise:
            return taken
        left -= float(menus[number].costs[place] - menus[number].costs[taken[number]])
        taken[number] = place
