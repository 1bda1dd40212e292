"""What can be seen of sparsity while it works, and when it has done what it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from yolo_slim.console import note
from yolo_slim.train.checkpoint import STOPPED
from yolo_slim.train.free_channels import DEAD_BELOW, dead_share, freed_share

GROWTH = 0.005
"""Of the channels: less than this more is no progress."""

HISTOGRAMS = 200
"""A training draws the gammas so often on its way, however many steps it has."""

FREE = "channels_free"


def has_ripened(freed: Sequence[float], patience: int, epochs: int) -> bool:
    """Whether `patience` epochs after the middle of all `epochs` have added less than GROWTH.

    freed: share of channels that are free, after each epoch so far.

    >>> has_ripened([0.1, 0.5, 0.502, 0.504], patience=2, epochs=4)
    True
    >>> has_ripened([0.1, 0.5, 0.502, 0.506], patience=2, epochs=4)
    False
    """
    before = len(freed) - patience
    if not patience or before < max(1, epochs / 2):
        return False
    return max(freed[before:]) - max(freed[:before]) < GROWTH


class GammaWatch(pl.Callback):
    """Logs how many gammas are dead and how many channels free, and draws all of them.

    Where `settings.sparse.patience` says so it ends a training that frees no more channels. What
    it has seen is kept in the checkpoint, so that a resumed training ends where it would have.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.freed: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        every = max(1, pl_module.n_steps // HISTOGRAMS)
        if pl_module.settings.sparsity and trainer.global_step % every == 0:
            _draw(trainer, pl_module, "gamma/steps", trainer.global_step)
        # Judged before the validation, which then scores what comes out.
        if trainer.fit_loop.epoch_loop.batch_idx + 1 == trainer.num_training_batches:
            settings, done = pl_module.settings, trainer.current_epoch + 1
            self.freed.append(freed_share(_values(pl_module), pl_module.sparsity.gammas))
            pl_module.ends_early = done < settings.epochs and has_ripened(
                self.freed, settings.sparse.patience, settings.epochs
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        gammas, settings = pl_module.sparsity.gammas, pl_module.settings
        if not len(gammas):
            return
        values = _values(pl_module)
        dead = {f"gamma_dead_{below:g}": dead_share(values, gammas, below) for below in DEAD_BELOW}
        pl_module.log_dict({**dead, FREE: self.freed[-1]})
        _draw(trainer, pl_module, "gamma", trainer.current_epoch)
        if pl_module.ends_early:
            trainer.should_stop = True
            if trainer.is_global_zero:
                note(
                    self.console,
                    f"stopped after epoch {trainer.current_epoch + 1} of {settings.epochs}: "
                    f"{self.freed[-1]:.1%} of the channels are free, and "
                    f"{settings.sparse.patience} epochs have added less than {GROWTH:.1%}",
                )

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        if pl_module.ends_early:
            checkpoint[STOPPED] = True

    def state_dict(self) -> dict[str, Any]:
        return {"freed": self.freed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.freed = list(state_dict["freed"])


def _values(pl_module: Any) -> NDArray[np.float64]:
    values: Tensor = pl_module.sparsity.gammas.of_network(pl_module.network)
    return values.double().cpu().numpy()


def _draw(trainer: pl.Trainer, pl_module: Any, name: str, place: int) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, pl.loggers.TensorBoardLogger) and trainer.is_global_zero:
            values = pl_module.sparsity.gammas.of_network(pl_module.network).abs().float().cpu()
            if values.numel():
                logger.experiment.add_histogram(name, np.asarray(values), place)
