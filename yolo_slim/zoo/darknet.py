"""Darknet-53 (Redmon and Farhadi, YOLOv3, 2018) and the backbone of YOLOv3-tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yolo_slim.cfg import Conv, Maxpool, Section, Shortcut


@dataclass(frozen=True)
class Backbone:
    """Sections, and the maps that heads join again on their way up: each twice as fine as the one
    before it, the first twice as fine as where the sections end."""

    sections: tuple[Section, ...]
    laterals: tuple[int, ...]


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
    """Stages of `blocks[i]` residual blocks, 64 * 2^i * `width` channels wide, stride 2^(i + 1).

    Darknet-53 is darknet((1, 2, 8, 8, 4)). Laterals go up to stride 8.
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
    return Backbone(tuple(sections), laterals=tuple(ends[2:-1][::-1]))


def darknet_tiny() -> Backbone:
    """7 convolutions and 6 pools."""
    sections: list[Section] = []
    for filters in (16, 32, 64, 128, 256):
        sections += [conv(filters, 3), Maxpool(size=2, stride=2, padding_px=1)]
    sections += [conv(512, 3), Maxpool(size=2, stride=1, padding_px=1), conv(1024, 3)]
    return Backbone(tuple(sections), laterals=(8, 6))
