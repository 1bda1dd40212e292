"""Which layers hurt: quality when channels of one group of layers go, and all others stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, Coupling
from yolo_slim.cfg.coupling import Mask
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.placer import Placer
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import Scoring

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


def groups(cfg: Cfg, coupling: Coupling, may_go: Mask | None = None) -> tuple[Group, ...]:
    """The groups of a network, by their first section; sections without a free channel are in none.

    A depthwise convolution is in the group of the one that it reads. may_go: bool [n_classes], of
    the classes that are looked at; without it all that are free.
    """
    sections_of: dict[tuple[int, ...], list[int]] = {}
    looked_at = coupling.free if may_go is None else may_go
    for index, section in enumerate(cfg):
        if isinstance(section, Conv):
            classes = np.unique(coupling.classes(index))
            classes = classes[looked_at[classes]]
            if len(classes):
                sections_of.setdefault(tuple(classes.tolist()), []).append(index)
    return tuple(Group(tuple(found), classes) for classes, found in sections_of.items())


def sensitivity(
    bundle: Bundle,
    scoring: Scoring,
    score: Callable[[Plan], float],
    shares: Sequence[float] = SHARES,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Group, tuple[float, ...]]:
    """AP (or whatever `score` says of a plan), one number a share, for each group cut alone.

    Of each group the lowest-scored classes that may go do so, but never all of a layer's: neither
    of its own, nor of a smaller one whose channels are all among them.
    """
    placer = Placer(bundle, scoring, Limits(layer_keep=0))
    found: dict[Group, tuple[float, ...]] = {}
    all_groups = groups(bundle.cfg, placer.coupling, np.isfinite(placer.scores))
    for done, group in enumerate(all_groups):
        found[group] = tuple(score(plan) for plan in _alone(placer, group, shares))
        if progress is not None:
            progress(done + 1, len(all_groups))
    return found


def _alone(placer: Placer, group: Group, shares: Sequence[float]) -> Iterator[Plan]:
    classes = np.array(group.classes)
    rising = classes[np.argsort(placer.rank[classes])]
    for share in shares:
        keep = np.ones(placer.coupling.n_classes, bool)
        keep[rising[: min(round(share * len(rising)), len(rising) - 1)]] = False
        yield placer.keeping(keep)
