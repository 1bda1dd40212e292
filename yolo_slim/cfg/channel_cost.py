"""What one channel costs: the multiply-accumulates that go when it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolo_slim.cfg.coupling import Coupling, is_depthwise
from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.entrances import entrances
from yolo_slim.cfg.measure import measure
from yolo_slim.cfg.sections import Batchnorm, Connected, Conv, Local


def channel_macs(cfg: Cfg, coupling: Coupling) -> tuple[NDArray[np.float64], ...]:
    """For each section, float64 [channels]: MACs of the filter that makes a channel, and what all
    readers of the channel, or of one that it is tied to, spend on it.

    The readers' share is that of the cfg's own widths: of two layers in a row each may be cut, and
    the cut of both saves less than the sum. A depthwise filter is its channel's reader and maker at
    once, and counted once. A BatchNorm at the entrance of a block stands for what the block spends
    on reading the channel. 0 for other sections: they make no channels of their own.
    """
    costs = measure(cfg)
    read = np.zeros(coupling.n_classes)
    for cost in costs:
        if isinstance(cost.section, Conv | Connected | Local):
            source = coupling.classes(cfg.links(cost.index)[0])
            np.add.at(read, source, cost.macs / len(source))
    convs_of = {entrance.norm: entrance.convs for entrance in entrances(cfg)}
    spent = []
    for cost in costs:
        classes = coupling.classes(cost.index)
        match cost.section:
            case Conv() if is_depthwise(cost.section, cost.in_channels):
                spent.append(read[classes])
            case Conv() | Connected():
                spent.append(cost.macs / len(classes) + read[classes])
            case Batchnorm():
                behind = sum(costs[conv].macs for conv in convs_of.get(cost.index, ()))
                spent.append(np.full(len(classes), behind / len(classes)))
            case _:
                spent.append(np.zeros(len(classes)))
    return tuple(spent)
