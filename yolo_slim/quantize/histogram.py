"""How the values of a tensor are spread over many batches, in bounded memory."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_slim.errors import InputError

HALF = 4096
"""Bins on either side of 0."""

SAMPLES_PER_BATCH = 1 << 14


class Histogram:
    """Counts of a tensor's values between -width and width, and its extremes.

    `width` is a power of two and doubles when a value lies outside: what was counted is merged in
    pairs, so that the order of the batches plays no part. Of a large batch a random share is
    counted; the extremes are of all values. of: what has these values, for messages.
    """

    def __init__(self, seed: int = 0, of: str = "a map") -> None:
        self.of = of
        self.low, self.high = 0.0, 0.0
        self.width = 0.0
        self.counts: NDArray[np.float64] = np.zeros(2 * HALF)
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin, [2 * HALF]."""
        middles: NDArray[np.float64] = np.arange(2 * HALF, dtype=np.float64) + 0.5 - HALF
        return middles * (self.width / HALF)

    def add(self, values: Tensor) -> None:
        """values: of any shape. Raises InputError where not all of them are finite."""
        values = values.detach().flatten()
        low, high = (float(x) for x in torch.aminmax(values))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(
                f"{self.of}: values from {low:g} to {high:g} on the images to calibrate on, "
                "expected finite ones: look at the weights up to there"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        if len(values) > SAMPLES_PER_BATCH:
            values = values[
                torch.randint(len(values), (SAMPLES_PER_BATCH,), generator=self.generator)
            ]
        self._widen(max(-self.low, self.high))
        bins = torch.floor(values.double() * (HALF / self.width)).long() + HALF
        found = torch.bincount(bins.clamp_(0, 2 * HALF - 1), minlength=2 * HALF)
        self.counts = self.counts + found.numpy()

    def _widen(self, size: float) -> None:
        width = 2.0 ** math.ceil(math.log2(max(size, 1e-12)))
        if self.width == 0:
            self.width = width
        while self.width < width:
            outer = np.zeros(HALF // 2)
            merged = self.counts.reshape(HALF, 2).sum(axis=1)
            self.counts = np.concatenate((outer, merged, outer))
            self.width *= 2
