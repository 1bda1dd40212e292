"""Where the cut is placed, against rules written out for one layer."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from cut_pieces import ADD, BARE, BY_GAMMA, CONV, END, NET, SMALL

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, couple, parse
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import (
    ceiling,
    largest_ratio,
    plan_energy,
    plan_ratio,
    plan_target,
)
from yolo_slim.prune.plan import UNSCORED
from yolo_slim.prune.scores import Scoring, score_classes
from yolo_slim.zoo import build

RAW = Scoring("gamma")


@pytest.fixture
def chain(random_bundle):
    """chain(gammas, ...): convolutions one after the other, with these gammas."""

    def make(*layers: list[float], between: str = "") -> Bundle:
        text = "".join(CONV.format(len(gammas)) for gammas in layers)
        bundle = random_bundle(parse(NET + text + between + END))
        for index, gammas in enumerate(layers):
            bundle.weights[f"{index}.bn.weight"] = torch.tensor(gammas, dtype=torch.float64)
        return bundle

    return make


# --- ratio and ceiling ----------------------------------------------------------------------------


def test_the_ceiling_is_the_published_rule(random_bundle):
    for seed in range(3):
        bundle = random_bundle(build("yolov3-tiny", 2, 64), seed)
        coupling = couple(bundle.cfg)
        scores = score_classes(bundle, coupling, RAW)
        finite = scores[np.isfinite(scores)]
        convs = [i for i, s in enumerate(bundle.cfg) if isinstance(s, Conv) and s.batch_normalize]
        threshold = min(scores[coupling.classes(i)].max() for i in convs)
        assert ceiling(bundle, RAW, BARE) == (finite < threshold).mean()


@pytest.mark.parametrize("which", ["shortcut", "regular"])
@pytest.mark.parametrize("layer_keep", [0.0, 0.05, 0.4])
def test_up_to_the_ceiling_no_floor_is_needed_and_beyond_it_one_is(
    layer_keep, which, random_bundle
):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    scoring, limits = replace(BY_GAMMA, which=which), Limits(layer_keep)
    n_decided = int(np.isfinite(score_classes(bundle, couple(bundle.cfg), scoring)).sum())
    safe = ceiling(bundle, scoring, limits)
    plan = plan_ratio(bundle, safe, scoring, limits)
    assert 0 < safe < 1
    assert plan.notes == ()
    assert (~plan.keep).sum() == round(safe * n_decided)
    beyond = plan_ratio(bundle, safe + 1 / n_decided, scoring, limits)
    assert (~beyond.keep).sum() == (~plan.keep).sum()  # the floor gives the channel back
    assert f"--layer-keep {layer_keep:.0%}" in beyond.notes[0]


def test_a_ratio_beyond_the_floors_is_done_and_told(chain):
    bundle = chain([0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4], [5, 6, 7, 8])
    plan = plan_ratio(bundle, 0.6, RAW, Limits(layer_keep=0.5))
    assert [after for _, _, after in plan.widths()] == [2, 2, 4, 4]
    (told,) = plan.notes
    assert "sections 0, 1 would keep less than --layer-keep 50% allows" in told
    safe = float(told.split("the largest --ratio without that is ")[1])
    assert safe == 0.166  # 2 of 12, rounded down
    assert plan_ratio(bundle, safe, RAW, Limits(layer_keep=0.5)).notes == ()


@pytest.mark.parametrize(
    ("limits", "by"),
    [
        (Limits(layer_keep=1), "--layer-keep 1"),
        (Limits(layer_keep=1, multiple=8), "--layer-keep 1"),
        (Limits(multiple=100), "rounding to --multiple 100"),
        (Limits(multiple=100, rounding="nearest"), "rounding to --multiple 100"),
    ],
)
def test_what_keeps_all_is_told(limits, by, chain):
    bundle = chain([1.0, 2, 3, 4], [5.0, 6, 7, 8])
    plan = plan_ratio(bundle, 0.5, RAW, limits)
    assert plan.keep.all() and largest_ratio(bundle, RAW, limits) == 0
    assert plan.notes == (f"no channel went: {by} keeps all that would have gone",)


@pytest.mark.parametrize("layer_keep", [0, 0.25, 0.5, 0.75])
def test_at_the_largest_ratio_every_layer_is_at_its_floor(layer_keep, chain):
    bundle = chain([1.0, 2, 3, 4], [5.0, 6, 7, 8])
    limits = Limits(layer_keep=layer_keep)
    largest = largest_ratio(bundle, RAW, limits)
    assert largest == min(1 - layer_keep, 0.75)  # nothing ends with no channel at all
    assert plan_ratio(bundle, largest, RAW, limits).ratio <= largest


def test_ties_are_broken_in_the_order_of_the_cfg(chain):
    bundle = chain([1.0] * 4, [1.0] * 4)
    plan = plan_ratio(bundle, 0.25, RAW, BARE)
    assert plan.kept(0).tolist() == [False, False, True, True]
    assert plan.kept(1).all()
    assert ceiling(bundle, RAW, BARE) == 3 / 8
    gone = plan_ratio(bundle, 0.99, RAW, BARE)
    assert gone.kept(0).tolist() == gone.kept(1).tolist() == [True, False, False, False]


@pytest.mark.parametrize("rounding", ["up", "nearest"])
@pytest.mark.parametrize("place", [
    lambda b, limits: plan_ratio(b, 0.6, RAW, limits),
    lambda b, limits: plan_energy(b, 0.01, RAW, limits),
])  # fmt: skip
def test_halfway_is_rounded_up(rounding, place, chain):
    bundle = chain([1e-3] * 8 + [1, 2], [1e-3] * 4 + [1, 2, 3, 4, 5, 6])  # 2 and 6 stand out
    plan = place(bundle, Limits(0, 4, rounding))
    assert [after for _, _, after in plan.widths()][:2] == [4, 8]


def test_the_nearest_multiple_may_be_the_smaller_one(chain):
    bundle = chain([0.01] * 5 + [1, 2, 3, 4, 5], [0.01] * 3 + [1, 2, 3, 4, 5, 6, 7])
    widths = {}
    for rounding in ("up", "nearest"):
        plan = plan_ratio(bundle, 0.4, RAW, Limits(0, 4, rounding))
        widths[rounding] = [after for _, _, after in plan.widths()][:2]
    assert widths == {"up": [8, 8], "nearest": [4, 8]}
    assert plan.kept(0).nonzero()[0].tolist() == [6, 7, 8, 9]  # its lowest went, too
    floored = plan_ratio(bundle, 0.4, RAW, Limits(0.5, 4, "nearest"))
    assert floored.widths()[0][2] == 8  # 4 of 10 would undercut the floor


@pytest.mark.parametrize("layer_keep", [0.0, 0.3])
@pytest.mark.parametrize("multiple", [4, 8])
@pytest.mark.parametrize("ratio", [0.3, 0.7])
@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-tiny-mobilenetv2"])
def test_nearest_ends_at_legal_widths_near_those_of_the_threshold(
    name, ratio, multiple, layer_keep, random_bundle
):
    bundle = random_bundle(build(name, 2, 64))
    wished = plan_ratio(bundle, ratio, BY_GAMMA, limits=BARE)
    limits = Limits(layer_keep, multiple, "nearest")
    plan = plan_ratio(bundle, ratio, BY_GAMMA, limits=limits)
    narrower = 0
    for (index, before, after), (_, _, wish) in zip(plan.widths(), wished.widths(), strict=True):
        if plan.coupling.free[plan.coupling.classes(index)].all():
            assert after == limits.width(wish, before)
            narrower += after < wish
        else:
            assert after == before
    assert narrower  # else 'up' would do the same
    assert plan.keep[~plan.coupling.free].all()


# --- energy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gammas", "delta", "kept"),
    [
        ([3, 4, 0.1, 12], 0.0, [3, 4, 0.1, 12]),
        ([3, 4, 0.1, 12], 0.01, [3, 4, 12]),  # 0.01 of 169.01; with 9.01, 5 % would go
        ([3, 4, 0.1, 12], 0.06, [4, 12]),
        ([3, 4, 0.1, 12], 0.2, [12]),  # 25.01 of 169.01
        ([-3, 4, -0.1, 12], 0.06, [4, 12]),  # the sign says nothing
        ([0, 0, 5, 6], 0.0, [5, 6]),
        ([1, 2, 3, 19], 0.9, [1, 2, 3, 19]),  # nothing stands out by a factor of 20
        ([1, 2, 3, 20], 0.9, [20]),
        ([1e-4, 9e-4, 2e-4, 3e-4], 0.01, [9e-4]),  # dead: the floor alone
        ([1e-4, 2e-3, 2e-4, 3e-4], 0.0, [1e-4, 2e-3, 2e-4, 3e-4]),
    ],
)
def test_energy_of_one_layer_by_hand(gammas, delta, kept, chain):
    bundle = chain(gammas, [1.0, 1.0])
    plan = plan_energy(bundle, delta, BY_GAMMA, limits=BARE)
    assert np.array(gammas)[plan.kept(0)].tolist() == kept
    assert plan.kept(1).all()  # a threshold a layer


def test_energy_drops_the_largest_prefix(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 2, 64))
    for key, gamma in bundle.weights.items():
        if key.endswith("bn.weight"):
            gamma.sub_(0.2).pow_(3)  # spread: random ones are all of a size
    plan = plan_energy(bundle, 0.02, BY_GAMMA, limits=BARE)
    dropped = 0
    for index, before, after in plan.widths():
        if f"{index}.bn.weight" not in bundle.weights:
            continue
        gammas = sorted(bundle.weights[f"{index}.bn.weight"].abs().tolist())
        total = sum(g * g for g in gammas)
        fits = [k for k in range(before) if sum(g * g for g in gammas[:k]) <= 0.02 * total]
        assert before - after == max(fits)
        dropped += before - after
    assert dropped > 100


@pytest.mark.parametrize("times", [1e-4, 1e4])
def test_energy_has_no_unit(times, chain):
    """A loss in another unit, and all evidence with it, cuts the same."""
    values = {0: np.array([1.0, 2.0, 30.0, 50.0]), 1: np.array([0.001, 0.002, 0.003, 0.004])}
    bundle = chain([1, 1, 1, 1], [1, 1, 1, 1], [1, 1])
    values[2] = np.array([1.0, 1.0])

    def cut(factor: float) -> list[bool]:
        evidence = {index: factor * of_layer for index, of_layer in values.items()}
        return plan_energy(bundle, 0.01, Scoring("taylor", evidence=evidence), BARE).keep.tolist()

    assert cut(times) == cut(1.0)
    assert not all(cut(1.0))


def test_a_shared_channel_goes_only_if_every_member_says_so(chain):
    first, second = [1e-3, 1e-3, 1, 1], [1e-3, 1, 1e-3, 1]
    plan = plan_energy(chain(first, second, between=ADD), 0.01, BY_GAMMA, limits=BARE)
    assert plan.kept(0).tolist() == [False, True, True, True]
    regular = plan_energy(
        chain(first, second, between=ADD),
        0.01,
        Scoring("gamma", normalize="layer", which="regular"),
        limits=BARE,
    )
    assert regular.keep.all()


def test_energy_keeps_floor_and_multiple(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 2, 64))
    bundle.weights["2.bn.weight"].fill_(1e-5)
    plan = plan_energy(bundle, 0.3, BY_GAMMA, limits=Limits(0.25, 8))
    widths = {index: (before, after) for index, before, after in plan.widths()}
    assert widths[2] == (32, 8)
    assert "section 2 would keep less" in plan.notes[0]


@pytest.mark.parametrize("delta", [-0.1, 1.0])
def test_an_energy_out_of_range_is_named(delta, chain):
    with pytest.raises(InputError, match="--energy"):
        plan_energy(chain([1, 2]), delta)


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("importance", ["gamma", "l1"])
@pytest.mark.parametrize(
    "place",
    [lambda b, s: plan_ratio(b, 0.5, s), lambda b, s: plan_energy(b, 0.1, s),
     lambda b, s: plan_target(b, 0.5, scoring=s), ceiling],
)  # fmt: skip
def test_a_folded_bundle_is_refused_with_what_to_do(place, importance, random_bundle):
    folded = fold_batchnorm(random_bundle(parse(SMALL)))
    with pytest.raises(InputError, match="prune the bundle from before that step"):
        place(folded, Scoring(importance))


def test_rows_say_what_becomes_of_each_convolution(chain):
    bundle = chain([4.0, 1.0, 3.0], [1.0, 2.0], [6.0, 5.0], between=ADD)
    plan = plan_ratio(bundle, 0.2, Scoring("gamma", which="regular"), BARE)
    first, second, third, last = plan.rows()
    assert (first.section, first.kind, first.before, first.after) == (0, "3x3", 3, 2)
    assert (first.score_min, first.score_median, first.score_max) == (1.0, 3.0, 4.0)
    assert first.held == ()
    assert second.held == third.held == (UNSCORED,)
    assert second.score_min is None
    assert last.held == ("output of the network (section 4)",)
    assert json.loads(json.dumps([asdict(row) for row in plan.rows()]))[0]["score_max"] == 4.0
    assert plan.widths() == [(r.section, r.before, r.after) for r in plan.rows()]
