"""GhostNet (Han et al., GhostNet: More Features from Cheap Operations, 2020)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from yolo_slim.cfg import Avgpool, divisible
from yolo_slim.zoo.blocks import Block, mobile_classifier
from yolo_slim.zoo.trunk import Classifier, Trunk, pooled_logits

# Kernel, hidden channels, filters, squeeze-and-excitation, stride.
ROWS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)


def ghostnet(width: float, classes: int) -> Classifier:
    """MobileNetV3-large's plan with ghost modules in place of its 1x1 convolutions."""
    blocks = []
    for size, hidden, filters, squeezed, stride in ROWS:
        wide = divisible(hidden * width, 4)
        squeeze = divisible(wide / 4, 4) if squeezed else 0
        blocks.append(Block(size, wide, divisible(filters * width, 4), stride, squeeze))
    top = Trunk()
    top.conv(blocks[-1].hidden, activation="relu")
    top.add(Avgpool())
    top.conv(1280, activation="relu", batch_normalize=False)
    return mobile_classifier(
        divisible(16 * width, 4),
        blocks,
        _bottleneck,
        (*top.sections, *pooled_logits(classes)[1:]),
    )


def _bottleneck(trunk: Trunk, channels: int, block: Block) -> None:
    """Two ghost modules, a depthwise convolution between them where the stride is 2; the input is
    added, by way of a depthwise and a 1x1 convolution where its shape is not the result's."""
    start = trunk.last
    _ghost(trunk, block.hidden, block.activation)
    if block.stride == 2:
        trunk.depthwise(block.hidden, block.size, stride=2)
    if block.squeeze:
        trunk.squeeze_excite(block.hidden, block.squeeze, inner="relu", gate="hsigmoid")
    result = _ghost(trunk, block.filters, "linear")
    if block.stride == 1 and block.filters == channels:
        trunk.shortcut(start)
        return
    trunk.route(start)
    trunk.depthwise(channels, block.size, block.stride)
    trunk.conv(block.filters)
    trunk.shortcut(result)


def _ghost(trunk: Trunk, filters: int, activation: str) -> int:
    """Half of the channels by a 1x1 convolution, the other half by filtering each of these.

    `filters` is even: every width of GhostNet is a multiple of 4.
    """
    intrinsic = trunk.conv(filters // 2, activation=activation)
    cheap = trunk.depthwise(filters // 2, 3, activation=activation)
    return trunk.route(intrinsic, cheap)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "ghostnet-0.5": partial(ghostnet, 0.5),
    "ghostnet": partial(ghostnet, 1.0),
    "ghostnet-1.3": partial(ghostnet, 1.3),
}
