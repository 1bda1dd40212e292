"""Whether images look like those that the network was trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv
from yolo_slim.quantize.observe import Observed

SUSPICIOUS = 0.2
"""Above it, images are of another kind, or were prepared in another way."""


def unlike_training(
    bundle: Bundle, seen: Observed, divided_by: Mapping[int, Tensor]
) -> float | None:
    """How far the means of what convolutions write lie from those of the training: the median over
    all channels of |mean - beta| / |gamma|, in standard deviations of the channel.

    A BatchNorm makes mean beta and deviation |gamma| of the images that it was trained on.
    bundle: with its BatchNorm; None where it has none, or gammas of 0 alone. divided_by: what the
    channels of some maps were divided by since, section -> [C].
    """
    found = []
    for index in seen.sums:
        section = bundle.cfg[index]
        assert isinstance(section, Conv)
        if not section.batch_normalize or bundle.is_folded:
            continue
        gamma, beta = (bundle.weights[f"{index}.bn.{name}"].double() for name in ("weight", "bias"))
        alive = gamma.abs() > 1e-3 * gamma.abs().max()
        mean = seen.mean_written(index) * divided_by.get(index, torch.ones(()))
        distance = (mean - beta).abs() / gamma.abs()
        found.append(distance[alive])
    distances = torch.cat(found) if found else torch.zeros(0)
    return float(distances.median()) if len(distances) else None
