"""The transforms of F(m x m, 3 x 3) as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from yolo_slim.nn.winograd.bilinear import Matrix
from yolo_slim.nn.winograd.cook_toom import LEAST_ERROR_POINTS, transforms

TAPS = 3


@dataclass(frozen=True)
class Matrices:
    """Of F(m x m, 3 x 3), the algorithm F(m, 3) nested in itself; n = m + 2.

    data: B^T [n, n]. output: A^T [m, n] Kronecker itself, [m * m, n * n]. kernel: the same of G,
    [n * n, 9]. ones: the place in n * n whose product every output adds once and with factor 1.
    """

    data: Tensor
    output: Tensor
    kernel: Tensor
    ones: int


@cache
def matrices(m: int, dtype: torch.dtype, device: torch.device) -> Matrices:
    """Rounded from fractions to `dtype`; the kernel's always float64, for it is used once."""
    points = LEAST_ERROR_POINTS[m]
    exact = transforms(m, TAPS, points)

    def tensor(of: Matrix) -> Tensor:
        # An inference tensor would be of no use to a call outside of inference mode.
        with torch.inference_mode(False):
            return torch.tensor([[float(value) for value in row] for row in of], dtype=torch.double)

    output, kernel = (torch.kron(t, t) for t in map(tensor, (exact.output, exact.kernel)))
    one = points.index(1)  # the powers of 1 are 1: its column of A^T is all ones
    return Matrices(
        tensor(exact.data).to(device, dtype),
        output.to(device, dtype),
        kernel.to(device),
        one * (m + TAPS - 1) + one,
    )
