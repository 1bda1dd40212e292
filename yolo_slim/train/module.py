"""The Lightning module of a detector: forward, loss, optimizer, and what happens after its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn

from yolo_slim.bundle import Bundle
from yolo_slim.errors import DataError, RunError
from yolo_slim.train.classify import classification_loss
from yolo_slim.train.loss import detection_loss
from yolo_slim.train.schedule import lr_share
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import GAMMA_EPS, gamma_lr, shrink, sparse_gammas, zero_like
from yolo_slim.train.teacher import Teacher, logit_loss
from yolo_slim.weights import network_of

INPUT_HW = "yolo_slim_input_hw"
"""What a checkpoint says beyond Lightning's: tensors have one shape at every input size."""


class DetectorModule(pl.LightningModule):
    """Trains a bundle's network: a detector, or a classifier where it has no heads.

    steps: (all optimizer steps, those of the warm-up).
    score: the network in evaluation mode -> numbers to log; called `settings.validations` times,
    the last time after the last epoch.
    scored: the latest of these numbers, and the epoch (from 1) after which they were measured.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: TrainSettings,
        steps: tuple[int, int],
        teacher: Teacher | None = None,
        score: Callable[[nn.Module], dict[str, float]] | None = None,
    ) -> None:
        super().__init__()
        network = network_of(bundle.cfg, bundle.weights)
        self.network = network.to(memory_format=torch.channels_last).train()
        self.cfg = bundle.cfg
        self.criterion = detection_loss if bundle.cfg.heads else classification_loss
        self.settings, self.steps, self.teacher, self.score = settings, steps, teacher, score
        self.scored: tuple[int, dict[str, float]] | None = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if isinstance(batch, DataError):
            raise batch
        images, targets = batch
        images = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        raws = self.network(images)
        with torch.autocast(self.device.type, enabled=False):
            terms = self.criterion(raws, targets, self.cfg)
        if self.teacher is not None and self.settings.distill:
            theirs = self.teacher(images)
            with torch.autocast(self.device.type, enabled=False):
                terms["teacher"] = self.settings.distill * logit_loss(raws, theirs, self.cfg)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss became {loss.item()} at step {self.global_step}: the last good state is "
                "in the checkpoint; try a lower --lr"
            )
        logged = {"loss": loss.detach(), **{k: v.detach() for k, v in terms.items()}}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """One call stands for the whole validation set; `score` reads the images itself."""
        # Counted from the end, so that the last epoch is always scored.
        every = max(1, round(self.settings.epochs / max(1, self.settings.validations)))
        epoch = self.current_epoch + 1
        if self.score is not None and (self.settings.epochs - epoch) % every == 0:
            numbers = self.score(self.network)
            self.scored = epoch, numbers
            self.log_dict(numbers, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[INPUT_HW] = list(self.cfg.input_hw)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Kernels, other parameters, and the gammas that sparsity judges, as AdamW takes them."""
        # Kernels decay; gamma, beta and biases do not: sparsity alone speaks to gamma.
        gammas = sparse_gammas(self.network) if self.settings.sparsity else []
        judged = {id(gamma) for gamma in gammas}
        decaying = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1 and id(p) not in judged]
        return [
            {"params": decaying, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
            {
                "params": gammas,
                "weight_decay": 0.0,
                "lr": gamma_lr(self.settings),
                "eps": GAMMA_EPS,
            },
        ]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameter_groups(), lr=self.settings.lr, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_share(step, *self.steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning refuses to clip for a fused optimizer under autocast, for the sake of float16's
        # loss scaling, which bfloat16 does without.
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.settings.sparsity:
            lr = optimizer.param_groups[-1]["lr"]  # that of the gammas
            shrink(sparse_gammas(self.network), lr * self.settings.sparsity)

    def on_train_epoch_end(self) -> None:
        gammas = sparse_gammas(self.network)
        if gammas:
            values = torch.cat([g.detach().abs() for g in gammas])
            self.log("gamma_below_0.01", (values < 0.01).float().mean())
            for logger in self.loggers:
                if isinstance(logger, pl.loggers.TensorBoardLogger):
                    logger.experiment.add_histogram("gamma", values, self.current_epoch)


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
        if pl_module.settings.sparsity:
            assert self._average_model is not None
            averaged: Any = self._average_model.module.network
            zero_like(sparse_gammas(averaged), sparse_gammas(pl_module.network))
