"""Which parameters learn how fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yolo_slim.nn.blocks import LocalBlock
from yolo_slim.nn.network import Network
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import GAMMA_EPS, gamma_lr, sparse_gammas


def parameter_groups(
    network: Network, settings: TrainSettings, connectors: nn.Module | None = None
) -> list[dict[str, Any]]:
    """Kernels, other parameters, and the gammas that sparsity judges, as an optimizer takes them.

    Kernels decay; gamma, beta, biases and factors of shortcuts do not: sparsity alone speaks to
    gamma.
    """
    gammas = sparse_gammas(network) if settings.sparsity else []
    judged = {id(gamma) for gamma in gammas}
    trained = nn.ModuleList([network] if connectors is None else [network, connectors])
    kernels = {
        id(module.weight)
        for module in trained.modules()
        if isinstance(module, nn.Conv2d | nn.Linear | LocalBlock)
    }
    decaying = [p for p in trained.parameters() if id(p) in kernels]
    others = [p for p in trained.parameters() if id(p) not in kernels and id(p) not in judged]
    group: dict[str, Any] = {"params": gammas, "weight_decay": 0.0, "lr": gamma_lr(settings)}
    if settings.optimizer == "adamw":
        group["eps"] = GAMMA_EPS
    return [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
        group,
    ]


def make_optimizer(
    network: nn.Module, settings: TrainSettings, connectors: nn.Module | None = None
) -> torch.optim.Optimizer:
    """AdamW, or Nesterov's SGD, fused where the device has it."""
    assert isinstance(network, Network)
    groups = parameter_groups(network, settings, connectors)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0,
            fused=True,
        )  # fmt: skip
    return torch.optim.AdamW(groups, lr=settings.lr, fused=True)
