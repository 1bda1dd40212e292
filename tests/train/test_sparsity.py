"""Sparsity is a soft threshold that knows nothing of batches, and it travels as announced."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.data import Dataset

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import couple, parse
from yolo_slim.data.loader import collate
from yolo_slim.nn.network import Network
from yolo_slim.train.loop import train
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.schedule import lr_sum
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import GAMMA_LR_FACTOR, gamma_lr, shrink, sparse_gammas, zero_like
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

BN = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
TINY = parse(
    "[net]\nwidth=32\nheight=32\n" + BN * 2
    + "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
    + "[yolo]\nmask=0\nanchors=16,16\nclasses=1\n"
)  # fmt: skip


class Pictures(Dataset):
    """Eight pictures of noise with one box each; item i is the same in every epoch."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int):
        draw = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, 32, 32), generator=draw, dtype=torch.uint8)
        return image, torch.tensor([[0, 6.0, 6.0, 22.0, 22.0]]), ()


def trained(tmp_path, monkeypatch, **changes) -> tuple[list[float], Bundle]:
    """Every amount by which gammas were shrunk, and the bundle that came out."""
    amounts: list[float] = []
    import yolo_slim.train.module as module

    def spy(gammas, amount):
        amounts.append(amount)
        shrink(gammas, amount)

    monkeypatch.setattr(module, "shrink", spy)
    options = {"epochs": 2, "batch_size": 2, "sparsity": 0.5, "precision": "float32",
               "validations": 0, **changes}  # fmt: skip
    settings = TrainSettings(**options)
    bundle = Bundle(TINY, random_weights(TINY))
    return amounts, train(bundle, Pictures(), collate, settings, tmp_path / "run")


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.3, 5.0])
def test_shrink_is_the_proximal_step_of_the_absolute_value(amount):
    """argmin over z of amount |z| + (z - gamma)^2 / 2, found by search."""
    gammas = torch.linspace(-1, 1, 21, dtype=torch.float64)
    grid = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    cost = amount * grid.abs() + (grid - gammas[:, None]) ** 2 / 2
    expected = grid[cost.argmin(dim=1)]
    shrink([gammas], amount)
    torch.testing.assert_close(gammas, expected, atol=1e-4, rtol=0)


def test_shrink_never_crosses_zero_and_stays_there():
    gammas = torch.tensor([0.05, -0.05, 0.0, 0.2])
    for _ in range(50):
        shrink([gammas], 0.01)
    assert gammas.tolist() == [0.0, 0.0, 0.0, 0.0]


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
    monkeypatch.setattr(DetectorModule, "on_train_epoch_end", lambda self: None)
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
    monkeypatch.setattr(DetectorModule, "on_train_epoch_end", lambda self: None)
    _, bundle = trained(tmp_path, monkeypatch, lr=1e-3, sparsity=0.5, ema_decay=0.0, epochs=5)
    held, lost, idle, _ = bundle.weights["0.bn.weight"].tolist()
    assert held > 1 > lost > idle


def test_gammas_that_died_are_zero_in_what_comes_out(tmp_path, monkeypatch):
    _, bundle = trained(tmp_path, monkeypatch, sparsity=50.0, lr=5e-3, epochs=3, ema_decay=0.9)
    gammas = torch.cat([bundle.weights[f"{i}.bn.weight"] for i in (0, 1)])
    assert (gammas == 0).sum() >= 6
    assert all(math.isfinite(float(v.sum())) for v in bundle.weights.values())
