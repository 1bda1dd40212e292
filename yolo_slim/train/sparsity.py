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

UNDEFENDED = 1
"""From this sparsity on, the pull on a gamma is stronger than what a loss can hold against it."""

GAMMA_LR_FACTOR = 50
"""In sparse training gammas learn this much faster than kernels, to decide within few epochs."""

GAMMA_EPS = 0.1
"""AdamW's epsilon for gammas in sparse training, far above what their gradients are (about 0.005).

Where epsilon is that large, AdamW divides all gradients by the same number: it is plain descent
with momentum. Its usual division by each gamma's own root mean square would make every gamma fight
for itself with equal steps, and the channel that matters would be pulled down with the one that
does not.
"""


def gamma_lr(settings: TrainSettings) -> float:
    """Peak learning rate of the gammas.

    A gamma rests where the loss pulls at it with S * GAMMA_EPS per unit, or at 0 if it pulls less.
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
