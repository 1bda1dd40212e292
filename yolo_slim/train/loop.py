"""Runs a training: data in, a trained bundle out; stopped at any point, it goes on from there."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from yolo_slim.bundle import Bundle
from yolo_slim.console import plain_console, warn
from yolo_slim.errors import InputError
from yolo_slim.train.module import INPUT_HW, Average, DetectorModule
from yolo_slim.train.progress import TrainingProgress
from yolo_slim.train.schedule import lr_sum
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import ENOUGH_TRAVEL, UNDEFENDED, gamma_lr
from yolo_slim.train.teacher import Teacher
from yolo_slim.weights import weights_of

CHECKPOINT = "last.ckpt"

_ONCE: DataLoader[Any] = DataLoader([0])  # type: ignore[arg-type]
"""One validation step: the score reads its images itself."""


class EpochSampler(Sampler[int]):
    """A new order each epoch, from the seed and the epoch alone: a resumed run sees the same."""

    def __init__(self, data: Sized, seed: int) -> None:
        self.data, self.seed, self.epoch = data, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return iter(torch.randperm(len(self.data), generator=generator).tolist())


def train(
    bundle: Bundle,
    data: Dataset[Any],
    collate: Callable[[Any], Any],
    settings: TrainSettings,
    out: Path,
    *,
    teacher: Bundle | None = None,
    score: Callable[[nn.Module], dict[str, float]] | None = None,
    label: str = "train",
    resume: bool = False,
    console: Console | None = None,
) -> Bundle:
    """Trains for `settings.epochs` and returns the averaged weights.

    data: items for `collate`, with set_epoch(epoch). score: see DetectorModule. `out` receives
    checkpoints/last.ckpt after every epoch, metrics.csv and TensorBoard's events.

    Raises InputError for a bundle without BatchNorm and for a checkpoint that is of another
    training, RunError where the loss is not a number, KeyboardInterrupt where it was stopped.
    """
    console = console or plain_console()
    bundle.require_batchnorm("train")
    _quiet()
    checkpoint = out / "checkpoints" / CHECKPOINT
    pl.seed_everything(settings.seed, verbose=False)
    loader = DataLoader(
        data,
        batch_size=settings.batch_size,
        sampler=EpochSampler(data, settings.seed),  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
        drop_last=len(data) > settings.batch_size,  # type: ignore[arg-type]
    )
    steps_per_epoch = math.ceil(len(loader) / settings.accumulate)
    n_steps = steps_per_epoch * settings.epochs
    n_warmup = min(round(settings.warmup_epochs * steps_per_epoch), n_steps // 3)
    if settings.sparsity:
        _announce_travel(settings, n_steps, n_warmup, console)
    module = DetectorModule(
        bundle,
        settings,
        (n_steps, n_warmup),
        None if teacher is None else Teacher(teacher, bundle.cfg),
        score,
    )
    start = checkpoint if resume and checkpoint.is_file() else None
    if start is not None:
        require_resumable(start, module)
        _keep_earlier_log(out)
    trainer = pl.Trainer(
        max_epochs=settings.epochs,
        accelerator="auto",
        devices=1,
        precision=_precision(settings.precision),
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_gradient_norm,
        callbacks=[
            Average(settings.ema_decay),
            TrainingProgress(label, settings.epochs, console),
            ModelCheckpoint(
                checkpoint.parent,
                filename=checkpoint.stem,
                save_top_k=1,
                enable_version_counter=False,
                save_on_train_epoch_end=True,
            ),
        ],
        logger=[
            CSVLogger(out, name="", version=""),
            TensorBoardLogger(out, name="tensorboard", version=""),
        ],
        limit_val_batches=1 if settings.validations and score is not None else 0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loader, _ONCE, ckpt_path=start, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C; it turns a second one off, too
        signal.signal(signal.SIGINT, ctrl_c or signal.default_int_handler)
        raise KeyboardInterrupt from None
    weights = {k.removeprefix("network."): v for k, v in weights_of(module).items()}
    return bundle.then("train", _event(settings, teacher), weights=weights)


def _event(settings: TrainSettings, teacher: Bundle | None) -> dict[str, Any]:
    told = {"epochs": settings.epochs, "batch_size": settings.batch_size, "lr": settings.lr}
    if settings.sparsity:
        told["sparsity"] = settings.sparsity
    if teacher is not None:
        told["distill"] = settings.distill
    return {**told, "seed": settings.seed}


def _announce_travel(
    settings: TrainSettings, n_steps: int, n_warmup: int, console: Console
) -> None:
    travel = settings.sparsity * lr_sum(gamma_lr(settings), n_steps, n_warmup)
    console.print(
        f"sparsity {settings.sparsity:g}: a gamma that the loss does not defend travels "
        f"{travel:.2f} towards 0 in {n_steps} steps"
    )
    if travel < ENOUGH_TRAVEL:
        epochs = math.ceil(settings.epochs / travel)
        stronger = float(f"{settings.sparsity / travel:.2g}")
        way_out = f"about {epochs} epochs" + (
            f", or sparsity {stronger:g}" if stronger < UNDEFENDED else ""
        )
        warn(
            console,
            f"gammas start near 1, and {travel:.2f} is below {ENOUGH_TRAVEL}: few will arrive. "
            f"Use {way_out}",
        )
    if settings.sparsity >= UNDEFENDED:
        warn(console, f"with sparsity {UNDEFENDED} or more no gamma can be defended")


def require_resumable(checkpoint: Path, module: DetectorModule) -> None:
    """Raises InputError, naming the checkpoint, where a training of `module` cannot go on from it.

    Nothing in the file is executed: it is read as numbers and plain containers alone.
    """
    start_anew = "choose another --out to start anew"
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        shapes = {key: value.shape for key, value in saved["state_dict"].items()}
        groups = saved["optimizer_states"][0]["param_groups"]
        n_in_groups = [len(group["params"]) for group in groups]
        lr, done = groups[0]["initial_lr"], int(saved["epoch"]) + 1
        input_hw = tuple(saved.get(INPUT_HW, module.cfg.input_hw))
    except Exception as error:  # a damaged pickle can raise anything
        fault = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{checkpoint} is damaged or no checkpoint of a training ({fault[0][:80]}): "
            f"delete it to train from the start, or {start_anew}"
        ) from None
    settings = module.settings
    mine = {key: value.shape for key, value in module.state_dict().items()}
    if shapes != mine:
        differ = {key for key in shapes.keys() | mine.keys() if shapes.get(key) != mine.get(key)}
        raise InputError(
            f"{checkpoint} is of another model ({len(differ)} tensors differ, such as "
            f"{min(differ)}): name the model that it was begun with, or {start_anew}"
        )
    if input_hw != module.cfg.input_hw:
        told = [f"{width}x{height}" for height, width in (input_hw, module.cfg.input_hw)]
        raise InputError(
            f"{checkpoint} was begun at {told[0]} px, not {told[1]}: give the same --size, or "
            f"{start_anew}"
        )
    if n_in_groups != [len(group["params"]) for group in module.parameter_groups()]:
        was, now = ("without", "with") if settings.sparsity else ("with", "without")
        raise InputError(
            f"{checkpoint} was begun {was} sparsity, and now it is {now}: give the same "
            f"--sparsity, or {start_anew}"
        )
    if lr != settings.lr:
        raise InputError(
            f"{checkpoint} was begun with --lr {lr:g}, not {settings.lr:g}: give the same, or "
            f"{start_anew}"
        )
    if done > settings.epochs:
        raise InputError(
            f"{checkpoint} has done {done} epochs, more than --epochs {settings.epochs}: ask for "
            f"{done} or more, or {start_anew}"
        )


def _keep_earlier_log(out: Path) -> None:
    """Lightning starts metrics.csv anew; what an interrupted part logged keeps a number."""
    earlier = out / "metrics.csv"
    if earlier.is_file():
        earlier.rename(out / f"metrics-{len(list(out.glob('metrics-*.csv'))):03d}.csv")


def has_bf16() -> bool:
    """Whether bf16 is computed by the machine rather than imitated."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _precision(wanted: str) -> Any:
    if wanted == "bf16" or (wanted == "auto" and has_bf16()):
        return "bf16-mixed"
    return "32-true"


def _quiet() -> None:
    """Lightning's advice is for those who write loops, not for those who run this one."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    for package in ("pytorch_lightning", "lightning_fabric", "lightning_utilities"):
        warnings.filterwarnings("ignore", module=f"{package}.*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
