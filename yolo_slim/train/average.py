"""The averaged weights, which are what a training gives."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from yolo_slim.train.sparsity import zero_like


class Average(WeightAveraging):
    """Exponential moving average of weights and statistics; it is what validation and the end see.

    The decay rises to its value over the first steps, so that a short training is not an average
    with its own random start.
    """

    def __init__(self, decay: float) -> None:
        def average(
            averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor | int
        ) -> None:
            n = float(n_averaged)
            share = min(decay, (1 + n) / (10 + n))
            if averaged[0].is_floating_point():
                torch._foreach_lerp_(averaged, current, 1 - share)
            else:  # a counter
                for mine, theirs in zip(averaged, current, strict=True):
                    mine.copy_(theirs)

        super().__init__(multi_avg_fn=average)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        super().on_train_batch_end(trainer, pl_module, *args)
        assert self._average_model is not None
        averaged: Any = self._average_model.module.network
        if pl_module.settings.sparsity:
            gammas = pl_module.sparsity.gammas
            zero_like(gammas.parameters(averaged), gammas.parameters(pl_module.network))
        if pl_module.kept_zeros is not None:
            pl_module.kept_zeros.restore(averaged)
