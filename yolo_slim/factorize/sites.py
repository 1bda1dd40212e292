"""What can be factored: the sections with a kernel, what each costs, and why one stays whole."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_slim.cfg import Cfg, Connected, Conv, head_maps, measure
from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.cfg.shapes import infer_shapes, input_shape

HEAD = "read by a head"


@dataclass(frozen=True)
class Ranks:
    """How a kernel is factored, by the channels between the factors.

    read: those that a 1x1 convolution in front of it leaves to be read; None without one.
    written: those that it writes for a 1x1 convolution behind it; None without one.

    A matrix (a 1x1 convolution, or [connected]) has `written` alone.
    """

    read: int | None = None
    written: int | None = None


@dataclass(frozen=True)
class Site:
    """A section with a kernel [filters, channels, area]; that of [connected] reads `channels`
    values, and has an area of 1.

    places_in, places_out: of the maps that it reads and writes. whole: why it cannot be factored,
    '' where it can.
    """

    index: int
    kind: str
    filters: int
    channels: int
    area: int
    places_in: int
    places_out: int
    macs: int
    whole: str = ""

    @property
    def is_matrix(self) -> bool:
        return self.area == 1

    @property
    def max_read(self) -> int:
        """The rank of the kernel over what it reads."""
        return min(self.channels, self.filters * self.area)

    @property
    def max_written(self) -> int:
        """The rank of the kernel over what it writes."""
        return min(self.filters, self.channels * self.area)

    def macs_of(self, ranks: Ranks) -> int:
        """Multiply-accumulates of the factors for one image."""
        read = self.channels if ranks.read is None else ranks.read
        written = self.filters if ranks.written is None else ranks.written
        macs = self.places_out * self.area * read * written
        if ranks.read is not None:
            macs += self.places_in * self.channels * read
        if ranks.written is not None:
            macs += self.places_out * written * self.filters
        return macs


def find_sites(cfg: Cfg, with_heads: bool = False) -> tuple[Site, ...]:
    """All convolutions and [connected] sections of a cfg, in its order.

    with_heads: what heads read can be factored, too. An object is in few cells, so the mean over
    all of them says little of what its loss would cost.
    """
    shapes, users = infer_shapes(cfg), _users(cfg)
    heads = frozenset[int]() if with_heads else head_maps(cfg)
    found = []
    for cost in measure(cfg):
        section = cost.section
        if isinstance(section, Conv):
            read = input_shape(cfg, shapes, cost.index)
            kind = f"{section.size}x{section.size}"
            if section.groups > 1:
                kind += f" groups={section.groups}"
            sizes = (
                section.filters, read.channels, section.size**2, read.height * read.width,
                cost.shape.height * cost.shape.width,
            )  # fmt: skip
            whole = _why_whole(section, read.channels, users.get(cost.index))
        elif isinstance(section, Connected):
            read = input_shape(cfg, shapes, cost.index)
            kind, sizes, whole = "connected", (section.output, read.values, 1, 1, 1), ""
        else:
            continue
        if cost.index in heads:
            whole = HEAD
        found.append(Site(cost.index, kind, *sizes, cost.macs, whole))
    return tuple(found)


def _users(cfg: Cfg) -> dict[int, int]:
    """Sections whose kernel another one uses, too -> that one."""
    return {
        section.share_index: index
        for index, section in enumerate(cfg)
        if isinstance(section, Conv) and section.share_index is not None
    }


def _why_whole(conv: Conv, channels: int, user: int | None) -> str:
    if conv.share_index is not None:
        return f"uses the kernel of section {conv.share_index}"
    if user is not None:
        return f"section {user} uses its kernel, too"
    if conv.xnor:
        return "reads signs"
    if is_depthwise(conv, channels):
        return "depthwise"
    return "no filter reads all channels" if conv.groups > 1 else ""
