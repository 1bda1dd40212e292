"""What the mobile families share: their block, the rows of their tables, how widths are rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from yolo_slim.cfg import Net, Section
from yolo_slim.zoo.trunk import IMAGENET, Classifier, Trunk, pooled_logits


@dataclass(frozen=True)
class Block:
    """A narrow map, a wide one that is filtered channel by channel, and a narrow one again.

    size: of the depthwise kernel. hidden: channels in between. filters: channels of the result.
    squeeze: channels between the two matrices of squeeze-and-excitation; 0 for none.
    """

    size: int
    hidden: int
    filters: int
    stride: int = 1
    squeeze: int = 0
    activation: str = "relu"


@dataclass(frozen=True)
class Row:
    """A row of a paper's table: `repeats` blocks, of which the first has the stride."""

    expansion: int
    filters: int
    repeats: int
    stride: int
    size: int = 3


def blocks_of(
    rows: Iterable[Row], channels: int, activation: str, squeeze_divisor: int = 0
) -> list[Block]:
    """The blocks of a table, the first of which reads `channels`.

    squeeze_divisor: what the channels that a block reads are divided by for its
    squeeze-and-excitation; 0 for none.
    """
    blocks = []
    for row in rows:
        for place in range(row.repeats):
            stride = 1 if place else row.stride
            squeeze = channels // squeeze_divisor if squeeze_divisor else 0
            hidden = channels * row.expansion
            blocks.append(Block(row.size, hidden, row.filters, stride, squeeze, activation))
            channels = row.filters
    return blocks


def inverted_residual(
    trunk: Trunk, channels: int, block: Block, inner: str = "relu", gate: str = "logistic"
) -> None:
    """1x1 to the wide map, depthwise, 1x1 back without an activation, and the input added where
    it has the shape of the result (Sandler et al., MobileNetV2, 2018).

    No first convolution where the wide map is no wider. inner, gate: activations of
    squeeze-and-excitation, which stands after the depthwise convolution.
    """
    start = trunk.last
    if block.hidden != channels:
        trunk.conv(block.hidden, activation=block.activation)
    trunk.depthwise(block.hidden, block.size, block.stride, block.activation)
    if block.squeeze:
        trunk.squeeze_excite(block.hidden, block.squeeze, inner, gate)
    trunk.conv(block.filters)
    if block.stride == 1 and block.filters == channels:
        trunk.shortcut(start)


def mobile_classifier(
    stem: int,
    blocks: Iterable[Block],
    append: Callable[[Trunk, int, Block], None],
    top: Sequence[Section],
    net: Net = IMAGENET,
    stem_activation: str = "relu",
) -> Classifier:
    """A 3x3 convolution of stride 2 to `stem` channels, the blocks, and the top.

    append: writes one block to the trunk, given the channels it reads.
    """
    trunk, channels, ends = Trunk(), stem, []
    trunk.conv(stem, 3, stride=2, activation=stem_activation)
    for block in blocks:
        if block.stride == 2:
            ends.append(trunk.last)
        append(trunk, channels, block)
        channels = block.filters
    stages = (*ends, trunk.last)[-3:]
    return Classifier(tuple(trunk.sections), stages, tuple(top), net)


def conv_top(filters: int, activation: str, classes: int) -> tuple[Section, ...]:
    """A 1x1 convolution, the mean over the map, and one matrix."""
    top = Trunk()
    top.conv(filters, activation=activation)
    return (*top.sections, *pooled_logits(classes))
