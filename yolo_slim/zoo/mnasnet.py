"""MnasNet-B1, the variant without squeeze-and-excitation (Tan et al., MnasNet, 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from yolo_slim.cfg import divisible
from yolo_slim.zoo.blocks import (
    Row,
    blocks_of,
    conv_top,
    inverted_residual,
    mobile_classifier,
)
from yolo_slim.zoo.trunk import Classifier

ROWS = (
    Row(1, 16, 1, 1), Row(3, 24, 3, 2), Row(3, 40, 3, 2, size=5), Row(6, 80, 3, 2, size=5),
    Row(6, 96, 2, 1), Row(6, 192, 4, 2, size=5), Row(6, 320, 1, 1),
)  # fmt: skip


def mnasnet(width: float, classes: int) -> Classifier:
    """Inverted residuals whose kernels and widths were found by search on a phone."""
    stem = divisible(32 * width)
    rows = [replace(row, filters=divisible(row.filters * width)) for row in ROWS]
    top = conv_top(1280, "relu", classes)
    return mobile_classifier(stem, blocks_of(rows, stem, "relu"), inverted_residual, top)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "mnasnet-0.5": partial(mnasnet, 0.5),
    "mnasnet-1.0": partial(mnasnet, 1.0),
}
