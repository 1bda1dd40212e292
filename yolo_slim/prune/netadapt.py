"""Step by step to a latency: each time the cut that costs the least quality per millisecond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.cfg.coupling import Mask
from yolo_slim.errors import InputError
from yolo_slim.prune.limits import USUAL, Limits
from yolo_slim.prune.placer import Layer, Placer
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import DEFAULT_SCORING, Scoring

STEPS = 12
"""Steps from the whole network to the target."""

CANDIDATES = 6
"""Cuts of a step whose quality is measured: those that lose the least score per millisecond."""


@dataclass(frozen=True)
class Step:
    """One step taken: section whose group of layers was narrowed, and what came of it."""

    section: int
    ms: float
    AP: float


@dataclass(frozen=True)
class Adapted:
    """plan: the last one, whose predicted latency meets the target. steps: the way there."""

    plan: Plan
    steps: tuple[Step, ...]


def plan_netadapt(
    bundle: Bundle,
    predict_ms: Callable[[Cfg], float],
    target_ms: float,
    score: Callable[[Plan], float],
    scoring: Scoring = DEFAULT_SCORING,
    limits: Limits = USUAL,
    n_steps: int = STEPS,
    n_candidates: int = CANDIDATES,
    start: Plan | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Adapted:
    """Narrows one group of layers at a time, after Yang et al. (NetAdapt, ECCV 2018).

    predict_ms: latency of a cfg from a table, see `LatencyTable`. score: AP of a plan, measured on
    pictures without any training. Each step asks every group by itself for the same saving, the
    rest of the way over the steps that are left; the cheapest by score are measured, and that with
    the least AP lost per millisecond is taken. start: a plan to go on from.

    Raises InputError, with the least latency found, where all groups together cannot reach it.
    """
    placer = Placer(bundle, scoring, limits)
    plan = start or placer.dropping(0)
    now_ms = predict_ms(plan.narrowed)
    AP = score(plan)
    steps: list[Step] = []
    while now_ms > target_ms:
        saving = (now_ms - target_ms) / max(n_steps - len(steps), 1)
        cuts = []
        for layer in placer.layers:
            cut = _narrowed(placer, plan, layer, predict_ms, now_ms - saving)
            ms = now_ms if cut is None else predict_ms(cut.narrowed)
            if cut is not None and ms < now_ms:
                lost = float(placer.scores[plan.keep & ~cut.keep].sum())
                cuts.append((lost / (now_ms - ms), layer.section, ms, cut))
        if not cuts:
            raise InputError(
                f"{target_ms:.3g} ms cannot be reached by channels alone: the least found is "
                f"{now_ms:.3g} ms (every convolution keeps {limits.layer_keep:.0%}); ask for more, "
                "lower --layer-keep, or remove --layers, too"
            )
        cuts.sort(key=lambda cut: cut[:2])
        tried = [(score(cut), section, ms, cut) for _, section, ms, cut in cuts[:n_candidates]]
        found, section, ms, plan = min(tried, key=lambda t: (AP - t[0]) / (now_ms - t[2]))
        AP, now_ms = found, ms
        steps.append(Step(section, now_ms, AP))
        if progress is not None:
            progress(len(steps), max(n_steps, len(steps)))
    return Adapted(replace(plan, scores=placer.scores), tuple(steps))


def _narrowed(
    placer: Placer,
    plan: Plan,
    layer: Layer,
    predict_ms: Callable[[Cfg], float],
    wanted_ms: float,
) -> Plan | None:
    """The plan with just so many of a layer's lowest channels less that it takes `wanted_ms`; as
    many as may go where that is not enough; None where nothing may go here."""
    here = layer.classes[plan.keep[layer.classes] & np.isfinite(placer.scores[layer.classes])]
    rising = here[np.argsort(placer.rank[here])]

    def without(n: int) -> Plan:
        keep: Mask = plan.keep.copy()
        keep[rising[:n]] = False
        return placer.keeping(keep)

    low, high = 0, len(rising)
    if np.array_equal(without(high).keep, plan.keep):
        return None
    while low < high:
        middle = (low + high) // 2
        if predict_ms(without(middle).narrowed) <= wanted_ms:
            high = middle
        else:
            low = middle + 1
    return without(low)
