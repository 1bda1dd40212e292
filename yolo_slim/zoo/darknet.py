"""Darknet-19 (Redmon and Farhadi, YOLO9000, 2017), Darknet-53 (YOLOv3, 2018), YOLOv3-tiny."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yolo_slim.cfg import Avgpool, Conv, Maxpool, Net, Section, Shortcut, Softmax
from yolo_slim.zoo.trunk import Backbone, Classifier, Trunk

DARKNET53 = (1, 2, 8, 8, 4)
NATIVE = Net(width=256, height=256)


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


def darknet53(classes: int = 1000) -> Classifier:
    """53 convolutions: 52, and the matrix of the classifier, as in darknet53.cfg."""
    backbone = darknet(DARKNET53)
    stages = (*reversed(backbone.laterals), len(backbone.sections) - 1)
    top = (Avgpool(), _logits(classes), Softmax())
    return Classifier(backbone.sections, stages, top, NATIVE)


def darknet_tiny_classifier(classes: int = 1000) -> Classifier:
    """The backbone of YOLOv3-tiny, with the top of Darknet-53."""
    backbone = darknet_tiny()
    stages = (*reversed(backbone.laterals), len(backbone.sections) - 1)
    return Classifier(backbone.sections, stages, (Avgpool(), _logits(classes), Softmax()), NATIVE)


def darknet19(classes: int = 1000) -> Classifier:
    """19 convolutions; pools between stages that alternate 3x3 with 1x1, as in darknet19.cfg."""
    trunk, stages = Trunk(), []
    for stage, widths in enumerate(
        ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512),
         (1024, 512, 1024, 512, 1024))
    ):  # fmt: skip
        if stage:
            trunk.add(Maxpool(size=2, stride=2, padding_px=1))
        for place, filters in enumerate(widths):
            trunk.add(conv(filters, 1 if place % 2 else 3))
        stages.append(trunk.last)
    top = (_logits(classes), Avgpool(), Softmax())
    return Classifier(tuple(trunk.sections), tuple(stages[3:]), top, NATIVE)


def _logits(classes: int) -> Conv:
    return Conv(filters=classes, activation="linear")


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "darknet19": darknet19,
    "darknet53": darknet53,
    "darknet-tiny": darknet_tiny_classifier,
}
