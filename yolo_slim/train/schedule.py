"""The learning rate over a training: linear warm-up, then a cosine to a hundredth."""

from __future__ import annotations

import math

FINAL_SHARE = 0.01


def lr_share(step: int, n_steps: int, n_warmup: int) -> float:
    """Share of the peak learning rate at optimizer step `step` of `n_steps`, 0 to 1."""
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    progress = min(1.0, (step - n_warmup) / max(1, n_steps - n_warmup))
    return FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * progress)) / 2


def lr_sum(peak_lr: float, n_steps: int, n_warmup: int) -> float:
    """Sum of the learning rate over all steps."""
    return peak_lr * sum(lr_share(step, n_steps, n_warmup) for step in range(n_steps))
