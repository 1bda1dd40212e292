"""From the order of the scores to a legal set of classes: floors, multiples, nothing at zero."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Connected, Conv, Coupling, Select, couple
from yolo_slim.cfg.coupling import Mask
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import Scoring, score_classes

TOLD = 4
"""Layers that a note names; of more it tells the number."""


@dataclass(frozen=True)
class Layer:
    """A section that creates or picks channels: its classes, and how many channels each has."""

    section: int
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def width(self) -> int:
        return int(self.counts.sum())

    def kept(self, keep: Mask) -> int:
        return int(self.counts[keep[self.classes]].sum())


class Placer:
    """Plans of one bundle and one scoring. Refuses a bundle whose BatchNorm is folded.

    order: classes from the lowest score to the highest; ties in the order of the cfg, so that they
    are broken the same way every time. The first n_decided of it may go.
    """

    def __init__(self, bundle: Bundle, scoring: Scoring, limits: Limits) -> None:
        bundle.require_batchnorm("prune")
        self.cfg, self.limits = bundle.cfg, limits
        self.coupling = couple(bundle.cfg)
        self.scores = score_classes(bundle, self.coupling, scoring)
        self.order = np.argsort(self.scores, kind="stable")
        self.rank = np.argsort(self.order)
        self.n_decided = int(np.isfinite(self.scores).sum())
        self.layers = _layers(bundle, self.coupling)

    def dropping(self, n_dropped: int) -> Plan:
        """The lowest `n_dropped` go, but for those that a limit keeps."""
        keep = np.ones(self.coupling.n_classes, bool)
        keep[self.order[:n_dropped]] = False
        return self.keeping(keep)

    def keeping(self, wanted: Mask) -> Plan:
        """The legal plan nearest to `wanted`, bool [n_classes]."""
        keep = wanted.copy()
        floor = [layer for layer in self.layers if layer.kept(keep) < self._least(layer)]
        if self.limits.rounding == "nearest":
            self._widen_all(keep, replace(self.limits, multiple=1))
            for layer in self.layers:
                self._narrow(keep, layer)
        self._widen_all(keep, replace(self.limits, rounding="up"))
        notes = (self._floor_note(floor),) if floor else ()
        if keep.all() and not wanted.all():
            notes = (self._idle_note(wanted),)
        return Plan(self.cfg, self.coupling, keep, self.scores, notes)

    def ceiling(self) -> int:
        """How many classes can go, lowest first, before a layer falls under its floor."""
        most = self.n_decided
        for layer in self.layers:
            ranks = np.sort(np.repeat(self.rank[layer.classes], layer.counts))[::-1]
            most = min(most, int(ranks[self._least(layer) - 1]))
        return most

    def _least(self, layer: Layer) -> int:
        return self.limits.least(layer.width)

    def _widen_all(self, keep: Mask, limits: Limits) -> None:
        changed = True
        while changed:  # a class that is added back for one layer may widen another one
            changed = False
            for layer in self.layers:
                wanted = limits.width(layer.kept(keep), layer.width)
                changed |= self._widen(keep, layer, wanted)

    def _widen(self, keep: Mask, layer: Layer, wanted: int) -> bool:
        """Adds the best of what was dropped, until the layer keeps `wanted` channels."""
        missing = wanted - layer.kept(keep)
        if missing <= 0:
            return False
        away = ~keep[layer.classes]
        # Of equal scores the first in the cfg comes back first.
        best = np.argsort(-self.scores[layer.classes[away]], kind="stable")
        gained = layer.counts[away][best].cumsum()
        keep[layer.classes[away][best][: np.searchsorted(gained, missing) + 1]] = True
        return True

    def _narrow(self, keep: Mask, layer: Layer) -> None:
        """Drops the lowest of a layer to come down to a multiple; not at all where that would put
        another layer under its floor, or where what may go does not add up."""
        excess = layer.kept(keep) - self.limits.width(layer.kept(keep), layer.width)
        if excess <= 0:
            return
        here = keep[layer.classes] & np.isfinite(self.scores[layer.classes])
        lowest = np.argsort(self.rank[layer.classes[here]])
        lost = layer.counts[here][lowest].cumsum()
        n_dropped = int(np.searchsorted(lost, excess)) + 1
        if n_dropped > len(lost) or lost[n_dropped - 1] != excess:
            return
        trial = keep.copy()
        trial[layer.classes[here][lowest][:n_dropped]] = False
        if all(other.kept(trial) >= self._least(other) for other in self.layers):
            keep[:] = trial

    def _floor_note(self, floor: list[Layer]) -> str:
        named = ", ".join(str(layer.section) for layer in floor[:TOLD])
        more = f" and {len(floor) - TOLD} more" if len(floor) > TOLD else ""
        return (
            f"section{'s' * (len(floor) > 1)} {named}{more} would keep less than --layer-keep "
            f"{self.limits.layer_keep:.0%} allows: the floor, not the scores, decides there"
        )

    def _idle_note(self, wanted: Mask) -> str:
        keep = wanted.copy()
        self._widen_all(keep, replace(self.limits, multiple=1))
        by = f"rounding to --multiple {self.limits.multiple}"
        if keep.all():
            by = f"--layer-keep {self.limits.layer_keep:g}"
        return f"no channel went: {by} keeps all that would have gone"


def _layers(bundle: Bundle, coupling: Coupling) -> list[Layer]:
    """One for every set of channels that is decided as a whole, by the first section that has it:
    the convolutions of a residual stage are one."""
    found: dict[tuple[bytes, bytes], Layer] = {}
    for index, section in enumerate(bundle.cfg):
        if isinstance(section, Conv | Connected | Select):
            classes, counts = np.unique(coupling.classes(index), return_counts=True)
            found.setdefault((classes.tobytes(), counts.tobytes()), Layer(index, classes, counts))
    return list(found.values())
