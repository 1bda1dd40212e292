"""EfficientNet-B0 to B7 (Tan and Le, EfficientNet, 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil

from yolo_slim.cfg import divisible
from yolo_slim.zoo.blocks import (
    Row,
    blocks_of,
    conv_top,
    inverted_residual,
    mobile_classifier,
)
from yolo_slim.zoo.trunk import IMAGENET, Classifier

B0_ROWS = (
    Row(1, 16, 1, 1), Row(6, 24, 2, 2), Row(6, 40, 2, 2, size=5), Row(6, 80, 3, 2),
    Row(6, 112, 3, 1, size=5), Row(6, 192, 4, 2, size=5), Row(6, 320, 1, 1),
)  # fmt: skip


def scaled_b0(
    stem: int,
    width: float,
    repeats: Callable[[int], int],
    features: int,
    classes: int,
    size_px: int,
    bn_eps: float = 1e-5,
) -> Classifier:
    """EfficientNet-B0 made wider or narrower, deeper or shallower, at another input size.

    repeats: from the blocks in a row of B0's table to those here.
    features: channels of the last map.
    """
    rows = [
        replace(row, filters=divisible(row.filters * width), repeats=repeats(row.repeats))
        for row in B0_ROWS
    ]
    return mobile_classifier(
        stem,
        blocks_of(rows, stem, "swish", squeeze_divisor=4),
        partial(inverted_residual, inner="swish", gate="logistic"),
        conv_top(features, "swish", classes),
        replace(IMAGENET, width=size_px, height=size_px, bn_eps=bn_eps),
        stem_activation="swish",
    )


def efficientnet(
    width: float, depth: float, size_px: int, bn_eps: float, classes: int
) -> Classifier:
    """Compound scaling: width, depth and input size grow together; depths are rounded up."""
    return scaled_b0(
        divisible(32 * width),
        width,
        lambda count: ceil(depth * count),
        4 * divisible(320 * width),
        classes,
        size_px,
        bn_eps,
    )


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "efficientnet-b0": partial(efficientnet, 1.0, 1.0, 224, 1e-5),
    "efficientnet-b1": partial(efficientnet, 1.0, 1.1, 240, 1e-5),
    "efficientnet-b2": partial(efficientnet, 1.1, 1.2, 260, 1e-5),
    "efficientnet-b3": partial(efficientnet, 1.2, 1.4, 300, 1e-5),
    "efficientnet-b4": partial(efficientnet, 1.4, 1.8, 380, 1e-5),
    "efficientnet-b5": partial(efficientnet, 1.6, 2.2, 456, 1e-3),
    "efficientnet-b6": partial(efficientnet, 1.8, 2.6, 528, 1e-3),
    "efficientnet-b7": partial(efficientnet, 2.0, 3.1, 600, 1e-3),
}
