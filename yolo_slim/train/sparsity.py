"""Sparsity by a proximal step on gamma, decoupled from loss and optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from yolo_slim.cfg import Conv, couple
from yolo_slim.nn.network import Network
from yolo_slim.train.settings import TrainSettings

ENOUGH_TRAVEL = 0.5
"""A gamma starts near 1: pulled by less than this, few reach 0."""


GAMMA_LR_FACTOR = 10
"""In sparse training gammas learn this much faster than kernels, to decide within few epochs."""


def gamma_lr(settings: TrainSettings) -> float:
    """Peak learning rate of the gammas.

    AdamW moves a number by at most about its learning rate a step, whatever the loss. A gamma is
    therefore defended if the loss pulls with more than the share `sparsity` of that, and
    sparsity >= 1 would end with every gamma at 0.
    """
    return settings.lr * (GAMMA_LR_FACTOR if settings.sparsity else 1)


def sparse_gammas(network: Network) -> list[nn.Parameter]:
    """Gammas of the BatchNorms that have a channel which may be pruned."""
    coupling = couple(network.cfg)
    return [
        network.get_parameter(f"{index}.bn.weight")
        for index, section in enumerate(network.cfg)
        if isinstance(section, Conv)
        and section.batch_normalize
        and coupling.free[coupling.classes(index)].any()
    ]


def shrink(gammas: Iterable[Tensor], amount: float) -> None:
    """Moves each gamma towards 0 by `amount` and stops there (soft threshold), in place.

    Once an optimizer step with amount = lr * sparsity: whatever the batch size, accumulation and
    loss scaling are, a gamma that the loss is indifferent to travels sparsity * sum(lr).
    """
    with torch.no_grad():
        for gamma in gammas:
            gamma.copy_(gamma.sign() * (gamma.abs() - amount).clamp(min=0))


def zero_like(gammas: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    """Sets to 0, in place, where the source is 0: an average forgets slowly that a channel died."""
    with torch.no_grad():
        for gamma, source in zip(gammas, sources, strict=True):
            gamma.masked_fill_(source == 0, 0.0)
