"""What a section writes, told by the few channels that a 1x1 convolution in front of it leaves."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_slim.factorize.front import Front
from yolo_slim.factorize.moments import Moments
from yolo_slim.factorize.spectrum import ridge, scaled_both


class Regression:
    """Sums over samples of a section: u, what its kernel would read behind `front` (as a row of
    read * K values), and y, what the section writes."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.count = 0
        self.sums: dict[str, Tensor] = {}

    @staticmethod
    def bytes_for(read: int, area: int, filters: int) -> int:
        """Memory that the sums take."""
        n = read * area
        return 8 * n * (n + filters)

    def add(self, x: Tensor, y: Tensor) -> None:
        """x: [N, C, K], y: [N, O]."""
        u = torch.einsum("ncp,rc->nrp", x, self.front.down.to(x)).flatten(1)
        self.count += len(y)
        for name, value in {"u": u.sum(dim=0), "uu": u.T @ u, "yu": y.T @ u}.items():
            self.sums[name] = self.sums.get(name, 0) + value.double()

    def fit(self, start: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
        """The kernel [O, read, K] that comes nearest to what the section writes, and the covariance
        of u that it is the best for: with a ridge that draws it to `start`, so that the weights
        decide of what the images never show."""
        mean = self.sums["u"] / self.count
        covariance = self.sums["uu"] / self.count - torch.outer(mean, mean)
        noise = ridge(len(mean), self.count) * float(covariance.diagonal().mean()) or 1.0
        noisy = covariance + noise * torch.eye(len(mean), dtype=torch.float64)
        missed = self._crossed(moments) - start.double().flatten(1) @ covariance  # [O, read * K]
        step = torch.cholesky_solve(missed.T, torch.linalg.cholesky(noisy)).T
        return start.double() + step.view(start.shape), noisy

    def kept(self, kernel: Tensor, scale: Tensor, moments: Moments) -> float:
        """The share of the energy on the samples that a kernel [O, read * K] keeps."""
        mean = self.sums["u"] / self.count
        covariance = self.sums["uu"] / self.count - torch.outer(mean, mean)
        crossed = kernel @ self._crossed(moments).T
        lost = moments.written - crossed - crossed.T + kernel @ covariance @ kernel.T
        whole = scaled_both(moments.written, scale).trace()
        return float(1 - scaled_both(lost, scale).trace() / whole) if whole > 0 else 1.0

    def mean(self, kernel: Tensor) -> Tensor:
        """The mean of what a kernel [O, read * K] writes, [O]."""
        return kernel @ (self.sums["u"] / self.count)

    def _crossed(self, moments: Moments) -> Tensor:
        """The covariance of y and u, [O, read * K]."""
        return self.sums["yu"] / self.count - torch.outer(moments.mean, self.sums["u"] / self.count)
