"""A network of two convolutions, eight pictures, and a sparse training of them."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import parse
from yolo_slim.data.loader import collate
from yolo_slim.train.loop import train
from yolo_slim.train.schedule import lr_share
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import Sparsity
from yolo_slim.weights import random_weights

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


def lr_sum(peak_lr: float, n_steps: int, n_warmup: int) -> float:
    """Of the learning rate over all steps of the cosine."""
    return peak_lr * sum(lr_share(step, n_steps, n_warmup) for step in range(n_steps))


def trained(tmp_path, monkeypatch, **changes) -> tuple[list[float], Bundle]:
    """Every amount (of a gamma with weight 1) that a step was asked for, and what came out."""
    amounts: list[float] = []
    step = Sparsity.step

    def spy(self, network, lr, number):
        assert number == len(amounts)
        amounts.append(lr * self.strength)
        step(self, network, lr, number)

    monkeypatch.setattr(Sparsity, "step", spy)
    options = {"epochs": 2, "batch_size": 2, "sparsity": 0.5, "precision": "float32",
               "validations": 0, **changes}  # fmt: skip
    settings = TrainSettings(**options)
    bundle = Bundle(TINY, random_weights(TINY))
    return amounts, train(bundle, Pictures(), collate, settings, tmp_path / "run")
