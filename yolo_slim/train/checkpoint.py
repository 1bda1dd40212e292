"""The state that a training goes on from: written whole or not at all, and never another's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from yolo_slim.errors import InputError, RunError
from yolo_slim.files import whole_file
from yolo_slim.weights import Weights

CHECKPOINT = "last.ckpt"

STOPPED = "yolo_slim_stopped"
"""Key of a checkpoint whose training has ended before its last epoch, because it was done."""

CIRCUMSTANCES = "yolo_slim"
"""What a checkpoint says beyond Lightning's: option -> value, as they were typed."""

TOLD_LATER = ("labels", "--sync-bn", "warmup_epochs", "ema_decay")
"""Of these, what checkpoints of earlier versions do not say."""


class WholeFileIO(TorchCheckpointIO):
    """A checkpoint is synced to disk under a temporary name, then renamed: the last one stays good
    whatever happens in between. Nothing in it is executed when it is read."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        try:
            with whole_file(Path(path)) as temporary:
                torch.save(checkpoint, temporary)
        except RuntimeError as error:  # what torch makes of a full disk
            raise RunError(
                f"{path} cannot be written: is the disk full? The state before it is kept"
            ) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state


class KeepState(Checkpoint):
    """Keeps the state after every epoch, and within one every `minutes`."""

    def __init__(self, path: Path, minutes: float) -> None:
        self.path, self.seconds = path, 60 * minutes
        self._kept_at = time.monotonic()
        self._kept_step = -1

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        # Between two optimizer steps there are gradients, which no checkpoint holds. After the last
        # batch the epoch is about to end: that state is kept, and Lightning could not go on from
        # this one where it had been resumed within the epoch.
        n_done = trainer.fit_loop.epoch_loop.batch_idx + 1
        within = n_done < trainer.num_training_batches
        stepped = (
            within
            and n_done % trainer.accumulate_grad_batches == 0
            and trainer.global_step != self._kept_step
        )
        late = trainer.strategy.broadcast(time.monotonic() - self._kept_at >= self.seconds)
        if stepped and late:
            self._keep(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._keep(trainer)

    def _keep(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._kept_at, self._kept_step = time.monotonic(), trainer.global_step


def remove_unfinished(checkpoint: Path) -> None:
    """Removes what was left of a state whose writing was cut off."""
    for left in checkpoint.parent.glob(f".{checkpoint.stem}.*{checkpoint.suffix}"):
        left.unlink(missing_ok=True)


def finished_weights(saved: dict[str, Any], module: Any) -> Weights | None:
    """The averaged weights of a training that had done all its steps, or all that were worth it;
    None if some are to come, as where one that has ended early is asked for other epochs."""
    as_long = saved[CIRCUMSTANCES]["--epochs"] == module.settings.epochs
    if int(saved["global_step"]) < module.n_steps and not (saved.get(STOPPED) and as_long):
        return None
    return {
        key.removeprefix("network."): tensor.contiguous()
        for key, tensor in saved["state_dict"].items()
        if key.startswith("network.") and not key.endswith("num_batches_tracked")
    }


def resumable(checkpoint: Path, module: Any) -> dict[str, Any]:
    """What the checkpoint holds.

    Raises InputError, naming the checkpoint, where a training of `module` cannot go on from it.

    module: a DetectorModule. Nothing in the file is executed: it is read as numbers and plain
    containers alone.
    """
    start_anew = "choose another --out to start anew"
    try:
        saved: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        shapes = {key: value.shape for key, value in saved["state_dict"].items()}
        begun: dict[str, Any] = dict(saved[CIRCUMSTANCES])
        begun_epochs = int(saved["epoch"]) + 1
    except Exception as error:  # a damaged pickle can raise anything
        fault = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{checkpoint} is damaged or no checkpoint of a training ({fault[0][:80]}): "
            f"delete it to train from the start, or {start_anew}"
        ) from None
    mine = {key: value.shape for key, value in module.state_dict().items()}
    if shapes != mine:
        differ = {key for key in shapes.keys() | mine.keys() if shapes.get(key) != mine.get(key)}
        raise InputError(
            f"{checkpoint} is of another model ({len(differ)} tensors differ, such as "
            f"{min(differ)}): name the model that it was begun with, or {start_anew}"
        )
    circumstances = module.circumstances()
    asked = {k: v for k, v in circumstances.items() if k in begun or k not in TOLD_LATER}
    for option in {**begun, **asked}:
        now = circumstances.get(option)
        if option != "--epochs" and begun.get(option) != now:
            raise InputError(
                f"{checkpoint} was begun with {option} {_told(begun.get(option))}, and now it is "
                f"{_told(now)}: give the same, or {start_anew}"
            )
    if begun_epochs > module.settings.epochs:
        raise InputError(
            f"{checkpoint} is of epoch {begun_epochs}, more than --epochs "
            f"{module.settings.epochs}: ask for {begun_epochs} or more, or {start_anew}"
        )
    return saved


def circumstances_of(checkpoint: Path) -> dict[str, Any]:
    """How the training was begun, option -> value; empty where there is no such checkpoint.

    Raises InputError for a damaged one. Nothing in it is executed.
    """
    if not checkpoint.is_file():
        return {}
    try:
        return dict(torch.load(checkpoint, "cpu", weights_only=True, mmap=True)[CIRCUMSTANCES])
    except Exception:  # a damaged pickle can raise anything
        raise InputError(
            f"{checkpoint} is damaged or no checkpoint of a training: move it away, and the run is "
            "told without it"
        ) from None


def _told(value: Any) -> str:
    if value is None:
        return "not given"
    return f"{value:g}" if isinstance(value, float) else str(value)
