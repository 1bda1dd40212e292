"""How much a loss would change without a channel, to first order (Molchanov et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from yolo_slim.errors import InputError, RunError
from yolo_slim.nn.network import Network

Batch = TypeVar("Batch")


def taylor_evidence(
    network: Network, batches: Iterable[Batch], loss: Callable[[Network, Batch], Tensor]
) -> dict[int, NDArray[np.float64]]:
    """Section -> float64 [channels], for every section with a BatchNorm: the sum over `batches` of
    (gamma * dloss/dgamma + beta * dloss/dbeta)^2.

    loss(network, batch) returns one number. The network runs in evaluation mode, so that what is
    measured is the function that would be cut, and is left as it was: modes, gradients, weights and
    running statistics. Raises InputError without a batch, RunError where the loss is not finite.
    """
    norms = {
        int(name.removesuffix(".bn")): module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    if not norms:
        raise InputError(
            f"taylor needs BatchNorm, and {network.cfg.source} has none left (folded or "
            "quantized): measure the bundle from before that step"
        )
    evidence = {index: np.zeros(norm.num_features) for index, norm in norms.items()}
    affine = [p for norm in norms.values() for p in (norm.weight, norm.bias)]
    n_batches = 0
    with _as_it_was(network, affine), torch.enable_grad():
        for batch in batches:
            n_batches += 1
            told = loss(network, batch)
            if not torch.isfinite(told).all():
                raise RunError(f"taylor: the loss of batch {n_batches} is {float(told.detach())}")
            slopes = torch.autograd.grad(told, affine, allow_unused=True)
            # None where nothing of a parameter reaches the loss.
            changes = [
                torch.zeros_like(p, dtype=torch.float64) if slope is None else (p * slope).double()
                for p, slope in zip(affine, slopes, strict=True)
            ]
            pairs = zip(changes[::2], changes[1::2], strict=True)
            for index, (by_gamma, by_beta) in zip(norms, pairs, strict=True):
                evidence[index] += (by_gamma + by_beta).detach().square().cpu().numpy()
    if n_batches == 0:
        raise InputError("taylor: there is no batch to measure on; pass at least one")
    return evidence


@contextmanager
def _as_it_was(network: Network, affine: list[nn.Parameter]) -> Iterator[None]:
    """Evaluation mode, and gradients for gamma and beta; after it as before, module by module."""
    modes = [(module, module.training) for module in network.modules()]
    wanted = [p.requires_grad for p in affine]
    network.eval()
    try:
        for p in affine:
            p.requires_grad_(True)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for p, before in zip(affine, wanted, strict=True):
            p.requires_grad_(before)
