"""How far below zero a student is asked to go: the margins of Heo et al. (2019), per channel.

What is negative before a ReLU is not heard behind it: the teacher's exact number there is nothing
to learn. Its transform max(x, margin) asks for the mean of the negative ones instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS

RARE = 1e-3
"""Of a channel that is negative less often than this the mean is not asked: -3 sigma is taken."""

MIN_IMAGES = 64
"""Fewer say too little of how negative a channel is."""

_TINY = 1e-12
_NODES = 512


def negative_mean(gamma: Tensor, beta: Tensor) -> Tensor:
    """E[x | x < 0] of x ~ N(beta, gamma^2), what a BatchNorm gives: float64 [C], at most 0.

    beta - sigma * phi(beta / sigma) / Phi(-beta / sigma), and -3 sigma where Phi is at most RARE,
    as published. Where gamma is next to 0, as sparse training leaves it, x is beta: that is the
    mean if it is negative.
    """
    sigma = gamma.double().abs().clamp(min=_TINY)
    beta = beta.double()
    z = beta / sigma
    log_share = torch.special.log_ndtr(-z)
    log_density = -z.square() / 2 - math.log(2 * math.pi) / 2
    mean = beta - sigma * (log_density - log_share).exp()
    return torch.where(log_share <= math.log(RARE), -3 * sigma, mean).clamp(max=0)


def negative_response(gamma: Tensor, beta: Tensor, activation: str) -> Tensor:
    """E[a(x) | x < 0] of the same x behind an activation, float64 [C]: what is heard of it.

    Closed where the activation is a line below 0, else by Gauss and Legendre's rule.
    """
    slope = {"relu": 0.0, "relu6": 0.0, "leaky": 0.1, "linear": 1.0, "relie": 0.01}.get(activation)
    if slope is not None:
        return slope * negative_mean(gamma, beta)
    respond = ACTIVATION_FUNCTIONS[activation]
    sigma = gamma.double().abs().clamp(min=_TINY)
    z = beta.double() / sigma
    high = (-z).clamp(-8, 8)
    low = (high - 12).clamp(max=-8)
    nodes, weights = _legendre()
    t = low[:, None] + (high - low)[:, None] * nodes  # [C, K], standard deviations from beta
    density = weights * torch.exp(-t.square() / 2)
    response = respond(sigma[:, None] * (t + z[:, None]))
    mean = (density * response).sum(dim=1) / density.sum(dim=1).clamp(min=1e-300)
    rare = torch.special.log_ndtr(-z) <= math.log(RARE)
    return torch.where(rare, respond(-3 * sigma), mean)


def batchnorm_of(bundle: Bundle, section: int) -> tuple[Tensor, Tensor] | None:
    """gamma and beta that give the map of `section` its distribution; None where it is a sum, or
    has no BatchNorm: one branch's says nothing of the whole."""
    found = bundle.cfg[section]
    if not isinstance(found, Conv) or not found.batch_normalize or found.share_index is not None:
        return None
    return bundle.weights[f"{section}.bn.weight"], bundle.weights[f"{section}.bn.bias"]


class NegativeMean:
    """The mean of `respond` over what is negative in maps before their activation, per channel."""

    def __init__(self, respond: Callable[[Tensor], Tensor]) -> None:
        self.respond = respond
        self.count = 0
        nothing = torch.zeros(1, dtype=torch.float64)
        self.n_negative, self.negative, self.sums, self.squares = (nothing,) * 4

    def add(self, values: Tensor) -> None:
        """values: [B, C, H, W]."""
        values = values.double().transpose(0, 1).flatten(1)  # [C, B * H * W]
        below = values < 0
        self.count += values.shape[1]
        self.n_negative = self.n_negative + below.sum(dim=1)
        self.negative = self.negative + (self.respond(values) * below).sum(dim=1)
        self.sums = self.sums + values.sum(dim=1)
        self.squares = self.squares + values.square().sum(dim=1)

    def mean(self) -> Tensor:
        """float64 [C]; `respond` of -3 standard deviations where less than RARE is negative."""
        variance = self.squares / self.count - (self.sums / self.count).square()
        rare = self.respond(-3 * variance.clamp(min=0).sqrt())
        mean = self.negative / self.n_negative.clamp(min=1)
        return torch.where(self.n_negative <= RARE * self.count, rare, mean)


@cache
def _legendre() -> tuple[Tensor, Tensor]:
    """Nodes and weights of the rule on 0..1, float64."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
