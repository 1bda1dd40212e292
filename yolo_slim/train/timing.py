"""Where the time of a training step goes."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

PARTS = ("data", "forward", "teacher", "loss", "backward", "step")
"""Waiting for the batch, the network, the teacher's, the loss, gradients, optimizer and average."""


class StepClock:
    """Adds up the seconds between two calls under the name of the second."""

    def __init__(self, runs: bool = True) -> None:
        self._runs = runs
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._last = time.perf_counter()

    @classmethod
    def stopped(cls) -> StepClock:
        """A clock that costs nothing and tells nothing."""
        return cls(runs=False)

    def restart(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._last = time.perf_counter()

    def tick(self, part: str) -> None:
        """What happened since the last call was `part`."""
        if not self._runs:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # kernels are only queued until then
        now = time.perf_counter()
        self.seconds[part] += now - self._last
        self._last = now


class ProfileSteps(pl.Callback):
    """Lets a training run for `n_steps` batches after `N_WARM` and stops it."""

    N_WARM = 5
    """The first batches choose kernels and start workers."""

    def __init__(self, clock: StepClock, n_steps: int) -> None:
        self.clock, self.n_steps = clock, n_steps
        self.n_seen = self.n_images = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Callbacks come before the module, whose own tick would open the next batch's account.
        self.clock.tick("step")
        self.n_seen += 1
        if self.n_seen == self.N_WARM:
            self.clock.restart()
        elif self.n_seen > self.N_WARM:
            self.n_images += len(batch[0])
        if self.n_seen == self.N_WARM + self.n_steps:
            trainer.should_stop = True

    @property
    def images_per_second(self) -> float:
        return self.n_images / max(sum(self.clock.seconds.values()), 1e-9)

    def table(self) -> Table:
        """A row a part: milliseconds a step, and its share."""
        table = Table("part", "ms a step", "share")
        n_steps = max(1, self.n_seen - self.N_WARM)
        whole = sum(self.clock.seconds.values())
        for part, seconds in self.clock.seconds.items():
            if seconds:
                table.add_row(part, f"{1000 * seconds / n_steps:.2f}", f"{seconds / whole:.1%}")
        return table

    def tell(self, console: Console) -> None:
        console.print(self.table())
        console.print(f"{self.images_per_second:.1f} images a second")
