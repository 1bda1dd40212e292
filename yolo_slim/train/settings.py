"""What a training is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from yolo_slim.errors import InputError
from yolo_slim.train.loss import LossSettings
from yolo_slim.train.ranges import require
from yolo_slim.train.sparsity_settings import SparsitySettings

OPTIMIZERS, SCHEDULES = ("adamw", "sgd"), ("cosine", "cfg")
PRECISIONS = ("auto", "bf16", "float32", "float64")

MAX_SEED = 2**32 - 1
"""NumPy's generators, which some libraries seed, take no more."""


@dataclass(frozen=True)
class Machines:
    """Where a training runs.

    devices: processes on this machine, each with a GPU or its share of the cores; 0 takes every
    GPU there is, and one process on a CPU. n_nodes: machines; all run the same command under
    torchrun. strategy: 'auto' is 'ddp' for more than one process.
    sync_batchnorm: BatchNorm sees the images of all processes, as if they were one.
    """

    devices: int = 0
    n_nodes: int = 1
    strategy: Literal["auto", "ddp"] = "auto"
    sync_batchnorm: bool = True

    def __post_init__(self) -> None:
        require(
            {
                "devices": (self.devices, 0 <= self.devices <= 1024, "0 to 1024"),
                "num-nodes": (self.n_nodes, 1 <= self.n_nodes <= 1024, "1 to 1024"),
            }
        )


@dataclass(frozen=True)
class TrainSettings:
    """Plain training unless told otherwise.

    batch_size: images at a time in each process; accumulate: batches per optimizer step.
    lr: peak learning rate; warmup_epochs of it rise linearly.
    optimizer: 'adamw' or 'sgd' (with Nesterov's momentum). schedule: 'cosine', or 'cfg' for the
    policy of [net].
    sparsity: gamma shrinks by lr * sparsity an optimizer step; 0 leaves it alone. sparse: how.
    keep_zeros: numbers of kernels that are 0 in the bundle stay 0; None: where its history says
    that they were put there.
    labels: learn from them; without, from a teacher alone.
    ranges: of a bundle with an INT8 plan, whose rounding is then part of the network: 'frozen' or
    'learned'; None trains in float.
    multi_scale: the input grows and shrinks by up to this factor; 1 leaves it.
    ema_decay: of the averaged weights that come out, 0..1.
    precision: 'auto' takes bf16 where the machine computes in it, else float32; 'float64' shows
    what is rounding and what is not.
    compiled: the network goes through torch.compile, which takes minutes at first.
    validations: how often AP is measured on the way; the end is always measured.
    checkpoint_minutes: within an epoch, the state is kept this often.
    profile_steps: stop after so many steps and tell where the time went; 0 trains.
    """

    epochs: int
    batch_size: int = 16
    lr: float = 1e-3
    weight_decay: float = 0.02
    momentum: float = 0.9
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "cfg"] = "cosine"
    warmup_epochs: float = 1.0
    loss: LossSettings = field(default_factory=LossSettings)
    sparsity: float = 0.0
    keep_zeros: bool | None = None
    sparse: SparsitySettings = field(default_factory=SparsitySettings)
    labels: bool = True
    ranges: Literal["frozen", "learned"] | None = None
    multi_scale: float = 1.0
    accumulate: int = 1
    ema_decay: float = 0.998
    clip_gradient_norm: float = 10.0
    precision: str = "auto"
    compiled: bool = False
    seed: int = 0
    workers: int = 0
    machines: Machines = field(default_factory=Machines)
    validations: int = 5
    checkpoint_minutes: float = 10.0
    profile_steps: int = 0

    def __post_init__(self) -> None:
        require(
            {
                "epochs": (self.epochs, self.epochs >= 1, "1 or more"),
                "batch-size": (self.batch_size, self.batch_size >= 1, "1 or more"),
                "lr": (self.lr, 0 < self.lr < 10, "above 0 and below 10"),
                "weight-decay": (self.weight_decay, 0 <= self.weight_decay < math.inf, "0 or more"),
                "momentum": (self.momentum, 0 <= self.momentum < 1, "0 to below 1"),
                "optimizer": (self.optimizer, self.optimizer in OPTIMIZERS, ", ".join(OPTIMIZERS)),
                "schedule": (self.schedule, self.schedule in SCHEDULES, " or ".join(SCHEDULES)),
                "warmup-epochs": (
                    self.warmup_epochs, 0 <= self.warmup_epochs < math.inf, "0 or more",
                ),
                "multi-scale": (self.multi_scale, 1 <= self.multi_scale <= 4, "1 to 4"),
                "seed": (self.seed, 0 <= self.seed <= MAX_SEED, f"0 to {MAX_SEED}"),
                "sparsity": (self.sparsity, 0 <= self.sparsity < 1000, "0 to below 1000"),
                "accumulate": (self.accumulate, self.accumulate >= 1, "1 or more"),
                "ema-decay": (self.ema_decay, 0 <= self.ema_decay < 1, "0 to below 1"),
                "precision": (self.precision, self.precision in PRECISIONS, ", ".join(PRECISIONS)),
                "workers": (self.workers, 0 <= self.workers <= 64, "0 to 64"),
                "checkpoint-minutes": (
                    self.checkpoint_minutes, 0 < self.checkpoint_minutes < math.inf, "above 0",
                ),
                "profile-steps": (self.profile_steps, self.profile_steps >= 0, "0 or more"),
            }
        )  # fmt: skip
        for name, value in ({} if self.sparsity else self.sparse.changed()).items():
            raise InputError(f"--sparsity-{name} {value} means nothing without --sparsity S")
