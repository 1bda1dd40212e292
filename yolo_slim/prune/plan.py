"""What to keep: one boolean a class of coupled channels, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from yolo_slim.cfg import Cfg, Conv, Coupling, narrow
from yolo_slim.cfg.coupling import Mask

Scores = NDArray[np.float64]

UNSCORED = "shared or not scored"
"""Why a free class has no score: --which leaves it alone, or no member has what is judged."""


@dataclass(frozen=True)
class Row:
    """What becomes of one convolution.

    before, after: its output channels. held: why channels of it are not up for decision.
    score_*: over its channels that are; None where there is none, or the plan has no scores.
    """

    section: int
    kind: str
    before: int
    after: int
    held: tuple[str, ...]
    score_min: float | None = None
    score_median: float | None = None
    score_max: float | None = None


@dataclass(frozen=True)
class Plan:
    """keep: bool [n_classes of `coupling`]; frozen classes are always kept.

    scores: float64 [n_classes] that led to it, +inf for what is not up for decision; None for a
    plan made by hand. notes: what its reader should know, where it is not just what was asked for.
    latency_ms: of the cut network, where it was chosen by that.
    """

    cfg: Cfg
    coupling: Coupling
    keep: Mask
    scores: Scores | None = None
    notes: tuple[str, ...] = ()
    latency_ms: float | None = None

    def kept(self, link: int) -> Mask:
        """bool [channels], which output channels of a section (or of the image) stay."""
        return self.keep[self.coupling.classes(link)]

    @cached_property
    def narrowed(self) -> Cfg:
        """The cfg after the cut."""
        return narrow(self.cfg, self.coupling, self.keep)

    def widths(self) -> list[tuple[int, int, int]]:
        """(section, channels before, channels after) of every convolution."""
        return [(row.section, row.before, row.after) for row in self.rows()]

    def rows(self) -> list[Row]:
        """One a convolution, in the order of the cfg."""
        return [
            self._row(index, section)
            for index, section in enumerate(self.cfg)
            if isinstance(section, Conv)
        ]

    @property
    def ratio(self) -> float:
        """Share of the free classes that go."""
        free = self.coupling.free
        return float((~self.keep[free]).mean()) if free.any() else 0.0

    def _row(self, index: int, section: Conv) -> Row:
        classes = self.coupling.classes(index)
        frozen = self.coupling.frozen
        held = {frozen[cls] for cls in classes.tolist() if cls in frozen}
        scores = np.full(len(classes), np.inf) if self.scores is None else self.scores[classes]
        decided = scores[np.isfinite(scores)]
        if self.scores is not None and (np.isinf(scores) & self.coupling.free[classes]).any():
            held.add(UNSCORED)
        kind = f"{section.size}x{section.size}"
        if section.groups > 1:
            kind += f" groups={section.groups}"
        return Row(
            index, kind, section.filters, int(self.kept(index).sum()), tuple(sorted(held)),
            *((float(f(decided)) for f in (np.min, np.median, np.max)) if len(decided) else ()),
        )  # fmt: skip
