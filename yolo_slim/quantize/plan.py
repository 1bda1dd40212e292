"""Which sections run in INT8, asked of the cfg."""

from __future__ import annotations

from yolo_slim.bundle import head_convs
from yolo_slim.cfg import (
    Cfg,
    Conv,
    Dropout,
    Maxpool,
    Route,
    Upsample,
    Yolo,
    infer_shapes,
    input_shape,
)


def int8_convs(cfg: Cfg) -> tuple[int, ...]:
    """Convolutions that run in INT8: all but the heads and those on 1 x 1 maps.

    Heads stay in float because their output holds offsets and logits of very different size; a
    1 x 1 map is the gate of a squeeze-and-excitation, which costs nothing and scales everything.
    """
    shapes, heads = infer_shapes(cfg), head_convs(cfg)
    return tuple(
        index
        for index, section in enumerate(cfg)
        if isinstance(section, Conv)
        and index not in heads
        and input_shape(cfg, shapes, index)[1:] != (1, 1)
    )


def ranged_outputs(cfg: Cfg) -> tuple[int, ...]:
    """Sections whose output has a range: all maps that an INT8 section may read."""
    shapes, heads = infer_shapes(cfg), head_convs(cfg)
    return tuple(
        index
        for index, section in enumerate(cfg)
        if index not in heads and not isinstance(section, Yolo) and shapes[index][1:] != (1, 1)
    )


def same_values(cfg: Cfg, index: int) -> int | None:
    """The section whose values section `index` only moves or picks from; None if it computes."""
    section = cfg[index]
    if isinstance(section, Maxpool | Upsample | Dropout):
        return index - 1
    if isinstance(section, Route) and len(section.sources) == 1:
        return section.sources[0]
    return None
