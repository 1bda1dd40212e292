"""What a training asks of a teacher, whoever that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Guidance(Protocol):
    """See distill.Distiller."""

    @property
    def connectors(self) -> nn.Module | None:
        """Trained beside the network, kept in checkpoints, never in a bundle."""

    @property
    def taps(self) -> Collection[int]:
        """Sections of the network whose maps it wants."""

    @property
    def before_activation(self) -> bool:
        """Whether it wants them before their activation."""

    @property
    def stride_px(self) -> int:
        """The teacher's coarsest: both sides of its images are multiples of it."""

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Once, before the first step."""

    def ask(self, images: Tensor) -> Any:
        """What the teacher says to images [B, C, H, W], 0..1."""

    def terms(
        self, answer: Any, raws: Sequence[Tensor], maps: Mapping[int, Tensor], targets: Tensor,
        own_loss: Tensor | None, input_hw: tuple[int, int],
    ) -> dict[str, Tensor]:  # fmt: skip
        """name -> what is added to the loss by the labels, own_loss."""

    def told(self) -> dict[str, Any]:
        """Option -> value, for a record of what was done."""
