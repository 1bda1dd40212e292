"""Which gammas are pulled at how hard, as the training goes on: functions of the step alone.

Nothing is kept between steps, so a resumed training has nothing to remember.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, ones_like, where

from yolo_slim.train.sparsity_settings import SparsitySettings

MIDDLE = 0.5
"""Share of the steps after which a schedule relaxes."""

RELAXED = 0.01
"""Share of S that a gamma gets that has been let go."""


def relaxing_share(how: SparsitySettings) -> float:
    """Share of the gammas, the largest, that are let go from the middle on."""
    return {"constant": 0.0, "global": 1.0, "local": 1 - how.fraction}[how.schedule]


def strengths(magnitudes: Tensor, progress: float, relaxing: float) -> Tensor:
    """Share of S that each gamma gets, [N]: 1, or RELAXED.

    magnitudes: |gamma| [N], or what stands for it; progress: 0..1; relaxing: see relaxing_share.
    Equal gammas are treated alike: those as small as the largest that is held are held, too.

    >>> from torch import tensor
    >>> strengths(tensor([0.1, 0.9, 0.5, 0.0]), 0.5, relaxing=0.25)
    tensor([1.0000, 0.0100, 1.0000, 1.0000])
    """
    everywhere = ones_like(magnitudes)
    if progress < MIDDLE:
        return everywhere
    n_held = round((1 - relaxing) * magnitudes.numel())
    if n_held == 0:
        return RELAXED * everywhere
    edge = magnitudes.kthvalue(n_held).values
    return where(magnitudes <= edge, everywhere, RELAXED * everywhere)


def pull_sum(lr: Callable[[int], float], n_steps: int, relaxing: float) -> float:
    """Sum over all steps of the learning rate times the share of S that the least important gamma
    gets: S times this is how far it travels where the loss is indifferent to it."""
    late = RELAXED if relaxing == 1 else 1.0
    return sum(lr(step) * (1.0 if step / n_steps < MIDDLE else late) for step in range(n_steps))
