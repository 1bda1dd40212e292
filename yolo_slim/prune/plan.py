"""What to keep: one boolean a class of coupled channels, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Connected, Conv, Coupling, Select, couple, narrow, totals
from yolo_slim.cfg.coupling import Mask
from yolo_slim.errors import InputError

Scores = NDArray[np.float64]

REDUCERS = {"max": np.maximum, "sum": np.add}
"""How the |gamma| of a class's members become one score: 'max' is the union of their masks."""


@dataclass(frozen=True)
class Plan:
    """keep: bool [n_classes of `coupling`]; frozen classes are always kept."""

    cfg: Cfg
    coupling: Coupling
    keep: Mask

    def kept(self, link: int) -> Mask:
        """bool [channels], which output channels of a section (or of the image) stay."""
        return self.keep[self.coupling.classes(link)]

    @cached_property
    def narrowed(self) -> Cfg:
        """The cfg after the cut."""
        return narrow(self.cfg, self.coupling, self.keep)

    def widths(self) -> list[tuple[int, int, int]]:
        """(section, channels before, channels after) of every convolution."""
        return [
            (index, section.filters, int(self.kept(index).sum()))
            for index, section in enumerate(self.cfg)
            if isinstance(section, Conv)
        ]

    @property
    def ratio(self) -> float:
        """Share of the free classes that go."""
        free = self.coupling.free
        return float((~self.keep[free]).mean()) if free.any() else 0.0


def score_classes(
    bundle: Bundle, coupling: Coupling, reduce: str = "max", normalize: str = "layer"
) -> Scores:
    """|gamma| of each class, float64 [n_classes]; +inf for frozen classes and those without gamma.

    reduce joins the members: 'max', 'mean' or 'sum' (Liu et al., Network Slimming, 2017, for
    unshared channels; the union of masks of shared ones is 'max').
    normalize: 'layer' divides by the mean |gamma| of the layer, 'none' compares gammas as they are,
    as the paper does. A layer between two BatchNorms computes the same with all its gammas halved,
    so the level of a layer says nothing of its worth; only what differs within it does.
    """
    if reduce not in ("max", "mean", "sum"):
        raise InputError(f"score {reduce!r} is unknown: max, mean or sum")
    if normalize not in ("layer", "none"):
        raise InputError(f"normalize {normalize!r} is unknown: layer or none")
    score = np.zeros(coupling.n_classes)
    members = np.zeros(coupling.n_classes)
    for index in range(len(bundle.cfg)):
        if f"{index}.bn.weight" in bundle.weights:
            gamma = bundle.weights[f"{index}.bn.weight"].abs().double().numpy()
            if normalize == "layer":
                gamma = gamma / max(gamma.mean(), 1e-12)
            classes = coupling.classes(index)
            REDUCERS["max" if reduce == "max" else "sum"].at(score, classes, gamma)
            np.add.at(members, classes, 1)
    if reduce == "mean":
        score = score / np.maximum(members, 1)
    score[~coupling.free | (members == 0)] = np.inf
    return score


def plan_ratio(
    bundle: Bundle,
    ratio: float,
    layer_keep: float = 0.05,
    multiple: int = 1,
    reduce: str = "max",
    normalize: str = "layer",
) -> Plan:
    """Drops the `ratio` lowest-scored classes of the whole network, by one global threshold.

    layer_keep: every convolution keeps at least this share of its channels, and at least one.
    multiple: kept counts are rounded up to a multiple of it, never beyond the original width.
    reduce, normalize: see score_classes.
    The floor and the rounding only add channels back, so the share that goes can be smaller.
    """
    return _Planner(bundle, layer_keep, multiple, reduce, normalize).at_ratio(ratio)


def plan_target(
    bundle: Bundle,
    target: float,
    quantity: str = "macs",
    layer_keep: float = 0.05,
    multiple: int = 1,
    reduce: str = "max",
    normalize: str = "layer",
) -> Plan:
    """The smallest ratio whose cut network has at most `target` (0..1) of the MACs or parameters.

    quantity: 'macs' or 'parameters'. Raises InputError, with the smallest share that can be
    reached, where even dropping everything that may go is not enough.
    """
    if not 0 < target <= 1:
        raise InputError(f"--target-{quantity} {target}: expected a share between 0 and 1")
    planner = _Planner(bundle, layer_keep, multiple, reduce, normalize)
    whole = getattr(totals(bundle.cfg), quantity)

    def share(n_dropped: int) -> float:
        return float(getattr(totals(planner.at_count(n_dropped).narrowed), quantity) / whole)

    low, high = 0, planner.n_free
    reachable = share(high)
    if reachable > target:
        raise InputError(
            f"{target:.1%} of the {quantity} cannot be reached by channels alone: the least is "
            f"{reachable:.1%} (every convolution keeps {layer_keep:.0%})"
        )
    while low < high:  # fewer channels never cost more, so bisection finds the edge
        middle = (low + high) // 2
        if share(middle) <= target:
            high = middle
        else:
            low = middle + 1
    return planner.at_count(low)


class _Planner:
    def __init__(
        self, bundle: Bundle, layer_keep: float, multiple: int, reduce: str, normalize: str
    ) -> None:
        bundle.require_batchnorm("prune")
        if not 0 <= layer_keep <= 1:
            raise InputError(f"--layer-keep {layer_keep}: expected a share between 0 and 1")
        if multiple < 1:
            raise InputError(f"--multiple {multiple}: expected 1 or more")
        self.cfg = bundle.cfg
        self.coupling = couple(bundle.cfg)
        self.scores = score_classes(bundle, self.coupling, reduce, normalize)
        self.layer_keep, self.multiple = layer_keep, multiple
        # A stable order makes ties reproducible.
        self.order = np.argsort(self.scores, kind="stable")
        self.n_free = int(np.isfinite(self.scores).sum())
        self.layers = [
            self.coupling.classes(i)
            for i, s in enumerate(self.cfg)
            if isinstance(s, Conv | Connected | Select)
        ]

    def at_ratio(self, ratio: float) -> Plan:
        if not 0 <= ratio < 1:
            raise InputError(f"--ratio {ratio}: expected 0 up to, not with, 1")
        return self.at_count(round(ratio * self.n_free))

    def at_count(self, n_dropped: int) -> Plan:
        keep = np.ones(self.coupling.n_classes, bool)
        keep[self.order[:n_dropped]] = False
        changed = True
        while changed:  # a class that is added back for one layer may widen another one
            changed = False
            for classes in self.layers:
                changed |= self._widen(keep, classes)
        return Plan(self.cfg, self.coupling, keep)

    def _widen(self, keep: Mask, classes: NDArray[np.int64]) -> bool:
        width = len(classes)
        kept = int(keep[classes].sum())
        wanted = max(kept, 1, int(np.ceil(width * self.layer_keep)))
        wanted = min(width, -(-wanted // self.multiple) * self.multiple)
        if kept >= wanted:
            return False
        dropped = np.unique(classes[~keep[classes]])
        best = dropped[np.argsort(-self.scores[dropped], kind="stable")]
        for cls in best:
            if int(keep[classes].sum()) >= wanted:
                break
            keep[cls] = True
        return True
