"""Which channels the gammas call free: by each layer's energy, and over all layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_slim.cfg.coupling import Mask
from yolo_slim.energy import weak
from yolo_slim.knee import knee
from yolo_slim.train.gammas import Gammas

ENERGY_LOSS = 1e-4
"""Share of its energy, the sum of squared gammas, that a layer may lose (Ye et al., 2020)."""

DEAD_BELOW = (0.001, 0.01, 0.1)
"""Of a layer's mean |gamma|: what is smaller counts as dead, in three readings."""

Values = NDArray[np.float64]


def dead_share(values: Values, gammas: Gammas, below: float) -> float:
    """Share of the gammas under `below` times the mean |gamma| of their layer, zeros included.

    values: float64 [N].
    """
    if not len(gammas):
        return 0.0
    sizes = np.abs(values)
    return float(((sizes < below * _layer_means(sizes, gammas)) | (sizes == 0)).mean())


def freed_by_layer(values: Values, gammas: Gammas, loss: float = ENERGY_LOSS) -> Mask:
    """bool [n_classes], True where every member is among the smallest gammas of its layer that
    together hold at most `loss` of its energy.

    Each layer keeps at least its largest gamma, and all of them where none stands out.
    """
    freed = np.zeros(len(gammas), bool)
    for layer in range(len(gammas.sections)):
        mine = np.flatnonzero(gammas.layers == layer)
        freed[mine[weak(np.abs(values[mine]), loss)]] = True
    classes = np.ones(gammas.n_classes, bool)
    classes[gammas.classes[~freed]] = False
    return classes


def freed_share(values: Values, gammas: Gammas, loss: float = ENERGY_LOSS) -> float:
    """Share of the channels that `freed_by_layer` frees; coupled ones count as one."""
    return float(freed_by_layer(values, gammas, loss).mean()) if len(gammas) else 0.0


@dataclass(frozen=True)
class EnergyCurve:
    """One ranking of all channels: share that went, from 0 to 1 -> share of the energy that is
    left. Every layer's energy counts by its width; the score of coupled channels is the largest."""

    ratios: tuple[float, ...]
    kept: tuple[float, ...]

    def ratio_at(self, loss: float) -> float:
        """The largest share of channels with which at most `loss` of the energy goes."""
        n = int(np.searchsorted(-np.array(self.kept), -(1 - loss) + 1e-12, side="right"))
        return self.ratios[max(0, n - 1)]


def energy_curve(values: Values, gammas: Gammas) -> EnergyCurve:
    """Channels go in the order of |gamma| over its layer's mean."""
    powers = np.maximum(_layer_means(values**2, gammas), 1e-24)
    energy = np.bincount(gammas.classes, weights=values**2 / powers)
    order = np.argsort(_scores(values, gammas), kind="stable")
    lost = np.cumsum(energy[order]) / max(energy.sum(), 1e-24)
    n = gammas.n_classes
    ratios = np.arange(n + 1) / max(n, 1)
    return EnergyCurve(tuple(ratios.tolist()), tuple((1 - np.append(0.0, lost)).tolist()))


def score_knee(values: Values, gammas: Gammas) -> float | None:
    """Share of the channels up to which the ranked scores stay low; None where they rise steadily.

    Scores above the mean of their layer are all alike: how large the largest are says nothing.
    """
    n = gammas.n_classes
    ranked = np.sort(_scores(values, gammas))
    return knee(((np.arange(n) + 1) / n).tolist(), (1 - ranked.clip(max=1)).tolist()) if n else None


def _scores(values: Values, gammas: Gammas) -> Values:
    """float64 [n_classes]: |gamma| over its layer's mean, the largest of the class."""
    sizes, scores = np.abs(values), np.zeros(gammas.n_classes)
    np.maximum.at(scores, gammas.classes, sizes / np.maximum(_layer_means(sizes, gammas), 1e-12))
    return scores


def _layer_means(sizes: Values, gammas: Gammas) -> Values:
    """float64 [N], for each gamma the mean of its layer."""
    sums, counts = np.bincount(gammas.layers, weights=sizes), np.bincount(gammas.layers)
    return np.asarray((sums / counts)[gammas.layers])
