"""What a sparsity will do to gammas, told before the training."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console

from yolo_slim.console import warn
from yolo_slim.train.schedule import Schedule
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import Sparsity, gamma_lr
from yolo_slim.train.sparsity_schedule import pull_sum

ENOUGH_TRAVEL = 0.5
"""A gamma starts near 1: pulled by less than this, few reach 0."""

UNDEFENDED = 1
"""From this S on no loss can hold a gamma against it."""

CRUSHING = 0.5
"""From this S times its weight on, a gamma must be worth 20 times what most are (0.1 a unit where
they have 0.005, docs/adr/0003): a layer that is pulled at so hard goes, and the network with it."""


def announce_travel(
    settings: TrainSettings, sparsity: Sparsity, schedule: Schedule, n_steps: int, console: Console
) -> None:
    """Prints how far a gamma travels that the loss does not defend; warns where that is too little
    for most, or where some cannot be defended."""
    weights = sparsity.weights.numpy()
    if not len(weights):
        warn(console, "--sparsity finds no channel that may go")
        return
    travel = settings.sparsity * pull_sum(
        lambda step: gamma_lr(settings) * schedule(step), n_steps, sparsity.relaxing
    )
    spread = weights.min() < weights.max()
    low, most, high = (float(q) * travel for q in np.quantile(weights, (0, 0.5, 1)))
    console.print(
        f"sparsity {settings.sparsity:g}: a gamma that the loss does not defend travels "
        f"{travel:.2f} towards 0 in {n_steps} steps"
        + (f" (by what its channel costs {low:.2g} to {high:.2g}, half of them up to {most:.2g})"
           if spread else "")
    )  # fmt: skip
    if most < ENOUGH_TRAVEL:
        epochs = math.ceil(settings.epochs / most)
        stronger = float(f"{settings.sparsity / most:.2g}")
        way_out = f"about {epochs} epochs" + (
            f", or sparsity {stronger:g}" if stronger < UNDEFENDED else ""
        )
        warn(
            console,
            f"gammas start near 1, and {most:.2f} is below {ENOUGH_TRAVEL}: few will arrive. "
            f"Use {way_out}",
        )
    if settings.sparsity >= UNDEFENDED:
        warn(console, f"with sparsity {UNDEFENDED} or more no gamma can be defended")
    elif spread and settings.sparsity * weights.max() >= CRUSHING:
        lost = settings.sparsity * weights >= CRUSHING
        warn(
            console,
            f"{lost.mean():.1%} of the channels cost so much that hardly a gamma of theirs can be "
            f"defended: sparsity below {CRUSHING / weights.max():.2g} leaves them a choice",
        )
