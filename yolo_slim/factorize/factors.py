"""The factors of one kernel at given ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_slim.factorize.front import front_of
from yolo_slim.factorize.moments import Moments
from yolo_slim.factorize.regression import Regression
from yolo_slim.factorize.sites import Ranks
from yolo_slim.factorize.spectrum import Spectrum, basis, gram, scaled, scaled_both


@dataclass(frozen=True)
class Factors:
    """Kernels, one after the other.

    front: [read, C], of a 1x1 convolution; None without. core: [O or written, C or read, K].
    back: [O, written], of a 1x1 convolution; None without.
    kept: the share of the energy, 0 to 1: of the weights', or on the images.
    shift: [O], what the factors lack of the mean output; None by the weights alone.
    """

    front: Tensor | None
    core: Tensor
    back: Tensor | None
    kept: float
    shift: Tensor | None = None

    @property
    def kernel(self) -> Tensor:
        """What the factors come to, [O, C, K]."""
        kernel = self.core
        if self.front is not None:
            kernel = torch.einsum("orp,rc->ocp", kernel, self.front)
        return kernel if self.back is None else torch.einsum("ow,wcp->ocp", self.back, kernel)

    def balanced(self) -> Factors:
        """The same product; what writes a channel between two factors is as large as what reads it.

        So both learn at one pace, decay alike, and are rounded alike.
        """
        front, core, back = self.front, self.core, self.back
        if front is not None:
            size = _even(front.norm(dim=1), core.norm(dim=(0, 2)))
            front, core = front * size[:, None], core / size[:, None]
        if back is not None:
            size = _even(core.norm(dim=(1, 2)), back.norm(dim=0))
            core, back = core * size[:, None, None], back / size
        return Factors(front, core, back, self.kept, self.shift)


def factor(
    kernel: Tensor, scale: Tensor, spectrum: Spectrum, ranks: Ranks, moments: Moments | None = None
) -> Factors:
    """The factors that keep the most energy; of two that are narrow on both sides nearly the most.

    kernel: [O, C, K]. scale: float64 [O], above 0, what each output counts by. moments: those that
    the spectrum is of, where it is one of images, and nothing stands in front of the kernel.
    """
    if spectrum.by_input:
        rows = spectrum.written.vectors[:, : ranks.written].to(kernel)  # [C, written]
        kept = _kept(spectrum.written.kept, ranks.written)
        return Factors(None, rows.T[:, :, None], kernel[:, :, 0] @ rows, kept).balanced()
    if ranks.read is not None:
        front = front_of(kernel, scale, spectrum, ranks)
        inner = front.inner(kernel)
        seen = gram(scaled(inner, scale).flatten(1))
        written = basis(seen)
        whole = scaled(kernel, scale).double().square().sum()
        kept = float(seen.trace() / whole) if whole > 0 else 1.0
        core, back = _cut(inner, scale, written.vectors, ranks.written)
        kept *= _kept(written.kept, ranks.written)
        return Factors(front.down.to(kernel), core, back, kept).balanced()
    vectors = spectrum.written.vectors
    core, back = _cut(kernel, scale, vectors, ranks.written)
    kept, shift = _kept(spectrum.written.kept, ranks.written), None
    if moments is not None:
        chosen = vectors[:, : ranks.written]
        shift = moments.mean - chosen @ (chosen.T @ (scale * moments.mean)) / scale
    return Factors(None, core, back, kept, shift).balanced()


def factor_on_images(
    kernel: Tensor, scale: Tensor, ranks: Ranks, moments: Moments, regression: Regression
) -> Factors:
    """Factors behind the front of a regression, fitted to what the section writes on the images:
    reduced-rank regression (Izenman, 1975), the best that there are behind this front.

    moments: of the samples of the regression.
    """
    inner, noisy = regression.fit(regression.front.inner(kernel), moments)
    core, back = inner, None
    if ranks.written is not None:
        flat = inner.flatten(1)
        guide = scaled_both(flat @ noisy @ flat.T, scale)
        core, back = _cut(inner, scale, basis(guide).vectors, ranks.written)
    made = core.flatten(1) if back is None else back @ core.flatten(1)
    shift = moments.mean - regression.mean(made)
    kept = regression.kept(made, scale, moments)
    front, core = (part.to(kernel) for part in (regression.front.down, core))
    return Factors(front, core, None if back is None else back.to(kernel), kept, shift).balanced()


def _cut(
    kernel: Tensor, scale: Tensor, vectors: Tensor, rank: int | None
) -> tuple[Tensor, Tensor | None]:
    """A kernel [O, C, K] as one that writes `rank` channels, and the matrix behind it."""
    if rank is None:
        return kernel, None
    chosen = vectors[:, :rank]
    core = torch.einsum("ocp,ow->wcp", kernel, (chosen * scale[:, None]).to(kernel))
    return core, (chosen / scale[:, None]).to(kernel)


def _kept(kept: NDArray[np.float64], rank: int | None) -> float:
    return 1.0 if rank is None else float(kept[rank])


def _even(written: Tensor, read: Tensor) -> Tensor:
    """What to multiply the first by, and to divide the second by, so that both are of a size."""
    usable = (written > 0) & (read > 0)
    return torch.where(usable, read / torch.where(usable, written, 1.0), 1.0).sqrt()
