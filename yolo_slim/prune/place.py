"""Where the cut is placed: a share of all channels, a share of each layer's energy, a cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, totals
from yolo_slim.console import percent
from yolo_slim.energy import SPREAD, weak
from yolo_slim.errors import InputError
from yolo_slim.prune.limits import USUAL, Limits
from yolo_slim.prune.placer import Placer
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import DEFAULT_SCORING, Scoring, member_values

DEAD = 1e-3
"""A layer whose best channel is worth less than this share of the network's best is dead: it keeps
its floor. A share: what a channel is worth has the unit of its importance."""

LOOK_BACK = (1, 2, 4, 8, 16, 32)
"""How many classes less are tried after a bisection, lest a dent in the cost was missed."""

PROBES = 8
"""Cuts that are tried where the largest one misses the target: it need not be the cheapest."""


def plan_ratio(
    bundle: Bundle, ratio: float, scoring: Scoring = DEFAULT_SCORING, limits: Limits = USUAL
) -> Plan:
    """Drops the `ratio` lowest-scored of the classes that may go, by one global threshold.

    Limits only add channels back (but for rounding='nearest'), so the share that goes can be
    smaller. Where a floor is what keeps a layer, the plan's notes say so, and name the `ceiling`.
    """
    if not 0 <= ratio < 1:
        raise InputError(f"--ratio {ratio}: expected 0 up to, not with, 1")
    placer = Placer(bundle, scoring, limits)
    plan = placer.dropping(round(ratio * placer.n_decided))
    if plan.keep.all():
        return _idle(plan, f"--ratio {ratio:g} of {placer.n_decided} that may go is none")
    safe = math.floor(1000 * placer.ceiling() / max(placer.n_decided, 1)) / 1000
    told = f"the largest --ratio without that is {safe}" if safe else "no --ratio is without that"
    return replace(plan, notes=tuple(f"{note}; {told}" for note in plan.notes))


def largest_ratio(
    bundle: Bundle, scoring: Scoring = DEFAULT_SCORING, limits: Limits = USUAL
) -> float:
    """What share of the classes that may go can go, once the limits have added theirs back; floored
    to a thousandth."""
    placer = Placer(bundle, scoring, limits)
    n_gone = int((~placer.dropping(placer.n_decided).keep).sum())
    return math.floor(1000 * n_gone / max(placer.n_decided, 1)) / 1000


def ceiling(bundle: Bundle, scoring: Scoring = DEFAULT_SCORING, limits: Limits = USUAL) -> float:
    """The largest ratio at which every layer keeps its floor by its own scores.

    With layer_keep=0 that is the published rule: the threshold stays under the smallest, over
    layers, of a layer's largest score.
    """
    placer = Placer(bundle, scoring, limits)
    return placer.ceiling() / max(placer.n_decided, 1)


def plan_energy(
    bundle: Bundle, delta: float, scoring: Scoring = DEFAULT_SCORING, limits: Limits = USUAL
) -> Plan:
    """Drops from each layer the lowest channels that together hold at most `delta` of its energy,
    the sum of squares (Ye et al., 2020): a threshold a layer, none of them global.

    A class goes only if each of its members says so. What a limit adds back is chosen by `scoring`,
    whose importance is what is squared, as it is, whatever `normalize` and `reduce`.
    """
    if not 0 <= delta < 1:
        raise InputError(f"--energy {delta}: expected 0 up to, not with, 1")
    placer = Placer(bundle, scoring, limits)
    goes = np.isfinite(placer.scores)
    members = member_values(bundle, placer.coupling, scoring)
    best = max((float(values.max()) for values in members.values()), default=0.0)
    for index, values in members.items():
        goes_here = weak(values, delta) | (values.max() < DEAD * best)
        goes[placer.coupling.classes(index)[~goes_here]] = False
    return _idle(
        placer.keeping(~goes),
        f"no layer has channels weak enough for --energy {delta:g}, and one whose best is worth "
        f"less than {SPREAD} times its worst has none at all: train with --sparsity first, or cut "
        "by --ratio",
    )


def plan_target(
    bundle: Bundle,
    target: float,
    quantity: str = "macs",
    scoring: Scoring = DEFAULT_SCORING,
    limits: Limits = USUAL,
) -> Plan:
    """The smallest cut that leaves at most `target` (0..1) of the MACs or parameters.

    quantity: 'macs' or 'parameters'. Raises InputError, with the smallest share that can be
    reached, where even dropping everything that may go is not enough.
    """
    if not 0 < target <= 1:
        raise InputError(f"--target-{quantity} {target}: expected a share between 0 and 1")
    whole = getattr(totals(bundle.cfg), quantity)

    def share(cfg: Cfg) -> float:
        return float(getattr(totals(cfg), quantity) / whole)

    return plan_cost(
        bundle, share, target, scoring, limits, tell=lambda x: f"{percent(x)} of the {quantity}"
    )


def plan_most(bundle: Bundle, scoring: Scoring = DEFAULT_SCORING, limits: Limits = USUAL) -> Plan:
    """Drops all that may go: the narrowest network that the limits allow."""
    placer = Placer(bundle, scoring, limits)
    return placer.dropping(placer.n_decided)


def plan_cost(
    bundle: Bundle,
    cost: Callable[[Cfg], float],
    target: float,
    scoring: Scoring = DEFAULT_SCORING,
    limits: Limits = USUAL,
    tell: Callable[[float], str] = "{:.4g}".format,
) -> Plan:
    """The smallest cut after which cost(cfg) <= target, by bisection over how many classes go.

    cost: of a network of those widths, in any unit: MACs, bytes, milliseconds. It should fall as
    channels go, in steps if it likes, and may rise a little now and then; it is asked once for each
    network. Only a cut whose own cost was found to meet the target is returned; where the cost
    rises at times, it is one that none of those LOOK_BACK classes smaller meets.
    tell: a cost in words. Raises InputError, with the least cost found, where none meets it.
    """
    placer = Placer(bundle, scoring, limits)
    known: dict[Cfg, float] = {}

    def meets(n_dropped: int) -> bool:
        cfg = placer.dropping(n_dropped).narrowed
        if cfg not in known:
            known[cfg] = cost(cfg)
        return known[cfg] <= target

    if meets(0):
        return _idle(placer.dropping(0), "the target is met without any")
    probes = np.linspace(placer.n_decided, 0, PROBES, endpoint=False).round().astype(int).tolist()
    met = next((n for n in probes if meets(n)), None)
    if met is None:
        raise InputError(
            f"{tell(target)} cannot be reached by channels alone: the least is "
            f"{tell(min(known.values()))} (every convolution keeps {limits.layer_keep:.0%}); "
            "ask for more, or lower --layer-keep"
        )
    missed = 0
    while met - missed > 1:
        middle = (missed + met) // 2
        if meets(middle):
            met = middle
        else:
            missed = middle
    while earlier := [met - n for n in LOOK_BACK if n < met and meets(met - n)]:
        met = min(earlier)
    return placer.dropping(met)


def _idle(plan: Plan, why: str) -> Plan:
    """The plan with a note where nothing goes by it, and no limit has said why."""
    if plan.notes or not plan.keep.all():
        return plan
    return replace(plan, notes=(f"no channel went: {why}",))
