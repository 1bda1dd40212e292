"""Width: every convolution with more or fewer filters, and all that has to follow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd, lcm

from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.sections import (
    IMAGE,
    Connected,
    Conv,
    Gate,
    Local,
    Maxpool,
    Reorg,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Shuffle,
)
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape
from yolo_slim.cfg.verify import verify
from yolo_slim.errors import CfgError, InputError

GRAIN = 8
"""Widths are multiples of it, as the mobile families' are."""

# Sections that say how many channels their output has, unless they are depthwise.
_Maker = Conv | Local | Connected


def divisible(channels: float, divisor: int = GRAIN) -> int:
    """The multiple of `divisor` that is nearest, halves up, but not more than 10 % below."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor


def widen(cfg: Cfg, factor: float) -> Cfg:
    """`factor` times the filters of every convolution and the outputs of every [connected].

    The result is `divisible` by 8; by the largest divisor of 8 that the old width had, where that
    is less: 58 filters stay even, and no width grows where factor < 1. Groups, shuffles and splits
    are divided evenly, too. Depthwise convolutions follow their input; a convolution whose map is
    added to another of equal width, or gates it, follows that map. What a head reads, the logits
    of a classifier and gates of 1 channel stay as they are.

    Raises InputError unless factor > 0; CfgError where the sections no longer fit, as a [select]
    of channels that are gone.
    """
    if not 0 < factor < float("inf"):
        raise InputError(f"width factor {factor}: expected a positive number")
    if factor == 1:
        return cfg
    plan = _Plan(cfg)
    sections: list[Section] = []
    widths = {IMAGE: cfg.net.channels}
    for index in range(len(cfg)):
        section = plan.widened(index, factor, widths)
        sections.append(section)
        widths[index] = plan.width(index, section, widths)
    result = replace(cfg, sections=tuple(sections))
    try:
        verify(result)
    except CfgError as error:
        raise CfgError(f"{cfg.source} cannot be widened by {factor:g}: {error}") from None
    for index, link in _ties(cfg, plan.shapes):
        if widths[index - 1] != widths[link]:
            raise CfgError(
                f"{cfg.where(index)} ties sections {index - 1} and {link}, which would get "
                f"{widths[index - 1]} and {widths[link]} channels: {cfg.source} cannot be widened "
                f"by {factor:g}"
            )
    return result


class _Plan:
    """What the old network says about each of its widths.

    makers: link -> the sections that say how many channels its map has.
    pinned: sections whose filters stay.
    followed: section -> the map that it shares a width with, and how many times its own width that
        is: 2 for the halves of a ghost module.
    divisor: of each map's width, what those who read it divide it by.
    """

    def __init__(self, cfg: Cfg) -> None:
        self.cfg, self.shapes = cfg, infer_shapes(cfg)
        self.makers: dict[int, frozenset[int]] = {IMAGE: frozenset()}
        for index in range(len(cfg)):  # front to back: no map is asked twice, however often read
            self.makers[index] = self.makers_of(index)
        outputs = [link for i in cfg.head_indices for link in cfg.links(i)] or [len(cfg) - 1]
        self.pinned = {maker for link in outputs for maker in self.makers[link]}
        self.followed: dict[int, tuple[int, int]] = {}
        for index, link in _ties(cfg, self.shapes):
            makers = self.makers[index - 1]
            if len(makers) == 1:
                (maker,) = makers
                times, rest = divmod(self.channels(link), self.channels(maker))
                if link < maker and times and not rest:
                    self.followed.setdefault(maker, (link, times))
        self.divisor = self.divisors()

    def channels(self, link: int) -> int:
        return self.cfg.net.channels if link == IMAGE else self.shapes[link].channels

    def makes(self, index: int) -> bool:
        """Whether the number of its channels is its own to say."""
        section = self.cfg[index]
        return isinstance(section, _Maker) and not (
            isinstance(section, Conv)
            and is_depthwise(section, input_shape(self.cfg, self.shapes, index).channels)
        )

    def passes(self, index: int) -> tuple[int, ...]:
        """Links whose channels come out of a section that makes none."""
        links = self.cfg.links(index)
        match self.cfg[index]:
            case ScaleChannels(scale_wh=True):
                return links[1:]
            case Shortcut():
                return links[:1]
        return links

    def makers_of(self, index: int) -> frozenset[int]:
        if self.makes(index):
            return frozenset({index})
        return frozenset().union(*(self.makers[link] for link in self.passes(index)))

    def divisors(self) -> list[int]:
        divisor = [1] * len(self.cfg)
        for index in reversed(range(len(self.cfg))):
            own = 1 if self.makes(index) else divisor[index]
            match self.cfg[index]:
                case Conv(groups=groups) if self.makes(index):
                    own = groups
                case Route(groups=groups) | Shuffle(groups=groups):
                    own = lcm(own, groups)
                case Reorg(stride=stride):
                    own = stride**2
            for link in self.cfg.links(index):
                if link != IMAGE:
                    divisor[link] = lcm(divisor[link], own)
        return divisor

    def widened(self, index: int, factor: float, widths: dict[int, int]) -> Section:
        section = self.cfg[index]
        if not isinstance(section, _Maker):
            return section
        if isinstance(section, Conv) and not self.makes(index):
            channels = widths[index - 1]
            return replace(
                section, filters=channels * (section.filters // section.groups), groups=channels
            )
        count = self.channels(index)
        if index not in self.pinned and count > 1:
            if isinstance(section, Conv) and section.share_index is not None:
                count = widths[section.share_index]
            elif index in self.followed:
                followed, times = self.followed[index]
                count = max(1, widths[followed] // times)
            else:
                grain = lcm(gcd(GRAIN, count), self.divisor[index])
                if isinstance(section, Conv):
                    grain = lcm(grain, section.groups)
                count = max(divisible(count * factor, grain), min(GRAIN, count))
        if isinstance(section, Connected):
            return replace(section, output=count)
        return replace(section, filters=count)

    def width(self, index: int, section: Section, widths: dict[int, int]) -> int:
        """Channels of a section's output in the new network."""
        inputs = [widths[link] for link in self.cfg.links(index)]
        match section:
            case Conv(filters=filters) | Local(filters=filters) | Connected(output=filters):
                return filters
            case Route(groups=groups):
                return sum(inputs) // groups
            case Gate():
                return inputs[1]
            case Maxpool(depth_channels=channels) if channels:
                return channels
        new_per_old = self.channels(index) / self.channels(self.cfg.links(index)[0])
        return int(inputs[0] * new_per_old)


def _ties(cfg: Cfg, shapes: tuple[Shape, ...]) -> Iterator[tuple[int, int]]:
    """(section, link): what is before the section and `link` are joined channel by channel."""
    for index, section in enumerate(cfg):
        if isinstance(section, Shortcut | Gate) and not (
            isinstance(section, ScaleChannels) and section.scale_wh
        ):
            for link in cfg.links(index)[1:]:
                if index and link != IMAGE and shapes[link].channels == shapes[index - 1].channels:
                    yield index, link
