"""Darknet-53 (Redmon and Farhadi, YOLOv3, 2018) and the backbone of YOLOv3-tiny."""

from __future__ import annotations

from yolo_slim.cfg import Conv, Maxpool, Section, Shortcut


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


def darknet53() -> list[Section]:
    """52 convolutions in five stages; strides 8, 16, 32 end at sections 36, 61, 74."""
    sections: list[Section] = [conv(32, 3)]
    for filters, n_blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        sections.append(conv(filters, 3, stride=2))
        for _ in range(n_blocks):
            start = len(sections) - 1
            sections += [conv(filters // 2, 1), conv(filters, 3), Shortcut(sources=(start,))]
    return sections


def darknet_tiny() -> list[Section]:
    """7 convolutions and 6 pools; stride 16 ends at section 8, stride 32 at section 12."""
    sections: list[Section] = []
    for filters in (16, 32, 64, 128, 256):
        sections += [conv(filters, 3), Maxpool(size=2, stride=2, padding_px=1)]
    return [*sections, conv(512, 3), Maxpool(size=2, stride=1, padding_px=1), conv(1024, 3)]
