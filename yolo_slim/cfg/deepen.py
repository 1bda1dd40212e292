"""Depth: the units of a network that can be repeated or left out, found in its document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Head
from yolo_slim.cfg.limits import MAX_SECTIONS
from yolo_slim.cfg.links import reads, relinked
from yolo_slim.cfg.sections import (
    IMAGE,
    Activation,
    Avgpool,
    Connected,
    Conv,
    Dropout,
    Gate,
    Section,
    Shortcut,
    Shuffle,
)
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape
from yolo_slim.cfg.verify import verify
from yolo_slim.errors import CfgError, InputError


@dataclass(frozen=True)
class Group:
    """`count` units of `length` equal sections each, one after the other from section `start`."""

    start: int
    length: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.length * self.count


def deepen(cfg: Cfg, factor: float) -> Cfg:
    """Each group of n equal units becomes one of n * factor: rounded up where factor > 1, as
    EfficientNet rounds (Tan and Le, 2019), so that a single unit can grow; to the nearest, at
    least 1, below (as in Han et al., Model Rubik's Cube, 2020), where rounding up would keep every
    pair.

    What changes the shape of the map, as the first block of a stage does, is in no group and stays.
    Raises InputError unless factor > 0; CfgError where the result is too large.
    """
    if not 0 < factor < float("inf"):
        raise InputError(f"depth factor {factor}: expected a positive number")
    sections: list[Section] = []
    moved = {IMAGE: IMAGE}  # where the output of a section has gone to

    def append(section: Section) -> None:
        sections.append(relinked(section, lambda link: moved[link]))

    groups = unit_groups(cfg)
    longer = sum(g.length * (_count(g.count, factor) - g.count) for g in groups)
    if len(cfg) + longer > MAX_SECTIONS:
        raise CfgError(
            f"{cfg.source} made {factor:g} times as deep has {len(cfg) + longer:,} sections: "
            f"refused, above {MAX_SECTIONS:,}"
        )
    done = 0
    for group in groups:
        for index in range(done, group.start):
            append(cfg[index])
            moved[index] = len(sections) - 1
        for _ in range(_count(group.count, factor)):
            # Its input is the last section written; nothing outside reads what is in between.
            moved[group.start - 1] = len(sections) - 1
            for index in range(group.start, group.start + group.length):
                append(cfg[index])
                moved[index] = len(sections) - 1
        done = group.stop
        moved[done - 1] = len(sections) - 1
    for index in range(done, len(cfg)):
        append(cfg[index])
        moved[index] = len(sections) - 1
    result = replace(cfg, sections=tuple(sections))
    verify(result)
    return result


def unit_groups(cfg: Cfg) -> tuple[Group, ...]:
    """The units of a network, equal neighbours together, from left to right.

    A unit is a run of sections whose output has the shape of its input, the section before it. It
    reads nothing from before its input, and no later section reads its input or its inner maps. It
    has a convolution that mixes channels and one that mixes pixels, and neither a head nor what
    feeds one. It ends with a [shortcut], as a residual block does wherever it stands, or else all
    that reaches some output passes it: two convolutions in one of several branches are no unit.
    Where runs overlap, the one that ends first is taken, and the shortest of these; a [shuffle],
    [activation] or [dropout] of its result goes with it.
    """
    groups: list[Group] = []
    for start, stop in _units(cfg):
        last = groups[-1] if groups else None
        if (
            last is not None
            and last.stop == start
            and last.length == stop - start
            and _relative(cfg, last.start, last.start + last.length) == _relative(cfg, start, stop)
        ):
            groups[-1] = replace(last, count=last.count + 1)
        else:
            groups.append(Group(start, stop - start, 1))
    return tuple(groups)


def _units(cfg: Cfg) -> Iterator[tuple[int, int]]:
    """(first section, one after the last) of each unit."""
    shapes = infer_shapes(cfg)
    read = [reads(cfg, index) for index in range(len(cfg))]
    last_reader = {link: index for index in range(len(cfg)) for link in read[index]}
    trunk = _trunk(cfg)
    mixers = set(_mixers(cfg, shapes))
    spatial = {i for i, s in enumerate(cfg) if isinstance(s, Conv) and s.size > 1}
    outputs = {*cfg.output_indices, *cfg.head_convs, _logits(cfg)}
    free = 1  # the first section that is in no unit yet; the first of all reads the image
    for end in range(1, len(cfg)):
        if not (end in trunk or isinstance(cfg[end], Shortcut)):
            continue
        furthest = end - 1  # back that a section of the run reads
        for start in range(end, free - 1, -1):
            if start in outputs or isinstance(cfg[start], Head):
                break
            if start < end and last_reader.get(start, start) > end:
                break  # an inner map is read behind the run
            furthest = min(furthest, *read[start])
            if (
                furthest >= start - 1
                and last_reader.get(start - 1, start) <= end
                and shapes[start - 1] == shapes[end]
                and not mixers.isdisjoint(run := range(start, end + 1))
                and not spatial.isdisjoint(run)
            ):
                free = end + 1
                while free < len(cfg) and _closes(cfg[free]) and last_reader[end] == free:
                    end, free = free, free + 1
                yield start, free
                break


def _closes(section: Section) -> bool:
    """Whether it belongs to the unit before it."""
    return isinstance(section, Shuffle | Activation | Dropout)


def _mixers(cfg: Cfg, shapes: tuple[Shape, ...]) -> Iterator[int]:
    """Convolutions that mix channels of a map; not those that make a gate of its mean."""
    pooled: set[int] = set()
    for index, section in enumerate(cfg):
        if isinstance(section, Avgpool) or (
            not isinstance(section, Gate) and pooled.intersection(cfg.links(index))
        ):
            pooled.add(index)
        elif isinstance(section, Conv):
            if not is_depthwise(section, input_shape(cfg, shapes, index).channels):
                yield index


def _trunk(cfg: Cfg) -> frozenset[int]:
    """Sections that every path from the image to some output passes: its dominators."""
    passed: list[frozenset[int]] = []
    for index in range(len(cfg)):
        paths = [passed[i] if i != IMAGE else frozenset[int]() for i in cfg.links(index)]
        passed.append(frozenset.intersection(*paths) | {index})
    return frozenset().union(*(passed[index] for index in cfg.output_indices))


def _logits(cfg: Cfg) -> int:
    """The last section of a network without heads that has weights."""
    return max((i for i, s in enumerate(cfg) if isinstance(s, Conv | Connected)), default=IMAGE)


def _relative(cfg: Cfg, start: int, stop: int) -> tuple[Section, ...]:
    """Sections as they would be, were the first of them the first of a network."""
    return tuple(relinked(s, lambda link: link - start) for s in cfg.sections[start:stop])


def _count(count: int, factor: float) -> int:
    # 10 * 1.1 is a little more than 11 in floating point, and no 12th unit.
    wanted = round(count * factor, 9)
    return max(1, ceil(wanted) if factor >= 1 else round(wanted))
