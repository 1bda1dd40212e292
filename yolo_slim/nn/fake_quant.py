"""INT8 imitated in float: values are rounded to the steps of a grid, gradients pass through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from yolo_slim.cfg import Cfg, same_values
from yolo_slim.precision import Precision, Range

_LEARNED = "grids.logs."
"""Prefix of learned steps in a network's state dict."""


class Grids(nn.Module):
    """Steps of the maps that INT8 sections read, on the signed grid -128..127, zero point 0.

    scales: link -> step. groups: link -> the link whose step it has, too; itself where it is not
    named. learned: the logarithms of the steps are parameters (LSQ, Esser et al., 2020; in
    logarithms a learning rate means the same for small and large steps).
    """

    def __init__(
        self, scales: Mapping[int, float], groups: Mapping[int, int], learned: bool
    ) -> None:
        super().__init__()
        self.first = {link: groups.get(link, link) for link in scales}
        self.scales = dict(scales)
        self.logs = nn.ParameterDict()
        if learned:
            for link, first in self.first.items():
                log = torch.tensor(math.log(scales[link]))
                self.logs[_key(first)] = nn.Parameter(log)

    def rounded(self, x: Tensor, link: int) -> Tensor:
        """The map of `link` on its grid."""
        if not self.logs:
            return torch.fake_quantize_per_tensor_affine(x, self.scales[link], 0, -128, 127)
        scale = self.logs[_key(self.first[link])].exp()
        steps = (x / scale).clamp(-128, 127)
        rounded: Tensor = (steps + (steps.round() - steps).detach()) * scale
        return rounded


def with_learned(
    state: Mapping[str, Tensor], precision: Precision, cfg: Cfg
) -> tuple[dict[str, Tensor], Precision]:
    """Of a network's state dict: the weights, and the plan with the steps that were learned.

    A range is stretched to its new step; one of the same group moves with it.
    """
    weights = {key: value for key, value in state.items() if not key.startswith(_LEARNED)}
    steps = {
        key.removeprefix(_LEARNED): float(value.double().exp())
        for key, value in state.items()
        if key.startswith(_LEARNED)
    }
    groups = same_values(cfg, precision.outputs)

    def stretched(link: int) -> Range:
        old, step = precision.of(link), steps.get(_key(groups.get(link, link)))
        if step is None:
            return old
        factor = step / old.symmetric_scale
        return Range(old.low * factor, old.high * factor)

    outputs = {link: stretched(link) for link in precision.outputs}
    return weights, replace(precision, image=stretched(-1), outputs=outputs)


def _key(link: int) -> str:
    return "image" if link < 0 else str(link)
