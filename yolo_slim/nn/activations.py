"""Activation functions under Darknet's names, with Darknet's constants."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

SELU_SCALE, SELU_ALPHA = 1.0507, 1.6732
"""As many digits as Darknet has."""


def _hard_mish(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, 0.0))


def _stair(x: Tensor) -> Tensor:
    floor = x.floor()
    return torch.where(floor % 2 == 0, (x / 2).floor(), x - floor + (x / 2).floor())


def _plse(x: Tensor) -> Tensor:
    outer = torch.where(x < -4, 0.01 * (x + 4), 0.01 * (x - 4) + 1)
    return torch.where(x.abs() > 4, outer, 0.125 * x + 0.5)


def _lhtan(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x))


ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "relu": F.relu,
    "relu6": F.relu6,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "mish": F.mish,
    "hard_mish": _hard_mish,
    "swish": F.silu,
    "elu": F.elu,
    "selu": lambda x: SELU_SCALE * F.elu(x, SELU_ALPHA),
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "ramp": lambda x: F.relu(x) + 0.1 * x,
    "hardtan": F.hardtanh,
    "loggy": lambda x: 2 * torch.sigmoid(x) - 1,
    "plse": _plse,
    "stair": _stair,
    "relie": lambda x: F.leaky_relu(x, 0.01),
    "lhtan": _lhtan,
    "hswish": F.hardswish,
    "hsigmoid": F.hardsigmoid,
}
