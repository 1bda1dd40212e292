"""BatchNorm over the images of all processes, on any device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from yolo_slim.processes import n_processes


class SyncBatchNorm2d(nn.BatchNorm2d):
    """As nn.SyncBatchNorm, which runs on GPUs alone: mean and variance of what all processes see.

    Every process must have as many values as the others. Same parameters and buffers as
    nn.BatchNorm2d, and the same results where there is one process or in evaluation.
    """

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        if not self.training or n_processes() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x.to(self.weight.dtype)).to(x.dtype)

    def _normalise(self, x: Tensor) -> Tensor:
        n = n_processes()
        mean = _sum(x.mean(dim=(0, 2, 3))) / n  # [C]
        centred = x - mean[:, None, None]
        variance = _sum(centred.square().mean(dim=(0, 2, 3))) / n
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach(), n * x.numel() // x.shape[1])
        scale = self.weight * torch.rsqrt(variance + self.eps)
        result: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return result

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, n_values: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        # The estimate for what the batch is a sample of, as PyTorch keeps it.
        self.running_var.lerp_(variance * n_values / max(n_values - 1, 1), self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """A sum that every process has; each loss then depends on the values of all."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(values)
    return total


def synchronised(network: nn.Module) -> nn.Module:
    """The network with each nn.BatchNorm2d replaced, in place; parameters and buffers are kept."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                sync = SyncBatchNorm2d(child.num_features, eps=child.eps, momentum=child.momentum)
                sync.weight, sync.bias = child.weight, child.bias
                sync.running_mean, sync.running_var = child.running_mean, child.running_var
                sync.num_batches_tracked = child.num_batches_tracked
                sync.train(child.training)
                setattr(module, name, sync)
    return network
