"""The Lightning module of a detector: forward, loss, optimizer, and what happens after its step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, net_keys, render
from yolo_slim.errors import DataError, RunError
from yolo_slim.processes import mean_over_processes, n_processes, rank
from yolo_slim.train.checkpoint import CIRCUMSTANCES
from yolo_slim.train.classify import classification_loss
from yolo_slim.train.guidance import Guidance
from yolo_slim.train.keep_zeros import KeptZeros
from yolo_slim.train.loss import detection_loss
from yolo_slim.train.multi_scale import MultiScale
from yolo_slim.train.optimizer import make_optimizer
from yolo_slim.train.schedule import Schedule, darknet_schedule, lr_share
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import Sparsity
from yolo_slim.train.sync_batchnorm import synchronised
from yolo_slim.train.timing import StepClock
from yolo_slim.weights import network_of


class DetectorModule(pl.LightningModule):
    """Trains a bundle's network: a detector, or a classifier where it has no heads.

    steps_per_epoch: optimizer steps.
    score: the network in evaluation mode -> numbers to log; called `settings.validations` times,
    the last time after the last epoch.
    scored: the latest of these numbers, and the epoch (from 1) after which they were measured.
    left_out: what could not be read, message -> how often it was met.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: TrainSettings,
        steps_per_epoch: int,
        guidance: Guidance | None = None,
        score: Callable[[nn.Module], dict[str, float]] | None = None,
        clock: StepClock | None = None,
        told: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        precision = None if settings.ranges is None else bundle.precision
        learned = settings.ranges == "learned"
        network = network_of(bundle.cfg, bundle.weights, precision, learned)
        self.network = network.channels_last().train()
        self.kept_zeros = KeptZeros(network) if settings.keep_zeros else None
        self.cfg = bundle.cfg
        self.settings, self.guidance, self.score = settings, guidance, score
        self.connectors = None if guidance is None else guidance.connectors
        if self.connectors is not None:
            self.connectors.to(self.weights_dtype)
        self.clock = clock or StepClock.stopped()
        self.told = told or {}
        self.steps_per_epoch = steps_per_epoch
        self.sparsity = Sparsity(bundle.cfg, settings, self.n_steps)
        theirs = 1 if guidance is None else guidance.stride_px
        self.multi_scale = MultiScale(bundle.cfg, settings.multi_scale, settings.seed, theirs)
        # A function and no module: the checkpoint holds the network once, under its own names.
        self.run = torch.compile(network.forward) if settings.compiled else network.forward
        self.scored: tuple[int, dict[str, float]] | None = None
        self.left_out: dict[str, int] = {}
        self.ends_early = False  # after this epoch, which was not planned as the last

    @property
    def weights_dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def n_steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    @property
    def n_warmup(self) -> int:
        return min(round(self.settings.warmup_epochs * self.steps_per_epoch), self.n_steps // 3)

    def circumstances(self) -> dict[str, Any]:
        """What a resumed training must have in common with the one that was begun."""
        s = self.settings
        anchors = [list(a) for y in self.cfg.heads[:1] for a in getattr(y, "anchors_wh", ())]
        return {
            "--size": f"{self.cfg.net.width}x{self.cfg.net.height}",
            "--lr": s.lr,
            "--optimizer": s.optimizer,
            "--schedule": s.schedule,
            "--sparsity": s.sparsity,
            "--keep-zeros": f"{len(self.kept_zeros)} zeros" if self.kept_zeros else None,
            **({f"--sparsity-{k}": v for k, v in asdict(s.sparse).items()} if s.sparsity else {}),
            **({"--ranges": s.ranges} if s.ranges else {}),
            "--batch-size": s.batch_size,
            "--accumulate": s.accumulate,
            "--seed": s.seed,
            "--epochs": s.epochs,
            "--weight-decay": s.weight_decay,
            "--multi-scale": s.multi_scale,
            "--precision": s.precision,
            "loss": str(s.loss),
            "labels": s.labels,
            "--sync-bn": s.machines.sync_batchnorm,
            "warmup_epochs": s.warmup_epochs,
            "ema_decay": s.ema_decay,
            "classes": self.cfg.n_classes,
            "anchors": " ".join(f"{w:g},{h:g}" for w, h in anchors),
            "processes": s.machines.devices * s.machines.n_nodes,
            **self.told,
            **self._lessons(),
            "cfg": sha256(render(self.cfg).encode()).hexdigest()[:8],  # whatever else it says
        }

    def _lessons(self) -> dict[str, Any]:
        lessons = {} if self.guidance is None else self.guidance.told()
        return {f"--{name.replace('_', '-')}": str(value) for name, value in lessons.items()}

    def setup(self, stage: str) -> None:
        if n_processes() > 1 and self.settings.machines.sync_batchnorm:
            synchronised(self)

    def on_fit_start(self) -> None:
        if self.guidance is not None:
            self.guidance.to(self.device, self.weights_dtype)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.clock.tick("data")
        # Dropout's draws follow from the place in the training, as everything else does: nothing
        # has to be kept for a resumed run to draw the same.
        place = self.current_epoch * 1_000_003 + batch_idx
        torch.manual_seed((self.settings.seed * 7_919 + place) * 1_031 + rank())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if isinstance(batch, DataError):
            raise batch
        images, targets, faults = batch
        for fault in faults:
            self.left_out[fault] = self.left_out.get(fault, 0) + 1
        images = (images.to(self.weights_dtype) / 255).contiguous(memory_format=torch.channels_last)
        cfg = self.cfg
        if self.cfg.heads:
            images, targets, cfg = self.multi_scale(images, targets, self.global_step)
        raws, maps = self._forward(images)
        self.clock.tick("forward")
        terms: dict[str, Tensor] = {}
        if self.settings.labels:
            with torch.autocast(self.device.type, enabled=False):
                terms = self._terms_of_labels(raws, targets, cfg)
        if self.guidance is not None:
            answer = self.guidance.ask(images)
            self.clock.tick("teacher")
            own = torch.stack(list(terms.values())).sum() if terms else None
            height, width = images.shape[2:]
            terms |= self.guidance.terms(answer, raws, maps, targets, own, (height, width))
        loss = torch.stack(list(terms.values())).sum()
        # Asked of all processes: one that stops alone leaves the others waiting.
        if mean_over_processes(float(not torch.isfinite(loss)), self.device):
            raise RunError(
                f"the loss became {loss.item()} at step {self.global_step}: the last good state is "
                "in the checkpoint; try a lower --lr"
            )
        lr = loss.new_tensor(self.trainer.optimizers[0].param_groups[0]["lr"])
        logged = {"loss": loss.detach(), **{k: v.detach() for k, v in terms.items()}, "lr": lr}
        self.log_dict(
            logged, on_step=False, on_epoch=True, batch_size=len(images),
            sync_dist=n_processes() > 1,
        )  # fmt: skip
        self.clock.tick("loss")
        return loss

    def _forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], dict[int, Tensor]]:
        if self.guidance is None or not self.guidance.taps:
            return self.run(images), {}
        return self.network.forward_with_taps(
            images, self.guidance.taps, self.guidance.before_activation
        )

    def _terms_of_labels(
        self, raws: tuple[Tensor, ...], targets: Tensor, cfg: Cfg
    ) -> dict[str, Tensor]:
        if self.cfg.heads:
            return detection_loss(raws, targets, cfg, self.settings.loss)
        return classification_loss(raws, targets, cfg, self.settings.loss.label_smoothing)

    def on_after_backward(self) -> None:
        self.clock.tick("backward")

    def on_train_batch_end(self, *_: Any) -> None:
        self.clock.tick("step")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """One call stands for the whole validation set; `score` reads the images itself."""
        # Counted from the end, so that the last epoch is always scored.
        every = max(1, round(self.settings.epochs / max(1, self.settings.validations)))
        epoch = self.current_epoch + 1
        due = (self.settings.epochs - epoch) % every == 0 or self.ends_early
        if self.score is not None and due:
            numbers = {}
            if self.trainer.is_global_zero:
                # In float32, as `evaluate` will: what is scored is what is kept.
                with torch.autocast(self.device.type, enabled=False):
                    numbers = self.score(self.network)
            numbers = self.trainer.strategy.broadcast(numbers)
            self.scored = epoch, numbers
            self.log_dict(numbers, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CIRCUMSTANCES] = self.circumstances()

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.network, self.settings, self.connectors)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule())
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def schedule(self) -> Schedule:
        if self.settings.schedule == "cfg":
            return darknet_schedule(net_keys(self.cfg), self.n_steps)
        return lambda step: lr_share(step, self.n_steps, self.n_warmup)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning refuses to clip for a fused optimizer under autocast, for the sake of float16's
        # loss scaling, which bfloat16 does without.
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.settings.sparsity:
            lr = optimizer.param_groups[-1]["lr"]  # that of the gammas
            self.sparsity.step(self.network, lr, self.global_step)
        if self.kept_zeros is not None:
            self.kept_zeros.restore(self.network)


def n_optimizer_steps(n_batches: int, accumulate: int) -> int:
    """Optimizer steps an epoch: the rest of an accumulation is a step, too."""
    return math.ceil(n_batches / accumulate)
