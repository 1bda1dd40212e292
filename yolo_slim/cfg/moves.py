"""Which sections compute nothing: their maps hold values of other maps."""

from __future__ import annotations

from collections.abc import Collection

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.links import readers_of
from yolo_slim.cfg.sections import (
    Activation,
    Cost,
    Dropout,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    Select,
    Shuffle,
    Upsample,
)

_MOVERS = (
    Activation, Cost, Dropout, Maxpool, Reorg, Reorg3d, Select, Shuffle, Upsample,
)  # fmt: skip


def moved_from(cfg: Cfg, index: int) -> tuple[int, ...]:
    """The sections whose values section `index` only moves, picks or joins; none if it computes."""
    section = cfg[index]
    if isinstance(section, Upsample) and section.scale != 1:
        return ()
    if isinstance(section, Activation) and section.activation != "linear":
        return ()
    if isinstance(section, _MOVERS):
        return (index - 1,)
    if isinstance(section, Route):
        return section.sources
    return ()


def head_maps(cfg: Cfg, alone: bool = False) -> frozenset[int]:
    """Sections whose values heads read, directly or through sections that only move them.

    alone: where something else reads one, too, only what a head reads directly.
    """
    readers, found = readers_of(cfg), set(cfg.head_convs)
    for link in reversed(range(len(cfg))):  # readers come after what they read
        read_by = readers.get(link, set())
        passed_on = {reader for reader in read_by & found if link in moved_from(cfg, reader)}
        if passed_on and (passed_on == read_by or not alone):
            found.add(link)
    return frozenset(found)


def same_values(cfg: Cfg, indices: Collection[int]) -> dict[int, int]:
    """Of sections `indices`: each -> the first whose values it shares, directly or through others.

    What is moved or joined has one number format with where it comes from and goes to: else it
    would be converted on the way.
    """
    first = {index: index for index in sorted(indices)}

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    for index in first:
        for source in moved_from(cfg, index):
            if source in first:
                one, other = sorted((root(source), root(index)))
                first[other] = one
    return {index: root(index) for index in first}
