"""How much of a network runs in INT8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from yolo_slim.export.tensorrt_rules.layers import CONVOLUTIONS, Layer, layers
from yolo_slim.export.tensorrt_rules.view import GraphView


@dataclass(frozen=True)
class Int8Share:
    """n_convs: convolutions, transposed ones among them; n_int8: those in INT8.

    macs_share: theirs of all convolutions' multiplications, 0..1; None where shapes are unknown.
    """

    n_convs: int
    n_int8: int
    macs_share: float | None


def int8_share(view: GraphView) -> Int8Share:
    convs = [layer for layer in layers(view) if layer.node.op in CONVOLUTIONS]
    int8 = [layer for layer in convs if layer.is_int8]
    return Int8Share(len(convs), len(int8), _share(_macs(view, int8), _macs(view, convs)))


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _macs(view: GraphView, convs: Sequence[Layer]) -> int | None:
    """Multiplications for one image."""
    total = 0
    for layer in convs:
        kernel = view.shapes.get(layer.node.input(1))
        # Each entry of a kernel meets each place of the map that it makes, or, transposed, reads.
        side = layer.node.output if layer.node.op == "Conv" else layer.node.input(0)
        image = view.shapes.get(side)
        if kernel is None or image is None:
            return None
        sides = (*kernel, *image[2:])
        if len(image) < 3 or None in sides:
            return None
        total += math.prod(side or 0 for side in sides)
    return total
