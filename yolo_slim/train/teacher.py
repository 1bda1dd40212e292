"""A teacher's opinion as a soft target for a student with the same heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.nn.decode import split_raw
from yolo_slim.train.loss import not_half
from yolo_slim.train.processes import mean_over_processes
from yolo_slim.weights import network_of


class Teacher:
    """A trained network that is only asked. It is no part of the module that learns from it:
    not in its checkpoint, its average or its gradient exchange, and never copied."""

    def __init__(self, bundle: Bundle, student: Cfg) -> None:
        """Raises InputError where the heads cannot be compared cell by cell."""
        heads = [
            [(y.mask, y.anchors_wh, y.classes, y.new_coords) for y in cfg.yolos]
            for cfg in (bundle.cfg, student)
        ]
        if heads[0] != heads[1] or bundle.cfg.input_hw != student.input_hw:
            raise InputError(
                f"teacher {bundle.cfg.source} and student {student.source} differ in heads, "
                "anchors, classes or input size: their outputs cannot be compared"
            )
        self.cfg = bundle.cfg
        folded = fold_batchnorm(bundle)  # the same answers in less time
        network = network_of(folded.cfg, folded.weights).requires_grad_(False)
        self.network = network.to(memory_format=torch.channels_last)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.network.to(device, dtype)

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            raws: tuple[Tensor, ...] = self.network(images)
            return raws

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        return self


def logit_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], cfg: Cfg) -> Tensor:
    """How far the student's maps are from the teacher's, per object that the teacher sees.

    Objectness and class logits by binary cross-entropy against the teacher's probabilities
    (Hinton et al., 2015, with the sigmoid of a detector in place of the softmax), offsets by
    smooth L1; class and box terms are weighted by the teacher's objectness.
    """
    total = not_half(student[0]).new_zeros(())
    seen = not_half(student[0]).new_zeros(())
    for ours_raw, theirs_raw, yolo in zip(student, teacher, cfg.yolos, strict=True):
        ours = split_raw(not_half(ours_raw), yolo)
        theirs = split_raw(not_half(theirs_raw), yolo)
        if yolo.new_coords:
            raise InputError("logit distillation of new_coords heads is not supported")
        believed = theirs[..., 4].sigmoid()
        objectness = F.binary_cross_entropy_with_logits(ours[..., 4], believed, reduction="sum")
        classes = F.binary_cross_entropy_with_logits(
            ours[..., 5:], theirs[..., 5:].sigmoid(), reduction="none"
        ).sum(dim=-1)
        offsets = F.smooth_l1_loss(
            torch.cat((ours[..., :2].sigmoid(), ours[..., 2:4]), dim=-1),
            torch.cat((theirs[..., :2].sigmoid(), theirs[..., 2:4]), dim=-1),
            reduction="none",
            beta=0.1,
        ).sum(dim=-1)
        total = total + objectness + (believed * (classes + offsets)).sum()
        seen = seen + believed.sum()
    return total / max(mean_over_processes(float(seen), seen.device), 1.0)
