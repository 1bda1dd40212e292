"""A trained network that is only asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from yolo_slim.bundle import Bundle
from yolo_slim.fold import fold_batchnorm
from yolo_slim.weights import network_of

Answer = tuple[tuple[Tensor, ...], dict[int, Tensor]]
"""The heads' raw maps, and the maps of the sections that are asked for."""


class Teacher:
    """It is no part of the module that learns from it: not in its checkpoint, its average or its
    gradient exchange; never copied, and nothing in it changes.

    taps: sections whose maps are asked for, before their activation or after it.
    batch_statistics: its BatchNorms normalise by the batch that they see.
    """

    def __init__(
        self,
        bundle: Bundle,
        taps: Collection[int] = (),
        before_activation: bool = True,
        batch_statistics: bool = False,
    ) -> None:
        self.taps, self.before_activation = frozenset(taps), before_activation
        if not batch_statistics:
            bundle = fold_batchnorm(bundle)  # the same answers in less time
        network = network_of(bundle.cfg, bundle.weights).requires_grad_(False)
        if batch_statistics:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.train()
                    module.momentum = 0.0  # the running statistics stay what they are
        self.network = network.channels_last()

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.network.to(device, dtype)

    def __call__(self, images: Tensor) -> Answer:
        with torch.no_grad():
            return self.network.forward_with_taps(images, self.taps, self.before_activation)

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        return self
