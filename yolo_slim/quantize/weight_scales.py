"""The step of each output channel's kernel."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

WeightScale = Literal["max", "mse"]
WEIGHT_SCALES = ("max", "mse")

LIMIT = 127
INT32_BIAS_LIMIT = float(1 << 30)
N_CANDIDATES = 40


def weight_scales(
    kernel: Tensor, bias: Tensor, input_scale: float, how: WeightScale = "max"
) -> Tensor:
    """float64 [C]: the step of the grid -127..127 of each output channel.

    kernel: [C, ...], bias: [C]. how: 'max' holds every number; 'mse' may clip some, where that
    lowers the mean squared error. input_scale: step of the map that the kernel reads; where the
    bias would overflow its 32-bit steps of input_scale * scale, the scale is raised.
    """
    rows = kernel.flatten(1).double()
    scales = rows.abs().amax(dim=1) / LIMIT
    if how == "mse":
        scales = _least_error(rows, scales)
    least = bias.double().abs() / (input_scale * INT32_BIAS_LIMIT)
    return torch.maximum(scales, least.clamp(min=1e-10))


def rounded(kernel: Tensor, scales: Tensor) -> Tensor:
    """The kernel on its grid."""
    steps = scales.to(kernel).view(-1, *[1] * (kernel.dim() - 1))
    return (kernel / steps).round().clamp(-LIMIT, LIMIT) * steps


def _least_error(rows: Tensor, widest: Tensor) -> Tensor:
    best, found = torch.full_like(widest, torch.inf), widest
    for share in torch.linspace(1.0, 0.4, N_CANDIDATES, dtype=rows.dtype):
        scales = (widest * share).clamp(min=1e-30)
        error = (rounded(rows, scales) - rows).square().sum(dim=1)
        found = torch.where(error < best, scales, found)
        best = torch.minimum(error, best)
    return found
