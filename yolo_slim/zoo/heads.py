"""YOLOv3's heads: what is put on a backbone to make a detector of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yolo_slim.cfg import Conv, Maxpool, Route, Section, Upsample, Yolo
from yolo_slim.zoo.darknet import conv
from yolo_slim.zoo.trunk import Backbone

# k-means anchors of COCO at 416 px, as published with YOLOv3.
COCO_ANCHORS_WH = (
    (10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326),
)  # fmt: skip
COCO_TINY_ANCHORS_WH = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))


def yolo(
    mask: Sequence[int], anchors_wh: Sequence[tuple[float, float]], classes: int
) -> list[Section]:
    """The linear convolution and the [yolo] section that reads it."""
    head = Yolo(
        mask=tuple(mask),
        anchors_wh=tuple((float(w), float(h)) for w, h in anchors_wh),
        classes=classes,
        ignore_thresh=0.7,
    )
    return [Conv(filters=head.head_filters, size=1, padding_px=0, activation="linear"), head]


def yolov3_heads(
    backbone: Backbone, classes: int, width: float = 1.0, depth: int = 3, spp: bool = False
) -> tuple[Section, ...]:
    """The backbone, a head at its end, and one at each lateral on a path up.

    width: of the heads; 1 is 512 channels in the first, 256 in the second.
    depth: pairs of a 1x1 and a 3x3 convolution in a head, 2 or more.
    """
    sections = list(backbone.sections)
    n_anchors = 3 * (1 + len(backbone.laterals))
    for level, lateral in enumerate((None, *backbone.laterals)):
        filters = round(512 * width) >> level
        if lateral is not None:
            sections += [Route(sources=(len(sections) - 4,)), conv(filters, 1), Upsample(stride=2)]
            sections.append(Route(sources=(len(sections) - 1, lateral)))
        sections += [conv(filters, 1), conv(2 * filters, 3), conv(filters, 1)]
        if spp and lateral is None:
            sections += _spatial_pyramid(len(sections) - 1)
            sections.append(conv(filters, 1))
        sections += [conv(2 * filters, 3), conv(filters, 1)] * (depth - 2)
        sections += [conv(2 * filters, 3)]
        last = n_anchors - 3 * level
        sections += yolo(range(last - 3, last), COCO_ANCHORS_WH[:n_anchors], classes)
    return tuple(sections)


def lite_heads(backbone: Backbone, classes: int) -> tuple[Section, ...]:
    """YOLOv3's heads in half the width, every 3x3 convolution a depthwise one and a 1x1."""
    heads = yolov3_heads(backbone, classes, width=0.5)
    start = len(backbone.sections)
    sections: list[Section] = list(backbone.sections)
    moved = {index: index for index in range(start)}  # where a section has gone to
    for index, section in enumerate(heads[start:], start):
        match section:
            case Conv(size=3, filters=filters):
                channels = filters // 2
                sections.append(replace(conv(channels, 3), groups=channels))
                section = conv(filters, 1)
            case Route():
                section = replace(section, sources=tuple(moved[s] for s in section.sources))
        sections.append(section)
        moved[index] = len(sections) - 1
    return tuple(sections)


def tiny_heads(backbone: Backbone, classes: int) -> tuple[Section, ...]:
    """The backbone and two heads, strides 32 and 16."""
    sections = [*backbone.sections, conv(256, 1), conv(512, 3)]
    sections += yolo((3, 4, 5), COCO_TINY_ANCHORS_WH, classes)
    sections += [Route(sources=(len(sections) - 4,)), conv(128, 1), Upsample(stride=2)]
    sections += [Route(sources=(len(sections) - 1, backbone.laterals[0])), conv(256, 3)]
    return (*sections, *yolo((0, 1, 2), COCO_TINY_ANCHORS_WH, classes))


def _spatial_pyramid(start: int) -> list[Section]:
    """Max over 5, 9 and 13 px beside the map itself (He et al., SPP, 2014)."""
    sections: list[Section] = []
    pools = []
    for size in (5, 9, 13):
        if sections:
            sections.append(Route(sources=(start,)))
        sections.append(Maxpool(size=size, stride=1, padding_px=size - 1))
        pools.append(start + len(sections))
    return [*sections, Route(sources=(*reversed(pools), start))]
