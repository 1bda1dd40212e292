"""One bar over the whole training, with the time that is left."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from rich.console import Console

from yolo_slim.progress import progress_bar


class TrainingProgress(pl.Callback):
    """The bar on a terminal; a line an epoch where the output goes to a file."""

    def __init__(self, label: str, epochs: int, console: Console) -> None:
        self.label, self.epochs, self.console = label, epochs, console
        self.bar = progress_bar(console)

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        total = int(trainer.num_training_batches) * self.epochs
        done = trainer.current_epoch * int(trainer.num_training_batches)
        self.task = self.bar.add_task(self.label, total=total, completed=done)
        if self.console.is_terminal:
            self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        numbers = {k: float(v) for k, v in trainer.callback_metrics.items()}
        shown = [f"epoch {trainer.current_epoch + 1}/{self.epochs}"]
        shown += [f"loss {numbers['loss']:.3f}"] if "loss" in numbers else []
        module: Any = trainer.lightning_module
        if module.scored is not None:
            epoch, scores = module.scored
            shown += [f"{key} {value:.3f}" for key, value in scores.items()]
            if epoch != trainer.current_epoch + 1:
                shown[-1] += f" (of epoch {epoch})"
        if module.settings.sparsity:
            shown.append(f"dead {numbers.get('gamma_dead_0.01', 0):.0%}")
        text = f"{self.label} " + "  ".join(shown)
        self.bar.update(self.task, description=text)
        if not self.console.is_terminal:
            remaining = self.bar.tasks[0].time_remaining
            left = "" if remaining is None else f"  {remaining:.0f} s left"
            self.console.print(text + left)

    def on_train_end(self, *_: Any) -> None:
        self.bar.stop()

    def on_exception(self, *_: Any) -> None:
        self.bar.stop()
