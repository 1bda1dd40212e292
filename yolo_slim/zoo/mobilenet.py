"""MobileNets (Howard et al., 2017), MobileNetV2 (Sandler et al., 2018), MobileNetV3 (Howard et al.,
Searching for MobileNetV3, 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from yolo_slim.cfg import Avgpool, Connected, divisible
from yolo_slim.zoo.blocks import (
    Block,
    Row,
    blocks_of,
    conv_top,
    inverted_residual,
    mobile_classifier,
)
from yolo_slim.zoo.trunk import IMAGENET, Classifier, Trunk, pooled_logits

# Filters and stride of each depthwise separable convolution.
V1_FILTERS_STRIDE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip

V2_ROWS = (
    Row(1, 16, 1, 1), Row(6, 24, 2, 2), Row(6, 32, 3, 2), Row(6, 64, 4, 2), Row(6, 96, 3, 1),
    Row(6, 160, 3, 2), Row(6, 320, 1, 1),
)  # fmt: skip

# Kernel, hidden channels, filters, squeeze-and-excitation, activation, stride.
V3Row = tuple[int, int, int, bool, str, int]
V3_LARGE: tuple[V3Row, ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hswish", 2),
    (3, 200, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1),
    (3, 480, 112, True, "hswish", 1),
    (3, 672, 112, True, "hswish", 1),
    (5, 672, 160, True, "hswish", 2),
    (5, 960, 160, True, "hswish", 1),
    (5, 960, 160, True, "hswish", 1),
)
V3_SMALL: tuple[V3Row, ...] = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hswish", 2),
    (5, 240, 40, True, "hswish", 1),
    (5, 240, 40, True, "hswish", 1),
    (5, 120, 48, True, "hswish", 1),
    (5, 144, 48, True, "hswish", 1),
    (5, 288, 96, True, "hswish", 2),
    (5, 576, 96, True, "hswish", 1),
    (5, 576, 96, True, "hswish", 1),
)


def mobilenetv1(width: float, classes: int) -> Classifier:
    """Depthwise separable convolutions, ReLU after both halves, nothing added.

    The paper's activation; timm's weights (mobilenetv1_100) were trained with ReLU6.
    """
    blocks, channels = [], divisible(32 * width)
    for filters, stride in V1_FILTERS_STRIDE:
        blocks.append(Block(3, channels, divisible(filters * width), stride))
        channels = blocks[-1].filters
    return mobile_classifier(blocks[0].hidden, blocks, _separable, pooled_logits(classes))


def _separable(trunk: Trunk, channels: int, block: Block) -> None:
    trunk.depthwise(channels, block.size, block.stride, block.activation)
    trunk.conv(block.filters, activation=block.activation)


def mobilenetv2(width: float, classes: int) -> Classifier:
    """Inverted residuals with linear bottlenecks. The head is not made narrower than 1280."""
    stem = divisible(32 * width)
    rows = [replace(row, filters=divisible(row.filters * width)) for row in V2_ROWS]
    top = conv_top(divisible(1280 * max(1.0, width)), "relu6", classes)
    blocks = blocks_of(rows, stem, "relu6")
    return mobile_classifier(stem, blocks, inverted_residual, top, stem_activation="relu6")


def mobilenetv3(rows: Sequence[V3Row], features: int, classes: int) -> Classifier:
    """Found by search: hard swish, and gates of a quarter of the hidden channels in some blocks.

    features: outputs of the matrix before the last.
    """
    blocks = [
        Block(size, hidden, filters, stride, divisible(hidden // 4) if squeezed else 0, activation)
        for size, hidden, filters, squeezed, activation, stride in rows
    ]
    top = Trunk()
    top.conv(6 * blocks[-1].filters, activation="hswish")
    top.add(Avgpool())
    top.add(Connected(output=features, activation="hswish"))
    top.add(Connected(output=classes, activation="linear"))
    return mobile_classifier(
        16,
        blocks,
        partial(inverted_residual, inner="relu", gate="hsigmoid"),
        top.sections,
        replace(IMAGENET, bn_eps=1e-3),
        stem_activation="hswish",
    )


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "mobilenetv1-0.25": partial(mobilenetv1, 0.25),
    "mobilenetv1-0.5": partial(mobilenetv1, 0.5),
    "mobilenetv1-0.75": partial(mobilenetv1, 0.75),
    "mobilenetv1-1.0": partial(mobilenetv1, 1.0),
    "mobilenetv2-0.5": partial(mobilenetv2, 0.5),
    "mobilenetv2-0.75": partial(mobilenetv2, 0.75),
    "mobilenetv2": partial(mobilenetv2, 1.0),
    "mobilenetv2-1.4": partial(mobilenetv2, 1.4),
    "mobilenetv3-small": partial(mobilenetv3, V3_SMALL, 1024),
    "mobilenetv3-large": partial(mobilenetv3, V3_LARGE, 1280),
}
