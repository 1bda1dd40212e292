"""The 1x1 convolution in front of a k x k kernel: which few channels leave most of what it does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yolo_slim.factorize.moments import Moments
from yolo_slim.factorize.sites import Ranks
from yolo_slim.factorize.spectrum import Spectrum, basis, gram, input_roots, scaled, whitened

SWEEPS = 2
"""Rounds of HOOI: more of them find next to nothing."""


@dataclass(frozen=True)
class Front:
    """down: [read, C], the kernel of the convolution. up: [C, read], back to the channels.

    Of an input that is white, or whitened by what the images show, up @ down is the orthogonal
    projection onto the channels that stay.
    """

    down: Tensor
    up: Tensor

    def inner(self, kernel: Tensor) -> Tensor:
        """The kernel [O, C, K] as it reads what the front leaves, [O, read, K]."""
        return torch.einsum("ocp,cr->orp", kernel, self.up.to(kernel))


def front_of(
    kernel: Tensor, scale: Tensor, spectrum: Spectrum, ranks: Ranks, moments: Moments | None = None
) -> Front:
    """The channels with the most energy; where the kernel is to write few channels, too, both are
    refined in turn (HOOI, De Lathauwer et al., 2000), which only adds to the energy.

    kernel: [O, C, K]. spectrum: by the same `scale` and `moments`.
    """
    assert spectrum.read is not None and ranks.read is not None
    vectors = spectrum.read.vectors[:, : ranks.read]  # [C, read]
    if ranks.written is not None:
        white = whitened(scaled(kernel, scale), moments)
        written = spectrum.written.vectors[:, : ranks.written]
        for sweep in range(SWEEPS):
            if sweep:
                inner = torch.einsum("ocp,cr->orp", white, vectors.to(white))
                written = basis(gram(inner.flatten(1))).vectors[:, : ranks.written]
            inner = torch.einsum("ocp,ow->cwp", white, written.to(white))
            vectors = basis(gram(inner.flatten(1))).vectors[:, : ranks.read]
    if moments is None:
        return Front(vectors.T, vectors)
    root = input_roots(moments)[0]
    # down = vectors' root^-1, for a root that is lower triangular
    return Front(torch.linalg.solve_triangular(root.T, vectors, upper=True).T, root @ vectors)
