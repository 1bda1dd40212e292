"""What a channel is said to cost is what the cut network costs less."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_slim.cfg import channel_macs, couple, measure, narrow, parse, totals
from yolo_slim.cfg.entrances import entrances
from yolo_slim.zoo import build

BN = "[convolutional]\nbatch_normalize=1\nfilters=%d\nsize=%d\nstride=%d\npad=1\nactivation=leaky\n"


def test_two_convolutions_by_hand():
    """8x8 maps of 4 channels from 3, 4x4 of 5 from 4, 6 for the head."""
    cfg = parse(
        "[net]\nwidth=32\nheight=32\n" + BN % (4, 3, 4) + BN % (5, 3, 2)
        + "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
        + "[yolo]\nmask=0\nanchors=16,16\nclasses=1\n"
    )  # fmt: skip
    first, second, *_ = channel_macs(cfg, couple(cfg))
    assert first.tolist() == [64 * 27 + 16 * 9 * 5] * 4
    assert second.tolist() == [16 * 9 * 4 + 16 * 6] * 5


@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-tiny-mobilenetv2"])
def test_the_cut_of_an_unshared_channel_saves_what_it_costs(name):
    cfg = build(name, 2, 64)
    coupling = couple(cfg)
    costs = channel_macs(cfg, coupling)
    made = np.zeros(coupling.n_classes, int)
    for index in range(len(cfg)):
        np.add.at(made, coupling.classes(index)[costs[index] > 0], 1)
    checked = 0
    for index, cost in enumerate(costs):
        classes = coupling.classes(index)
        if len(classes) > 1 and cost.any() and coupling.free[classes[0]] and made[classes[0]] == 1:
            keep = np.ones(coupling.n_classes, bool)
            keep[classes[0]] = False
            saved = totals(cfg).macs - totals(narrow(cfg, coupling, keep)).macs
            assert cost[0] == pytest.approx(saved), f"section {index}"
            checked += 1
    assert checked >= 3


def test_a_depthwise_filter_is_counted_once():
    cfg = parse(
        "[net]\nwidth=32\nheight=32\n" + BN % (4, 3, 4)
        + BN.replace("stride", "groups=4\nstride") % (4, 3, 1)
        + "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
        + "[yolo]\nmask=0\nanchors=16,16\nclasses=1\n"
    )  # fmt: skip
    maker, depthwise, *_ = channel_macs(cfg, couple(cfg))
    assert depthwise.tolist() == [64 * 9 + 64 * 6] * 4
    assert maker.tolist() == [64 * 27 + 64 * 9 + 64 * 6] * 4


def test_an_entrance_costs_what_its_block_reads():
    cfg = build("preresnet20", 10, 32)
    costs = channel_macs(cfg, couple(cfg))
    found = entrances(cfg)
    assert found
    for entrance in found:
        behind = sum(measure(cfg)[conv].macs for conv in entrance.convs)
        assert costs[entrance.norm] == pytest.approx(behind / entrance.channels)
        assert len(costs[entrance.norm]) == entrance.channels
