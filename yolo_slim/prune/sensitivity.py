"""Which layers hurt: quality when channels of one group of layers go, and all others stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_slim.cfg import Cfg, Conv, Coupling
from yolo_slim.prune.plan import Plan

SHARES = (0.25, 0.5, 0.75)
"""Of a group's channels, the lowest-scored, that go."""


@dataclass(frozen=True)
class Group:
    """Convolutions whose free channels are the same classes: a layer, or those of a residual stage.

    sections: their indices. classes: what they share.
    """

    sections: tuple[int, ...]
    classes: tuple[int, ...]

    @property
    def label(self) -> str:
        """'12', or '5 +3' for section 5 and three more."""
        more = len(self.sections) - 1
        return f"{self.sections[0]} +{more}" if more else str(self.sections[0])


def groups(cfg: Cfg, coupling: Coupling) -> tuple[Group, ...]:
    """The groups of a network, by their first section; sections without a free channel are in none.

    A depthwise convolution is in the group of the one that it reads.
    """
    sections_of: dict[tuple[int, ...], list[int]] = {}
    free = coupling.free
    for index, section in enumerate(cfg):
        if isinstance(section, Conv):
            classes = np.unique(coupling.classes(index))
            classes = classes[free[classes]]
            if len(classes):
                sections_of.setdefault(tuple(classes.tolist()), []).append(index)
    return tuple(Group(tuple(found), classes) for classes, found in sections_of.items())


def sensitivity(
    cfg: Cfg,
    coupling: Coupling,
    scores: NDArray[np.float64],
    score: Callable[[Plan], float],
    shares: Sequence[float] = SHARES,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Group, tuple[float, ...]]:
    """AP (or whatever `score` says of a plan), one number a share, for each group cut alone.

    scores: float64 [n_classes]; of each group the lowest-scored classes go, never all.
    """
    found: dict[Group, tuple[float, ...]] = {}
    all_groups = groups(cfg, coupling)
    for done, group in enumerate(all_groups):
        found[group] = tuple(score(plan) for plan in _alone(cfg, coupling, scores, group, shares))
        if progress is not None:
            progress(done + 1, len(all_groups))
    return found


def _alone(
    cfg: Cfg, coupling: Coupling, scores: NDArray[np.float64], group: Group, shares: Sequence[float]
) -> Iterator[Plan]:
    classes = np.array(group.classes)
    rising = classes[np.argsort(scores[classes], kind="stable")]
    for share in shares:
        keep = np.ones(coupling.n_classes, bool)
        keep[rising[: min(round(share * len(rising)), len(rising) - 1)]] = False
        yield Plan(cfg, coupling, keep)
