"""One score a class of coupled channels, from what its members are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Coupling
from yolo_slim.cfg.coupling import Mask
from yolo_slim.errors import InputError
from yolo_slim.prune.importance import IMPORTANCES, Members, Values, Witness
from yolo_slim.prune.plan import Scores

Classes = NDArray[np.int64]


def _max(values: Values, classes: Classes, n_classes: int) -> Scores:
    score = np.zeros(n_classes)
    np.maximum.at(score, classes, values)
    return score


def _sum(values: Values, classes: Classes, n_classes: int) -> Scores:
    return np.bincount(classes, values, n_classes).astype(np.float64)


def _mean(values: Values, classes: Classes, n_classes: int) -> Scores:
    return _sum(values, classes, n_classes) / np.maximum(np.bincount(classes, None, n_classes), 1)


def _first(values: Values, classes: Classes, n_classes: int) -> Scores:
    score = np.zeros(n_classes)
    found, place = np.unique(classes, return_index=True)
    score[found] = values[place]
    return score


REDUCERS: dict[str, Callable[[Values, Classes, int], Scores]] = {
    "max": _max, "mean": _mean, "sum": _sum, "first": _first,
}  # fmt: skip
"""How members become one score: (value, class) of each, in the order of the cfg, -> [n_classes]."""

NORMALIZERS: dict[str, Callable[[Values], Values]] = {
    "layer": lambda values: values / max(values.mean(), 1e-12),
    "none": lambda values: values,
}

ALLOWED: dict[str, Callable[[Coupling], Mask]] = {
    "shortcut": lambda coupling: coupling.free,
    "regular": lambda coupling: coupling.free & (np.bincount(coupling.class_of) == 1),
}
"""Which classes may go: bool [n_classes]."""


@dataclass(frozen=True)
class Scoring:
    """How classes are scored.

    importance: what a channel is worth, see importance.py.
    reduce: how the channels of a class become one: 'max' (the union of their masks), 'mean', 'sum',
        'first' (the convolution that opens a residual stage decides for all that add to it).
    normalize: 'none' compares as they are, 'layer' divides by the layer's mean first. A layer
        between two BatchNorms computes the same with all its gammas halved: the level of 'gamma'
        says nothing of the layer's worth, that of 'gamma-kernel' does.
    which: 'shortcut' lets every free class go, 'regular' those of one channel that nothing ties.
    seed: of 'random'. evidence: of 'taylor', section -> [channels].
    """

    importance: str = "gamma-kernel"
    reduce: str = "max"
    normalize: str = "none"
    which: str = "shortcut"
    seed: int = 0
    evidence: Mapping[int, Values] | None = None

    def __post_init__(self) -> None:
        tables: dict[str, Mapping[str, Any]] = {
            "importance": IMPORTANCES, "reduce": REDUCERS, "normalize": NORMALIZERS,
            "which": ALLOWED,
        }  # fmt: skip
        for name, known in tables.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f"--{name} {getattr(self, name)}: unknown; expected one of {', '.join(known)}"
                )
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: expected 0 or more")


DEFAULT_SCORING = Scoring()


def member_values(bundle: Bundle, coupling: Coupling, scoring: Scoring) -> Members:
    """What each channel is worth, not normalized: section -> float64 [channels]."""
    witness = Witness(bundle, coupling, scoring.seed, scoring.evidence)
    return IMPORTANCES[scoring.importance](witness)


def score_classes(bundle: Bundle, coupling: Coupling, scoring: Scoring = DEFAULT_SCORING) -> Scores:
    """float64 [n_classes]; +inf for classes that are frozen, not allowed to go, or without a member
    that the importance can judge.

    >>> from yolo_slim.weights import random_weights
    >>> from yolo_slim.zoo import build
    >>> from yolo_slim.cfg import couple
    >>> cfg = build("yolov3-tiny")
    >>> scores = score_classes(Bundle(cfg, random_weights(cfg)), couple(cfg))
    >>> int(np.isinf(scores).sum())  # the image and two heads of 255 channels
    513
    """
    members = member_values(bundle, coupling, scoring)
    normalize = NORMALIZERS[scoring.normalize]
    values = np.concatenate([np.zeros(0), *(normalize(members[i]) for i in sorted(members))])
    classes = np.concatenate(
        [np.zeros(0, np.int64), *(coupling.classes(i) for i in sorted(members))]
    )
    score = REDUCERS[scoring.reduce](values, classes, coupling.n_classes)
    judged = np.bincount(classes, minlength=coupling.n_classes) > 0
    score[~(judged & ALLOWED[scoring.which](coupling))] = np.inf
    return score
