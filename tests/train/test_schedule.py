"""Darknet's policies, by hand; the input's size over a training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolo_slim.cfg import NetKeys
from yolo_slim.errors import InputError
from yolo_slim.train.multi_scale import MultiScale
from yolo_slim.train.schedule import darknet_schedule
from yolo_slim.zoo import build

KEYS = NetKeys(policy="steps", max_batches=1000, steps=(800, 900), scales=(0.1, 0.1), burn_in=100)


def test_steps_and_burn_in():
    share = darknet_schedule(KEYS, 1000)
    assert share(49) == pytest.approx(0.5**4)
    assert [share(step) for step in (100, 799)] == [1, 1]
    assert share(800) == pytest.approx(0.1) and share(999) == pytest.approx(0.01)


def test_a_schedule_is_stretched_to_the_steps_there_are():
    share = darknet_schedule(KEYS, 100)
    assert (share(79), share(80), share(90)) == (1, pytest.approx(0.1), pytest.approx(0.01))
    assert share(0) < share(31) < share(32) == 1  # burn-in takes at most a third


def test_poly_and_constant():
    assert darknet_schedule(replace(KEYS, policy="constant", burn_in=0), 10)(9) == 1
    share = darknet_schedule(replace(KEYS, policy="poly", burn_in=0, power=2), 10)
    assert share(5) == pytest.approx(0.25)


@pytest.mark.parametrize("wrong", [{"policy": "sgdr"}, {"scales": (0.1,)}])
def test_what_cannot_be_followed_is_refused(wrong):
    with pytest.raises(InputError, match=r"\[net\]"):
        darknet_schedule(replace(KEYS, **wrong), 100)


def test_sizes_are_whole_strides_within_the_factor_and_boxes_follow():
    cfg = build("yolov3-tiny", 2, 320)
    scale = MultiScale(cfg, 1.4, seed=0)
    sizes = {scale.size_hw(step) for step in range(0, 3000, 10)}
    assert len(sizes) > 4
    assert all(h == w and h % 32 == 0 and 224 <= h <= 448 for h, w in sizes)
    assert all(scale.size_hw(step) == scale.size_hw(10) for step in range(10, 20))
    step = next(s for s in range(0, 3000, 10) if scale.size_hw(s) == (224, 224))
    images = torch.zeros(1, 3, 320, 320)
    images[:, :, 80:160, 40:200] = 1
    targets = torch.tensor([[0.0, 1, 40, 80, 200, 160]])
    smaller, moved, at = scale(images, targets, step)
    assert smaller.shape[2:] == (224, 224) and at.input_hw == (224, 224)
    assert moved[0].tolist() == pytest.approx([0, 1, 28, 56, 140, 112])
    rows, columns = (smaller[0, 0] > 0.5).nonzero(as_tuple=True)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (28, 56, 140, 112)


def test_factor_one_changes_nothing():
    cfg = build("yolov3-tiny", 2, 320)
    images, targets = torch.rand(1, 3, 320, 320), torch.zeros(0, 6)
    same, _, at = MultiScale(cfg, 1, seed=0)(images, targets, 77)
    assert same is images and at is cfg
