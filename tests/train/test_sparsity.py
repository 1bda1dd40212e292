"""Sparsity knows nothing of batches, and it travels as announced."""

from __future__ import annotations

import math

import pytest
import torch
from kitchen_sink import kitchen_sink
from sparse_training import TINY, lr_sum, trained

from yolo_slim.cfg import couple
from yolo_slim.nn.network import Network
from yolo_slim.train.gammas import judged
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import GAMMA_LR_FACTOR, gamma_lr, sparse_gammas, zero_like
from yolo_slim.zoo import build


def test_a_shared_batchnorm_is_judged_where_it_lives():
    cfg = kitchen_sink()
    gammas = judged(cfg)
    assert 1 in gammas.sections and 2 not in gammas.sections  # 2 has the kernel of 1
    assert len(gammas.of_network(Network(cfg))) == len(gammas)


def test_only_gammas_that_may_go_are_judged():
    network = Network(TINY)
    assert [g.data_ptr() for g in sparse_gammas(network)] == [
        network.get_parameter(f"{i}.bn.weight").data_ptr() for i in (0, 1)
    ]
    whole = build("yolov3-nano", 2, 32)
    coupling = couple(whole)
    assert sum(g.numel() for g in sparse_gammas(Network(whole))) >= coupling.free.sum()


def test_a_dead_channel_is_dead_in_the_average_and_no_other():
    average, current = torch.tensor([0.5, -0.2, 0.3]), torch.tensor([0.0, -1e-9, 1.0])
    zero_like([average], [current])
    assert average.tolist() == pytest.approx([0.0, -0.2, 0.3])


def test_without_sparsity_gammas_have_the_common_rate_and_are_left_alone(tmp_path, monkeypatch):
    plain = TrainSettings(epochs=1, lr=0.01)
    assert gamma_lr(plain) == 0.01
    assert gamma_lr(TrainSettings(epochs=1, lr=0.01, sparsity=0.1)) == 0.01 * GAMMA_LR_FACTOR
    amounts, _ = trained(tmp_path, monkeypatch, sparsity=0.0)
    assert amounts == []


@pytest.mark.parametrize(("batch_size", "accumulate"), [(2, 1), (1, 2), (4, 1), (2, 2)])
def test_the_step_depends_on_optimizer_steps_alone(batch_size, accumulate, tmp_path, monkeypatch):
    """2 and 1x2 images a step shrink by the same amounts, in as many steps; so do 4 and 2x2."""
    amounts, _ = trained(
        tmp_path, monkeypatch, batch_size=batch_size, accumulate=accumulate, epochs=4
    )
    n_steps = 4 * 8 // (batch_size * accumulate)
    n_warmup = min(round(1.0 * n_steps / 4), n_steps // 3)
    assert len(amounts) == n_steps
    settings = TrainSettings(epochs=4, sparsity=0.5)
    planned = 0.5 * lr_sum(gamma_lr(settings), n_steps, n_warmup)
    assert sum(amounts) == pytest.approx(planned, rel=1e-3)


def test_an_undefended_gamma_travels_what_was_planned(tmp_path, monkeypatch):
    """A loss that is indifferent to gamma: what is left of it is 1 - the planned travel."""

    def indifferent(self, batch, batch_idx):
        return 0.0 * sum(p.sum() for p in self.network.parameters())

    monkeypatch.setattr(DetectorModule, "training_step", indifferent)
    amounts, bundle = trained(tmp_path, monkeypatch, lr=1e-3, sparsity=0.7, ema_decay=0.0, epochs=5)
    settings = TrainSettings(epochs=5, lr=1e-3, sparsity=0.7)
    planned = 0.7 * lr_sum(gamma_lr(settings), 20, 4)
    assert len(amounts) == 20
    assert 0.01 < planned < 0.9
    travelled = 1 - bundle.weights["0.bn.weight"]
    assert travelled.tolist() == pytest.approx([planned] * 4, rel=1e-3)


def test_a_gamma_rests_where_the_loss_pulls_and_goes_where_it_pulls_less(tmp_path, monkeypatch):
    """A pull is worth what it is: equal steps for all would save both or neither."""
    pulls = torch.tensor([0.5, 0.02, 0.0, 0.0])  # S * GAMMA_EPS / (1 - S) = 0.1 is between

    def pulled(self, batch, batch_idx):
        idle = 0.0 * sum(p.sum() for p in self.network.parameters())
        return idle - (pulls * self.network.get_parameter("0.bn.weight")).sum()

    monkeypatch.setattr(DetectorModule, "training_step", pulled)
    _, bundle = trained(tmp_path, monkeypatch, lr=1e-3, sparsity=0.5, ema_decay=0.0, epochs=5)
    held, lost, idle, _ = bundle.weights["0.bn.weight"].tolist()
    assert held > 1 > lost > idle


def test_gammas_that_died_are_zero_in_what_comes_out(tmp_path, monkeypatch):
    _, bundle = trained(tmp_path, monkeypatch, sparsity=50.0, lr=5e-3, epochs=3, ema_decay=0.9)
    gammas = torch.cat([bundle.weights[f"{i}.bn.weight"] for i in (0, 1)])
    assert (gammas == 0).sum() >= 6
    assert all(math.isfinite(float(v.sum())) for v in bundle.weights.values())
