"""How often a network multiplies when its 3 x 3 convolutions run by Winograd's algorithms."""

from __future__ import annotations

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.measure import measure
from yolo_slim.cfg.sections import Conv, Section


def suits_winograd(section: Section) -> bool:
    """Whether it is a 3 x 3 convolution of stride 1, of all channels, with a kernel of its own."""
    return (
        isinstance(section, Conv)
        and section.size == 3
        and section.strides_hw == (1, 1)
        and section.dilation == 1
        and section.groups == 1
        and section.share_index is None
        and not section.xnor
    )


def winograd_multiplications(cfg: Cfg, tile: int) -> tuple[int, ...]:
    """Multiplications of each section for one image, by F(tile x tile, 3 x 3) where it suits.

    A tile of tile x tile outputs takes (tile + 2)^2 for each pair of channels, where the definition
    takes 9 tile^2: 2.25 times less for 2, 4 for 4, 5.06 for 6. A tile that hangs over the edge of a
    map takes as many as any other. All other sections: their MACs. The transforms are left out, as
    they are where such counts are published: additions and scaling by constants.

    >>> from yolo_slim.cfg import totals
    >>> from yolo_slim.zoo import build
    >>> cfg = build("yolov3")
    >>> direct = totals(cfg).macs
    >>> [round(direct / sum(winograd_multiplications(cfg, tile)), 2) for tile in (2, 4, 6)]
    [1.73, 2.23, 2.34]
    """
    return tuple(
        (tile + 2) ** 2
        * _covering(cost.shape.height, tile)
        * _covering(cost.shape.width, tile)
        * cost.in_channels
        * cost.shape.channels
        if suits_winograd(cost.section)
        else cost.macs
        for cost in measure(cfg)
    )


def _covering(length: int, tile: int) -> int:
    return -(-length // tile)
