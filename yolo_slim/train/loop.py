"""Runs a training: data in, a trained bundle out; stopped at any point, it goes on from there."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, Dataset

from yolo_slim.bundle import Bundle
from yolo_slim.console import note, plain_console, warn
from yolo_slim.errors import InputError
from yolo_slim.nn.fake_quant import with_learned
from yolo_slim.processes import is_first_process, n_processes
from yolo_slim.train.average import Average
from yolo_slim.train.batches import BatchLoader
from yolo_slim.train.checkpoint import (
    CHECKPOINT,
    CIRCUMSTANCES,
    STOPPED,
    KeepState,
    WholeFileIO,
    finished_weights,
    remove_unfinished,
    resumable,
)
from yolo_slim.train.gamma_watch import GammaWatch
from yolo_slim.train.guidance import Guidance
from yolo_slim.train.logs import join_logs, keep_earlier_log
from yolo_slim.train.module import DetectorModule, n_optimizer_steps
from yolo_slim.train.progress import TrainingProgress
from yolo_slim.train.settings import Machines, TrainSettings
from yolo_slim.train.timing import ProfileSteps, StepClock
from yolo_slim.train.travel import announce_travel
from yolo_slim.train.verdict import ApCurve, tell_verdict
from yolo_slim.weights import Weights, weights_of

_ONCE: DataLoader[Any] = DataLoader([0])  # type: ignore[arg-type]
"""One validation step: the score reads its images itself."""


def train(
    bundle: Bundle,
    data: Dataset[Any],
    collate: Callable[[Any], Any],
    settings: TrainSettings,
    out: Path,
    *,
    guidance: Guidance | None = None,
    score: Callable[[nn.Module], dict[str, float]] | None = None,
    label: str = "train",
    resume: bool = False,
    console: Console | None = None,
    told: dict[str, Any] | None = None,
    ap_curve: ApCurve | None = None,
) -> Bundle:
    """Trains for `settings.epochs` and returns the averaged weights.

    data: items for `collate`, with set_epoch(epoch); batches are (images, targets, faults), where
    faults names the pictures that could not be read. score: see DetectorModule. told: what else a
    resumed training must have in common with the one that was begun, option -> value. ap_curve:
    what a cut of the trained bundle costs, for the verdict on sparsity. guidance: of a teacher.
    `out` receives checkpoints/last.ckpt after every epoch and every `settings.checkpoint_minutes`,
    metrics.csv, TensorBoard's events, and sparsity.json.

    A bundle with an INT8 plan is trained with its rounding where settings.ranges says so.
    Raises InputError for any other bundle without BatchNorm and for a checkpoint that is of another
    training, RunError where the loss is not a number, KeyboardInterrupt where it was stopped.
    """
    console = console or plain_console()
    if settings.ranges is None or bundle.precision is None:
        bundle.require_batchnorm("train")
    if settings.keep_zeros is None:
        settings = replace(settings, keep_zeros=bundle.was_zeroed)
    _quiet()
    checkpoint = out / "checkpoints" / CHECKPOINT
    pl.seed_everything(settings.seed, verbose=False)
    machines = _settled(settings.machines)
    settings = replace(settings, machines=machines)
    loader = BatchLoader(
        data, collate, batch_size=settings.batch_size, workers=settings.workers, seed=settings.seed
    )
    clock = StepClock(runs=settings.profile_steps > 0)
    module = DetectorModule(
        bundle,
        settings,
        n_optimizer_steps(
            max(1, len(loader) // (machines.devices * machines.n_nodes // n_processes())),
            settings.accumulate,
        ),
        guidance,
        score,
        clock,
        told,
    )
    if module.kept_zeros is not None:
        console.print(f"{len(module.kept_zeros):,} numbers of kernels are 0 and stay 0")
    if settings.sparsity:
        announce_travel(settings, module.sparsity, module.schedule(), module.n_steps, console)

    def ended(weights: Weights, epochs: int) -> Bundle:
        event, precision = _event(settings, guidance, epochs), bundle.precision
        if precision is not None:
            weights, precision = with_learned(weights, precision, bundle.cfg)
        trained = bundle.then("train", event, weights=weights, precision=precision)
        if settings.sparsity and not settings.profile_steps and is_first_process():
            tell_verdict(trained, out, console, ap_curve)
        return trained

    start = checkpoint if resume and checkpoint.is_file() else None
    if start is not None:
        saved = resumable(start, module)
        done = finished_weights(saved, module)
        if done is not None:
            n_epochs = int(saved["epoch"]) + 1
            why = "is of the last step"
            if saved.get(STOPPED):
                why = f"has ended at epoch {n_epochs}, as --sparsity-patience says"
            note(console, f"{start} {why}: nothing was left to train")
            return ended(done, n_epochs)
        _tell_other_length(saved, module, console)
        keep_earlier_log(out)
    remove_unfinished(checkpoint)
    scores = settings.validations and score is not None and not settings.profile_steps
    profile = ProfileSteps(clock, settings.profile_steps)
    trainer = pl.Trainer(
        max_epochs=10**6 if settings.profile_steps else settings.epochs,
        accelerator="auto",
        devices=machines.devices,
        num_nodes=machines.n_nodes,
        strategy=_strategy(settings, machines),
        precision=_precision(settings.precision),
        plugins=[WholeFileIO()],
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_gradient_norm,
        callbacks=[
            Average(settings.ema_decay),
            *(
                [profile]
                if settings.profile_steps
                else [
                    GammaWatch(console),
                    TrainingProgress(label, settings.epochs, console),
                    KeepState(checkpoint, settings.checkpoint_minutes),
                ]
            ),
        ],
        logger=not settings.profile_steps
        and [
            CSVLogger(out, name="", version=""),
            TensorBoardLogger(out, name="tensorboard", version=""),
        ],
        limit_val_batches=1 if scores else 0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=not settings.profile_steps,
        use_distributed_sampler=False,
        log_every_n_steps=1,
    )
    ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loader, _ONCE, ckpt_path=start, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C; it turns a second one off, too
        signal.signal(signal.SIGINT, ctrl_c or signal.default_int_handler)
        raise KeyboardInterrupt from None
    if settings.profile_steps:
        profile.tell(console)
    else:
        join_logs(out)
    _tell_left_out(module.left_out, console)
    return ended(weights_of(module.network), trainer.current_epoch)


def _settled(machines: Machines) -> Machines:
    """Every number known: what was typed, else what torchrun has begun, else what is there.

    Raises InputError where they contradict each other.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and machines.devices > gpus:
        raise InputError(f"--devices {machines.devices}: this machine has {gpus} GPUs")
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return replace(machines, devices=machines.devices or max(gpus, 1))
    here, everywhere = (int(os.environ[f"{name}WORLD_SIZE"]) for name in ("LOCAL_", ""))
    nodes = everywhere // here
    if machines.devices not in (0, here) or machines.n_nodes not in (1, nodes):
        raise InputError(
            f"torchrun has begun {here} processes on {nodes} machines, asked for are --devices "
            f"{machines.devices} --num-nodes {machines.n_nodes}: leave these options out"
        )
    return replace(machines, devices=here, n_nodes=nodes)


def _tell_other_length(saved: dict[str, Any], module: DetectorModule, console: Console) -> None:
    """A training may be made longer or shorter; its learning rate then follows another curve."""
    before, now = saved[CIRCUMSTANCES]["--epochs"], module.settings.epochs
    if before != now:
        note(
            console,
            f"begun with --epochs {before}, now {now}: from here on the learning rate is that of "
            f"{now} epochs",
        )


def _tell_left_out(left_out: dict[str, int], console: Console) -> None:
    """Which pictures could not be read, and that others took their place."""
    if left_out:
        warn(
            console,
            f"pictures that could not be read: {len(left_out)} ({sum(left_out.values())} times in "
            "all); the next ones took their place: " + "; ".join(sorted(left_out)[:5])
            + ("..." if len(left_out) > 5 else ""),
        )  # fmt: skip


def _event(settings: TrainSettings, guidance: Guidance | None, epochs: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "epochs": epochs, "batch_size": settings.batch_size, "lr": settings.lr,
    }  # fmt: skip
    if settings.sparsity:
        told["sparsity"] = settings.sparsity
        told |= {f"sparsity_{name}": value for name, value in settings.sparse.changed().items()}
    if settings.keep_zeros:
        told["keep_zeros"] = True
    if guidance is not None:
        told |= guidance.told()
    if not settings.labels:
        told["labels"] = False
    if settings.ranges is not None:
        told["ranges"] = settings.ranges
    return {**told, "seed": settings.seed}


def has_bf16() -> bool:
    """Whether bf16 is computed by the machine rather than imitated."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _strategy(settings: TrainSettings, machines: Machines) -> str:
    """Without labels the heads are not trained: several processes have to expect that."""
    if settings.labels or machines.devices * machines.n_nodes == 1:
        return machines.strategy
    return "ddp_find_unused_parameters_true"


def _precision(wanted: str) -> Any:
    if wanted == "bf16" or (wanted == "auto" and has_bf16()):
        return "bf16-mixed"
    return "64-true" if wanted == "float64" else "32-true"


def _quiet() -> None:
    """Lightning's advice is for those who write loops, not for those who run this one."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for name in ("lightning.fabric", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for package in ("pytorch_lightning", "lightning_fabric", "lightning_utilities"):
        warnings.filterwarnings("ignore", module=f"{package}.*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
