"""What a training is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolo_slim.errors import InputError

MAX_SEED = 2**32 - 1
"""NumPy's generators, which some libraries seed, take no more."""


@dataclass(frozen=True)
class TrainSettings:
    """Plain training unless told otherwise.

    lr: peak learning rate of AdamW; warmup_epochs of it rise linearly.
    sparsity: gamma shrinks by lr * sparsity an optimizer step; 0 leaves it alone.
    distill: weight of the teacher's logits beside the labels, where there is a teacher.
    accumulate: batches per optimizer step.
    ema_decay: of the averaged weights that come out, 0..1.
    precision: 'auto' takes bf16 where the machine computes in it, else float32.
    validations: how often AP is measured on the way; the end is always measured.
    """

    epochs: int
    batch_size: int = 16
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 1.0
    sparsity: float = 0.0
    distill: float = 1.0
    accumulate: int = 1
    ema_decay: float = 0.998
    clip_gradient_norm: float = 10.0
    precision: str = "auto"
    seed: int = 0
    workers: int = 0
    validations: int = 5

    def __post_init__(self) -> None:
        checks = {
            "epochs": self.epochs >= 1,
            "batch-size": self.batch_size >= 1,
            "lr": 0 < self.lr < 10,
            "weight-decay": 0 <= self.weight_decay < math.inf,
            "warmup-epochs": 0 <= self.warmup_epochs < math.inf,
            "distill": 0 <= self.distill < math.inf,
            "seed": 0 <= self.seed <= MAX_SEED,
            "sparsity": 0 <= self.sparsity < 1000,
            "accumulate": self.accumulate >= 1,
            "ema-decay": 0 <= self.ema_decay < 1,
            "precision": self.precision in ("auto", "bf16", "float32"),
            "workers": 0 <= self.workers <= 64,
        }
        for name, good in checks.items():
            if not good:
                value = getattr(self, name.replace("-", "_"))
                raise InputError(f"--{name} {value} is out of range; see yolo-slim train --help")
