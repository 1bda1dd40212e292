"""Darknet-53 (Redmon and Farhadi, YOLOv3, 2018) and the backbone of YOLOv3-tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yolo_slim.cfg import Conv, Maxpool, Section, Shortcut


@dataclass(frozen=True)
class Backbone:
    """Sections that end at stride 32, and where the maps of strides 8 and 16 are."""

    sections: tuple[Section, ...]
    stride8: int
    stride16: int


def conv(filters: int, size: int, stride: int = 1) -> Conv:
    """Convolution + BatchNorm + LeakyReLU, the brick of every Darknet."""
    return Conv(
        filters=filters,
        size=size,
        stride=stride,
        padding_px=size // 2,
        batch_normalize=True,
        activation="leaky",
    )


def darknet(blocks: Sequence[int], width: float = 1.0) -> Backbone:
    """Five stages of `blocks[i]` residual blocks, 64 * 2^i * `width` channels wide.

    Darknet-53 is darknet((1, 2, 8, 8, 4)).
    """
    sections: list[Section] = [conv(round(32 * width), 3)]
    ends = []
    for stage, n_blocks in enumerate(blocks):
        filters = round(64 * 2**stage * width)
        sections.append(conv(filters, 3, stride=2))
        for _ in range(n_blocks):
            start = len(sections) - 1
            sections += [conv(filters // 2, 1), conv(filters, 3), Shortcut(sources=(start,))]
        ends.append(len(sections) - 1)
    return Backbone(tuple(sections), stride8=ends[2], stride16=ends[3])


def darknet_tiny() -> Backbone:
    """7 convolutions and 6 pools."""
    sections: list[Section] = []
    for filters in (16, 32, 64, 128, 256):
        sections += [conv(filters, 3), Maxpool(size=2, stride=2, padding_px=1)]
    sections += [conv(512, 3), Maxpool(size=2, stride=1, padding_px=1), conv(1024, 3)]
    return Backbone(tuple(sections), stride8=6, stride16=8)
