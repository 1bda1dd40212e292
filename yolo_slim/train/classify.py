"""The loss of an image classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from yolo_slim.cfg import Cfg
from yolo_slim.nn.decode import class_logits

LABEL_SMOOTHING = 0.1
"""Szegedy et al., Rethinking the Inception Architecture, 2016."""


def classification_loss(
    raws: Sequence[Tensor], class_ids: Tensor, cfg: Cfg, label_smoothing: float | None = None
) -> dict[str, Tensor]:
    """Cross entropy of the network's one output [B, C, 1, 1] with class_ids int64 [B]."""
    smoothing = LABEL_SMOOTHING if label_smoothing is None else label_smoothing
    return {"class": F.cross_entropy(class_logits(raws, cfg), class_ids, label_smoothing=smoothing)}
