"""What a network of any widths would take, from its layers measured one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from yolo_slim.cfg import Cfg, Conv, infer_shapes, input_shape
from yolo_slim.cfg.coupling import is_depthwise

GRAIN = 8
"""Channels between two widths that are measured; between them lies a straight line."""


class LatencyTable:
    """Milliseconds of a cfg as the sum over its convolutions, each measured alone and once.

    measure: cfg of a single convolution -> milliseconds. Measured widths are multiples of GRAIN
    (and 1); others are interpolated in the output channels and rounded up in the input channels.
    After `calibrate` the sum is scaled so that it agrees with a whole network that was measured:
    sections without a kernel are in that factor (Yang et al., NetAdapt, ECCV 2018, add up layers
    in the same way).
    """

    def __init__(self, measure: Callable[[Cfg], float]) -> None:
        self._measure = measure
        self._known: dict[Cfg, float] = {}
        self._factor = 1.0

    def calibrate(self, cfg: Cfg, whole_ms: float) -> None:
        """whole_ms: what `cfg` takes as a whole."""
        self._factor *= whole_ms / self(cfg)

    def __call__(self, cfg: Cfg) -> float:
        """Milliseconds that a cfg would take."""
        shapes = infer_shapes(cfg)
        total = 0.0
        for index, section in enumerate(cfg):
            if isinstance(section, Conv):
                read = input_shape(cfg, shapes, index)
                total += self._conv(cfg, section, read.channels, read.height, read.width)
        return self._factor * total

    def _conv(self, cfg: Cfg, conv: Conv, channels: int, height: int, width: int) -> float:
        if is_depthwise(conv, channels):  # both widths are one, times its multiplier
            times = conv.filters // channels
            return self._between(
                lambda n: self._alone(cfg, conv, n, times * n, n, height, width), channels
            )
        if conv.groups > 1:  # few, and their widths must divide: measured as they are
            return self._alone(cfg, conv, channels, conv.filters, conv.groups, height, width)
        read = _up(channels)
        return self._between(lambda n: self._alone(cfg, conv, read, n, 1, height, width),
                             conv.filters)  # fmt: skip

    def _between(self, at: Callable[[int], float], n: int) -> float:
        above = _up(n)
        below = above - GRAIN if above > GRAIN else 1
        if n in (above, below):
            return at(n)
        low, high = at(below), at(above)
        return low + (high - low) * (n - below) / (above - below)

    def _alone(
        self, cfg: Cfg, conv: Conv, channels: int, filters: int, groups: int, height: int,
        width: int,
    ) -> float:  # fmt: skip
        net = replace(cfg.net, channels=channels, height=height, width=width, mean=(), std=())
        section = replace(conv, filters=filters, groups=groups, share_index=None)
        single = Cfg(net, (section,), source="one convolution")
        if single not in self._known:
            self._known[single] = self._measure(single)
        return self._known[single]


def _up(n: int) -> int:
    return max(1, -(-n // GRAIN)) * GRAIN if n > 1 else n
