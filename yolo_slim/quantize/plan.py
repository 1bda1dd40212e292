"""Which sections run in INT8, asked of the cfg."""

from __future__ import annotations

from yolo_slim.cfg import (
    Cfg,
    Conv,
    Dropout,
    Head,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    Select,
    Shuffle,
    Upsample,
    infer_shapes,
    input_shape,
)


def int8_convs(cfg: Cfg) -> tuple[int, ...]:
    """Convolutions that run in INT8: all but the heads, those on 1 x 1 maps, and those that take
    signs or share a kernel.

    Heads stay in float because their output holds offsets and logits of very different size; a
    1 x 1 map is the gate of a squeeze-and-excitation, which costs nothing and scales everything.
    """
    shapes, heads = infer_shapes(cfg), cfg.head_convs
    shared = {s.share_index for s in cfg if isinstance(s, Conv)}
    return tuple(
        index
        for index, section in enumerate(cfg)
        if isinstance(section, Conv)
        and not section.xnor
        and section.share_index is None
        and index not in shared | heads
        and input_shape(cfg, shapes, index)[1:] != (1, 1)
    )


def ranged_outputs(cfg: Cfg) -> tuple[int, ...]:
    """Sections whose output has a range: all maps that an INT8 section may read."""
    shapes, heads = infer_shapes(cfg), cfg.head_convs
    return tuple(
        index
        for index, section in enumerate(cfg)
        if index not in heads and not isinstance(section, Head) and shapes[index][1:] != (1, 1)
    )


def same_values(cfg: Cfg, index: int) -> int | None:
    """The section whose values section `index` only moves or picks from; None if it computes."""
    section = cfg[index]
    if isinstance(section, Upsample) and section.scale != 1:
        return None
    if isinstance(section, Maxpool | Upsample | Dropout | Reorg | Reorg3d | Select | Shuffle):
        return index - 1
    if isinstance(section, Route) and len(section.sources) == 1:
        return section.sources[0]
    return None
