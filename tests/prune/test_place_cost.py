"""Cuts to a cost: MACs, parameters, anything that a network has, against all cuts one by one."""

from __future__ import annotations

import pytest
from cut_pieces import BARE, BY_GAMMA, SMALL

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, couple, parse, totals
from yolo_slim.errors import InputError
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import (
    LOOK_BACK,
    plan_cost,
    plan_ratio,
    plan_target,
)
from yolo_slim.zoo import build


def every_cut(bundle: Bundle, limits: Limits) -> list[Cfg]:
    """The networks that 0, 1, 2... channels less leave."""
    n = int(couple(bundle.cfg).free.sum())
    return [plan_ratio(bundle, k / n, BY_GAMMA, limits).narrowed for k in range(n)]


def stairs(cfg: Cfg) -> float:
    return totals(cfg).macs // 100_000


def padded(cfg: Cfg) -> float:
    """Channels are computed in eights, and a remainder costs extra: dents where none is left."""
    cost = 0.0
    for section in cfg:
        if isinstance(section, Conv):
            cost += -(-section.filters // 4) * 4 + (0.5 if section.filters % 4 else 0)
    return cost


@pytest.mark.parametrize("limits", [BARE, Limits(0.05, 4), Limits(0.05, 4, "nearest")])
@pytest.mark.parametrize("cost", [stairs, lambda cfg: float(totals(cfg).parameters)])
def test_the_smallest_cut_that_meets_a_target(cost, limits, random_bundle):
    bundle = random_bundle(parse(SMALL))
    costs = [cost(cfg) for cfg in every_cut(bundle, limits)]
    assert len(set(costs)) > 3
    for target in sorted(set(costs)):
        first = next(k for k, c in enumerate(costs) if c <= target)
        plan = plan_cost(bundle, cost, target, BY_GAMMA, limits)
        assert cost(plan.narrowed) <= target
        kept = int(plan_ratio(bundle, first / len(costs), BY_GAMMA, limits).keep.sum())
        assert plan.keep.sum() == kept


def test_with_dents_in_the_cost_no_cut_a_little_smaller_meets_the_target(random_bundle):
    bundle = random_bundle(parse(SMALL))
    costs = [padded(cfg) for cfg in every_cut(bundle, BARE)]
    assert any(costs[k] < costs[k + 1] for k in range(len(costs) - 1))
    exact = 0
    for target in sorted(set(costs)):
        plan = plan_cost(bundle, padded, target, BY_GAMMA, limits=BARE)
        n_dropped = int((~plan.keep).sum())
        assert costs[n_dropped] <= target
        assert all(costs[n_dropped - n] > target for n in LOOK_BACK if n <= n_dropped)
        exact += n_dropped == next(k for k, c in enumerate(costs) if c <= target)
    assert exact > 0.7 * len(set(costs))


def test_a_cost_is_asked_once_a_network_and_seldom(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 2, 64))
    asked: list[Cfg] = []

    def cost(cfg: Cfg) -> float:
        asked.append(cfg)
        return totals(cfg).macs

    plan = plan_cost(bundle, cost, 0.4 * totals(bundle.cfg).macs, limits=Limits(0.05, 8))
    assert len(asked) == len(set(asked)) <= 20
    assert plan.narrowed in asked


def test_the_largest_cut_need_not_be_the_cheapest(random_bundle):
    bundle = random_bundle(parse(SMALL))
    whole, least = (totals(cfg).macs for cfg in (every_cut(bundle, BARE)[k] for k in (0, -1)))

    def cost(cfg: Cfg) -> float:
        macs = totals(cfg).macs
        return whole if macs == least else macs

    plan = plan_cost(bundle, cost, 0.5 * whole, limits=BARE)
    assert least < cost(plan.narrowed) <= 0.5 * whole


def test_a_target_that_is_met_already_drops_nothing(random_bundle):
    bundle = random_bundle(parse(SMALL))
    assert plan_cost(bundle, lambda cfg: 1.0, 1.0).ratio == 0
    assert plan_target(bundle, 1.0).ratio == 0


def test_a_cost_out_of_reach_names_the_least_in_its_own_words(random_bundle):
    bundle = random_bundle(parse(SMALL))
    least = min(totals(cfg).macs for cfg in every_cut(bundle, Limits(0.5)))
    told = f"1 MACs cannot be reached.* the least is {least} MACs .*keeps 50%.*lower --layer-keep"
    with pytest.raises(InputError, match=told):
        plan_cost(bundle, lambda cfg: totals(cfg).macs, 1, limits=Limits(0.5),
                  tell="{:.0f} MACs".format)  # fmt: skip
