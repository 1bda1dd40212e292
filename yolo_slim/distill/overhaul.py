"""The feature overhaul (Heo et al., ICCV 2019): a student's maps beside its teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolo_slim.distill.taps import Pair


def teacher_transform(teacher: Tensor, margins: Tensor) -> Tensor:
    """max(x, margin) of a map [B, C, H, W] with margins [C]: what lies below is not asked for."""
    return torch.maximum(teacher, margins.to(teacher)[:, None, None])


def partial_l2(student: Tensor, target: Tensor, partial: bool = True) -> Tensor:
    """The mean of squared differences, 0 where student <= target <= 0: there the activation hears
    neither.

    partial: False counts those, too. Both of one shape.
    """
    if partial:
        # Such a target is the student itself: without a mask each map is read once less, forwards
        # and backwards.
        with torch.no_grad():
            target = torch.where(target > 0, target, torch.minimum(student, target))
    return functional.mse_loss(student, target)


class Connector(nn.Sequential):
    """The student's side: 1x1 convolution and BatchNorm to the teacher's width, for training only.

    [B, C_student, H, W] -> [B, C_teacher, H, W].
    """

    def __init__(self, student: int, teacher: int) -> None:
        conv = nn.Conv2d(student, teacher, 1, bias=False)
        nn.init.kaiming_normal_(conv.weight)
        super().__init__(conv, nn.BatchNorm2d(teacher))


class Connectors(nn.Module):
    """One a pair. scale: what their loss is multiplied by; 0 until it was set."""

    scale: Tensor

    def __init__(self, pairs: Sequence[Pair], seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.of = nn.ModuleList(
                Connector(pair.student.channels, pair.teacher.channels) for pair in pairs
            )
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [connector(x) for connector, x in zip(self.of, maps, strict=True)]


def overhaul_loss(
    student: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[float],
    partial: bool = True,
) -> Tensor:  # fmt: skip
    """sum over pairs of weight * `partial_l2`.

    The mean in place of the published sum: a map counts by its weight, not by its size.
    """
    terms = [
        weight * partial_l2(mine, target, partial)
        for mine, target, weight in zip(student, targets, weights, strict=True)
    ]
    return torch.stack(terms).sum()
