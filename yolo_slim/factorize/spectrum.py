"""What a kernel does most of: the directions of its input and of its output, and their energy.

The energy is the mean square of what the section writes, as its BatchNorm scales it. By the weights
alone it is taken as if every value of a patch were independent and of one size: then it is the sum
of the squared singular values of the scaled kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_slim.factorize.moments import Moments
from yolo_slim.factorize.options import Candidates

RIDGE = 0.01
"""A little noise is added to what the images show, as a share of its power, and one number more for
as many samples: of what they never show the weights decide."""


@dataclass(frozen=True)
class Basis:
    """vectors: float64 [n, n], orthonormal columns, the one with the most energy first.

    kept: float64 [n + 1], the share of the energy that the first r hold.
    """

    vectors: Tensor
    kept: NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """written: of the outputs [O]; of a matrix that reads fewer values than it writes, judged by
    its weights, of the inputs, which comes to the same at every rank (`by_input`).

    read: of the inputs [C] of a k x k kernel, whitened; None for a matrix.
    grid: float64 [O + 1, C + 1], the energy of the kernel between the first outputs and the first
    inputs of both; None where it was not asked for.
    """

    written: Basis
    read: Basis | None = None
    grid: NDArray[np.float64] | None = None
    by_input: bool = False

    def kept(self, found: Candidates) -> NDArray[np.float64]:
        """The share of the energy that each candidate keeps, float64 [n], 0 to 1.

        Of those with a kernel in front it is an estimate where the spectrum is one of images: as if
        places of a patch and channels were independent. Truncated in both ways (HOSVD, De Lathauwer
        et al., 2000), a kernel keeps at least as much, as refining can but add to it.
        """
        written = np.minimum(found.written, len(self.written.kept) - 1)
        kept = self.written.kept[written]
        if self.read is None:
            return kept
        share = self.read.kept[found.read]
        if self.grid is not None:
            whole = self.grid[found.written, -1]
            inner = self.grid[found.written, found.read]
            share = np.divide(inner, whole, out=np.ones_like(share), where=whole > 0)
        return kept * share


def decompose(
    kernel: Tensor, scale: Tensor, moments: Moments | None = None, with_grid: bool = False
) -> Spectrum:
    """The spectrum of a kernel [O, C, K] whose outputs count by `scale` [O].

    moments: of its inputs and outputs on images; None judges by the weights alone. with_grid: for
    candidates that are narrow on both sides.
    """
    n_out, n_in, area = kernel.shape
    counted = scaled(kernel, scale)
    if area == 1 and moments is None and n_in < n_out:
        return Spectrum(basis(gram(counted[:, :, 0].T)), by_input=True)
    by_weights = gram(counted.flatten(1))
    written = basis(*_of_responses(by_weights, scale, moments))
    if area == 1:
        return Spectrum(written)
    white = whitened(counted, moments)
    read = basis(gram(white.transpose(0, 1).flatten(1)))
    if not with_grid:
        return Spectrum(written, read)
    core = torch.einsum("ocp,oa,cb->abp", white, written.vectors.to(white), read.vectors.to(white))
    grid = np.zeros((n_out + 1, n_in + 1))
    grid[1:, 1:] = core.double().square().sum(dim=2).cumsum(0).cumsum(1).numpy()
    return Spectrum(written, read, grid)


def _of_responses(
    by_weights: Tensor, scale: Tensor, moments: Moments | None
) -> tuple[Tensor, Tensor]:
    """What the basis is chosen by, and what is told of it: with images their covariance, to which
    some of the weights' is added."""
    if moments is None:
        return by_weights, by_weights
    shown = scaled_both(moments.written, scale)
    noise = ridge(len(scale), moments.count) * shown.trace() / by_weights.trace().clamp(min=1e-300)
    return (shown + noise * by_weights, shown) if shown.trace() > 0 else (by_weights, by_weights)


def whitened(kernel: Tensor, moments: Moments | None) -> Tensor:
    """The kernel [O, C, K] of an input whose values are independent and of one size, if channels
    and places of a patch are independent of each other."""
    if moments is None:
        return kernel
    channels, places = (root.to(kernel) for root in input_roots(moments))
    return torch.einsum("ocp,cd,pq->odq", kernel, channels, places)


def input_roots(moments: Moments) -> tuple[Tensor, Tensor]:
    """Lower triangular [C, C] and [K, K]: an input is their product with one that is white."""
    found = []
    for covariance in (moments.channels, moments.places):
        n = len(covariance)
        noise = ridge(n, moments.count) * float(covariance.diagonal().mean()) or 1.0
        found.append(torch.linalg.cholesky(covariance + noise * torch.eye(n, dtype=torch.float64)))
    channels, places = found
    return channels, places / (places.square().sum() / len(places)).sqrt()


def ridge(n_values: int, n_samples: int) -> float:
    """How much noise is added where so many values are known from so many samples."""
    return RIDGE + n_values / n_samples


def scaled(kernel: Tensor, scale: Tensor) -> Tensor:
    """The kernel [O, C, K] as its outputs count."""
    return kernel * scale.to(kernel).view(-1, 1, 1)


def scaled_both(matrix: Tensor, scale: Tensor) -> Tensor:
    """diag(scale) matrix diag(scale), in float64."""
    scale = scale.double()
    return scale[:, None] * matrix.double() * scale


def gram(matrix: Tensor) -> Tensor:
    """matrix @ matrix.T, float64 [n, n] of [n, m]."""
    return (matrix @ matrix.T).double()


def basis(guide: Tensor, shown: Tensor | None = None) -> Basis:
    """The eigenvectors of `guide` [n, n], the largest first; `kept` is of `shown`, or of itself."""
    vectors = torch.linalg.eigh(guide).eigenvectors.flip(1)
    shown = guide if shown is None else shown
    powers = ((shown @ vectors) * vectors).sum(dim=0).clamp(min=0)
    kept = np.ones(len(guide) + 1)
    total = powers.sum()
    if total > 0:
        kept[0] = 0.0
        kept[1:] = (powers.cumsum(0) / total).numpy()
        kept[-1] = 1.0
    return Basis(vectors, kept)
