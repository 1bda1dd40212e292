"""Which sections run in INT8, and why, asked of the cfg."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from yolo_slim.cfg import IMAGE, Cfg, Conv, Head, head_maps, infer_shapes, input_shape
from yolo_slim.errors import InputError

GROUP_MULTIPLE = 8
"""Engines have no integer kernel for a grouped convolution of other widths."""


@dataclass(frozen=True)
class Decision:
    """Whether a convolution runs in INT8, and why."""

    int8: bool
    reason: str


def decide(cfg: Cfg, keep_float: Collection[int] = ()) -> dict[int, Decision]:
    """index of a convolution -> its decision.

    keep_float: sections that were asked to stay in float; those that would anyway may be among
    them. Raises InputError where one of them is no convolution.
    """
    shapes, heads, readable = infer_shapes(cfg), head_maps(cfg), {IMAGE, *ranged_outputs(cfg)}
    shared = {s.share_index for s in cfg if isinstance(s, Conv)}
    found = {}
    for index, section in enumerate(cfg):
        if not isinstance(section, Conv):
            continue
        reason = ""
        if index in heads:
            reason = "head: offsets and logits of very different size"
        elif input_shape(cfg, shapes, index)[1:] == (1, 1):
            reason = "on a 1 x 1 map: a gate that costs nothing and scales everything"
        elif section.xnor:
            reason = "multiplies signs (xnor)"
        elif section.share_index is not None or index in shared:
            reason = "shares its kernel (share_index)"
        elif section.groups > 1 and section.filters % GROUP_MULTIPLE:
            reason = f"{section.filters} channels in groups, no multiple of {GROUP_MULTIPLE}"
        elif cfg.links(index)[0] not in readable:
            reason = "reads what a head reads or gives: that has no range"
        elif index in keep_float:
            reason = "kept in float: asked for, or among the most sensitive"
        found[index] = Decision(not reason, reason or _why(section))
    for index in sorted(keep_float):
        if index not in found:
            where = f"{cfg.source} has no section {index}, but 0 to {len(cfg) - 1}"
            if index < len(cfg):
                where = f"section {index} of {cfg.source} is {cfg[index].kind}, not a convolution"
            raise InputError(f"{where}: `quantize --table` and `profile` list them")
    return found


def _why(section: Conv) -> str:
    if section.groups == 1:
        return "convolution and activation as one"
    return f"depthwise or grouped, {section.filters} channels"


def int8_convs(cfg: Cfg, keep_float: Collection[int] = ()) -> tuple[int, ...]:
    """Convolutions that run in INT8; see decide."""
    return tuple(index for index, decision in decide(cfg, keep_float).items() if decision.int8)


def kept_convs(cfg: Cfg, keep_float: Collection[int]) -> tuple[int, ...]:
    """Those of `keep_float` that would run in INT8 otherwise, in order."""
    kept = set(keep_float)
    return tuple(index for index in int8_convs(cfg) if index in kept)


def ranged_outputs(cfg: Cfg) -> tuple[int, ...]:
    """Sections whose output has a range: all maps that an INT8 section may read."""
    shapes, heads = infer_shapes(cfg), head_maps(cfg, alone=True)
    return tuple(
        index
        for index, section in enumerate(cfg)
        if index not in heads and not isinstance(section, Head) and shapes[index][1:] != (1, 1)
    )
