"""Sparsity by a step on gamma after the optimizer's, decoupled from loss and optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from yolo_slim.cfg import Cfg
from yolo_slim.cfg.coupling import Atoms
from yolo_slim.nn.network import Network
from yolo_slim.train.gammas import Gammas, judged
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.shrink import STEPS, Groups
from yolo_slim.train.sparsity_schedule import relaxing_share, strengths

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
    return judged(network.cfg).parameters(network)


class Sparsity:
    """Pulls at the gammas of a network, once an optimizer step.

    By lr * S times its weight times its schedule's share each gamma moves towards 0: whatever the
    batch size, accumulation and loss scaling are, one that the loss is indifferent to travels S
    times the sum of these.
    """

    def __init__(self, cfg: Cfg, settings: TrainSettings, n_steps: int) -> None:
        how = settings.sparse
        self.gammas = judged(cfg)
        self.strength, self.n_steps = settings.sparsity, n_steps
        self.relaxing, self.step_of = relaxing_share(how), STEPS[how.step]
        together = how.penalty == "group"
        classes = self.gammas.classes if together else np.arange(len(self.gammas))
        self.groups = Groups.of(classes)
        self.weights = torch.from_numpy(channel_weights(self.gammas, how.weight, classes))

    def step(self, network: Network, lr: float, step: int) -> None:
        """step: of the optimizer, from 0; lr: the gammas' in this step."""
        if not len(self.gammas):
            return
        values = self.gammas.of_network(network)
        # The tables go to where the gammas are, once.
        self.groups, self.weights = self.groups.to(values), self.weights.to(values)
        magnitudes = self.groups.norms(values) / self.groups.root
        shares = strengths(magnitudes, step / self.n_steps, self.relaxing)
        amounts = lr * self.strength * self.weights * shares
        self.gammas.write(network, self.step_of(values, amounts, self.groups))


def channel_weights(gammas: Gammas, weight: str, classes: Atoms) -> NDArray[np.float64]:
    """What S is multiplied by, float64 [N]: 1 on average, and one number within a class.

    weight: 'none', or 'macs' for what a channel costs.
    """
    if weight == "none" or not len(gammas):
        return np.ones(len(gammas))
    shares = gammas.macs / gammas.macs.mean()
    sums = np.bincount(classes, weights=shares)
    return np.asarray((sums / np.bincount(classes))[classes])


def zero_like(gammas: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    """Sets to 0, in place, where the source is 0: an average forgets slowly that a channel died."""
    with torch.no_grad():
        for gamma, source in zip(gammas, sources, strict=True):
            gamma.masked_fill_(source == 0, 0.0)
