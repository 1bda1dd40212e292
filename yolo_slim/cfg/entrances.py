"""BatchNorms at the entrance of a block: what a block reads may be less than what flows past it.

In a pre-activation network a BatchNorm stands before the convolution. A channel that it silences is
still needed by the shortcut beside it, so it cannot be cut; but the block need not read it (channel
selection of Liu et al., Network Slimming, 2017).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from yolo_slim.cfg.coupling import NOT_ZERO_AT_ZERO
from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.links import readers_of, relinked
from yolo_slim.cfg.sections import IMAGE, Activation, Batchnorm, Conv, Route, Section, Select
from yolo_slim.cfg.shapes import infer_shapes, input_shape
from yolo_slim.cfg.verify import verify


@dataclass(frozen=True)
class Entrance:
    """norm: index of the [batchnorm]. convs: all that read it, through activations alone.

    channels: how many it has.
    """

    norm: int
    convs: tuple[int, ...]
    channels: int


def entrances(cfg: Cfg) -> tuple[Entrance, ...]:
    """The [batchnorm] sections whose every reader is a convolution with a kernel of its own that
    reads all channels; a silenced channel must come out of the activations between as 0."""
    shapes = infer_shapes(cfg)
    read_by = readers_of(cfg)
    owners = set()
    for index, section in enumerate(cfg):
        if isinstance(section, Conv) and section.share_index is not None:
            owners |= {index, section.share_index}
    found = []
    for index, section in enumerate(cfg):
        if isinstance(section, Batchnorm):
            convs = _convs_behind(cfg, index, read_by)
            if convs and not owners.intersection(convs):
                channels = input_shape(cfg, shapes, index).channels
                found.append(Entrance(index, tuple(sorted(convs)), channels))
    return tuple(found)


def _convs_behind(cfg: Cfg, index: int, read_by: Mapping[int, Collection[int]]) -> list[int]:
    """All convolutions that read a section, through activations alone; none where anything else
    reads it, too."""
    convs: list[int] = []
    for reader in read_by.get(index, ()):
        match cfg[reader]:
            case Conv(groups=1, xnor=False):  # of signs: that of 0 is not 0
                convs.append(reader)
            case Activation(activation=name) if name not in NOT_ZERO_AT_ZERO:
                behind = _convs_behind(cfg, reader, read_by)
                if not behind:
                    return []
                convs += behind
            case _:
                return []
    return convs


def with_selection(cfg: Cfg, channels: Mapping[int, Sequence[int]]) -> tuple[Cfg, dict[int, int]]:
    """The cfg with a [select] of `channels` before each [batchnorm] that is a key, and the new
    place of every section."""
    sections: list[Section] = []
    moved: dict[int, int] = {IMAGE: IMAGE}
    for index, section in enumerate(cfg):
        first = moved[cfg.links(index)[0]]
        if not isinstance(section, Route) and first != len(sections) - 1:
            sections.append(Route(sources=(first,)))
        if index in channels:
            sections.append(Select(channels=tuple(channels[index])))
        sections.append(relinked(section, moved.__getitem__))
        moved[index] = len(sections) - 1
    del moved[IMAGE]
    result = replace(cfg, sections=tuple(sections))
    verify(result)
    return result, moved
