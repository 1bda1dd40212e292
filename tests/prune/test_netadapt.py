"""A table of layers adds up to the network; NetAdapt takes the cheapest way to a target."""

from itertools import pairwise

import numpy as np
import pytest
from core_zoo import by_night

from yolo_slim.cfg import Conv, parse, totals
from yolo_slim.errors import InputError
from yolo_slim.prune.cut import take
from yolo_slim.prune.latency_table import LatencyTable
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.netadapt import plan_netadapt
from yolo_slim.prune.place import plan_ratio
from yolo_slim.weights import check_weights
from yolo_slim.zoo import build


def conv_macs(cfg):
    return float(totals(cfg).macs)


@pytest.fixture
def bundle(random_bundle):
    return random_bundle(build("yolov3-nano", 2, 64))


def test_each_shape_is_measured_once_and_the_sum_is_that_of_the_convolutions():
    conv = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nactivation=leaky\n"
    cfg = parse(
        "[net]\nwidth=16\nheight=16\nchannels=1\n" + conv.format(16, 3) + conv.format(16, 1)
        + conv.format(16, 1) + "groups=16\n" + conv.format(16, 3) + conv.format(16, 3)
        + conv.format(24, 1) + "groups=8\n"
    )  # fmt: skip
    seen = []

    def measure(single):
        seen.append(single)
        return conv_macs(single)

    table = LatencyTable(measure)
    assert table(cfg) == pytest.approx(conv_macs(cfg))
    assert len(seen) == 5  # two of the six are alike
    assert table(cfg) == pytest.approx(conv_macs(cfg)) and len(seen) == 5
    table.calibrate(cfg, 7.0)
    assert table(cfg) == pytest.approx(7.0)


@pytest.mark.parametrize("channels", [8, 12])
def test_a_depthwise_multiplier_is_measured_with_the_layer(channels):
    cfg = parse(
        f"[net]\nwidth=8\nheight=8\nchannels={channels}\n[convolutional]\nfilters={2 * channels}\n"
        f"groups={channels}\nsize=3\npad=1\n"
    )
    assert LatencyTable(conv_macs)(cfg) == pytest.approx(conv_macs(cfg))


@pytest.mark.parametrize("filters", [1, 3, 8, 12, 63])
def test_between_measured_widths_lies_a_straight_line(filters):
    cfg = parse(
        f"[net]\nwidth=8\nheight=8\nchannels=8\n[convolutional]\nfilters={filters}\nsize=1\n"
        "activation=linear\n"
    )
    table = LatencyTable(conv_macs)  # linear in the filters, so that a line is exact
    assert table(cfg) == pytest.approx(conv_macs(cfg))


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("share", [0.7, *by_night(0.3)])
def test_the_target_is_met_step_by_step_and_what_costs_nothing_goes_first(bundle, share, multiple):
    whole = conv_macs(bundle.cfg)

    def score(plan):  # channels of sections in `cheap` are worth nothing, others are
        lost = [row.before - row.after for row in plan.rows() if row.section not in cheap]
        return 1 - sum(lost) / 10_000

    cheap = {row.section for row in plan_ratio(bundle, 0).rows() if row.before >= 64}
    found = plan_netadapt(
        bundle, conv_macs, share * whole, score, limits=Limits(multiple=multiple),
        n_steps=6, n_candidates=100,
    )  # fmt: skip
    plan, steps = found.plan, found.steps
    assert conv_macs(plan.narrowed) == steps[-1].ms <= share * whole
    assert all(a.ms > b.ms for a, b in pairwise(steps))
    assert steps[-1].AP == pytest.approx(score(plan))
    assert {step.section for step in steps[:2]} <= cheap
    for row in plan.rows():
        assert row.after % multiple == 0 or row.after == row.before or row.held
    cut = take(bundle, plan)
    check_weights(cut.cfg, cut.weights)


def test_of_each_layer_the_lowest_scored_go(bundle):
    plan = plan_netadapt(
        bundle, conv_macs, 0.5 * conv_macs(bundle.cfg), lambda plan: 1.0, n_steps=4, n_candidates=2
    ).plan
    assert 0 < plan.ratio < 1
    for index, section in enumerate(bundle.cfg):
        if not isinstance(section, Conv):
            continue
        classes = plan.coupling.classes(index)
        scores, kept = plan.scores[classes], plan.keep[classes]
        if not kept.all():
            assert scores[~kept].max() <= scores[kept].min()


def test_a_target_out_of_reach_names_the_least_there_is(bundle):
    with pytest.raises(InputError, match=r"cannot be reached.*the least found is") as caught:
        plan_netadapt(bundle, conv_macs, 1.0, lambda plan: 1.0, limits=Limits(layer_keep=0.5))
    least = float(str(caught.value).split("least found is ")[1].split(" ")[0])
    assert np.isfinite(least) and least < 0.5 * conv_macs(bundle.cfg)
