"""What several processes agree on, by an imitation of a second one that passes the same."""

from __future__ import annotations

import pytest
import torch

from yolo_slim import processes
from yolo_slim.train.loss import detection_loss
from yolo_slim.zoo import build


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(processes, "n_processes", lambda: 2)
    monkeypatch.setattr(processes.distributed, "all_reduce", lambda total: total.mul_(2))


def test_a_mean_of_two(two):
    assert processes.mean_over_processes(3, torch.device("cpu")) == 3
    assert processes.mean_over_processes(0, torch.device("cpu"), least_in_all=1) == 0.5
    assert processes.mean_over_processes(0.25, torch.device("cpu"), least_in_all=1) == 0.5


@pytest.mark.parametrize("n_objects", [0, 1])
def test_two_halves_cost_what_the_whole_does(n_objects, two, monkeypatch):
    """Also where all of them together see fewer objects than they are."""
    cfg = build("yolov3-nano", 2, 64)
    draw = torch.Generator().manual_seed(0)
    half = [torch.randn(2, 21, n, n, generator=draw, dtype=torch.float64) for n in (2, 4)]
    objects = torch.tensor([[0, 1, 9.0, 9, 40, 50]][:n_objects], dtype=torch.float64).view(-1, 6)
    again = objects + torch.tensor([2.0, 0, 0, 0, 0, 0])
    halves = detection_loss(half, objects, cfg)  # each of the two sees the same
    monkeypatch.setattr(processes, "n_processes", lambda: 1)
    whole = detection_loss([torch.cat([x, x]) for x in half], torch.cat([objects, again]), cfg)
    for name in whole:
        torch.testing.assert_close(halves[name], whole[name])
