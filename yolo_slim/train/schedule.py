"""The learning rate over a training, as a share of its peak."""

from __future__ import annotations

import math
from collections.abc import Callable

from yolo_slim.cfg import NetKeys
from yolo_slim.errors import InputError

FINAL_SHARE = 0.01

Schedule = Callable[[int], float]
"""Optimizer step, from 0 -> share of the peak learning rate, 0 to 1."""


def lr_share(step: int, n_steps: int, n_warmup: int) -> float:
    """Linear warm-up, then a cosine to a hundredth."""
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    progress = min(1.0, (step - n_warmup) / max(1, n_steps - n_warmup))
    return FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * progress)) / 2


def darknet_schedule(keys: NetKeys, n_steps: int) -> Schedule:
    """What [net] says (`get_current_rate` of AlexeyAB's Darknet), stretched to `n_steps`.

    burn_in: the share rises as (step / burn_in) ^ power, over at most a third of the training.
    policy=constant; steps: at each of `steps` the rate is multiplied by one of `scales`;
    poly: (1 - step / max_batches) ^ power.

    Raises InputError for another policy.
    """
    if keys.policy not in ("constant", "steps", "poly"):
        raise InputError(
            f"[net] policy={keys.policy} is not supported: --schedule cosine is, and the policies "
            "constant, steps and poly"
        )
    if len(keys.steps) != len(keys.scales):
        raise InputError(f"[net] has {len(keys.steps)} steps and {len(keys.scales)} scales")
    stretch = (keys.max_batches or n_steps) / n_steps
    n_burn_in = min(keys.burn_in, n_steps // 3)

    def share(step: int) -> float:
        if step < n_burn_in:
            return float(((step + 1) / n_burn_in) ** keys.power)
        place = step * stretch
        if keys.policy == "poly":
            return float(max(0.0, 1 - step / n_steps) ** keys.power)
        if keys.policy == "steps":
            pairs = zip(keys.steps, keys.scales, strict=True)
            return math.prod(scale for at, scale in pairs if place >= at)
        return 1.0

    return share
