"""Which sections compute nothing: their maps hold values of other maps."""

from __future__ import annotations

from collections.abc import Collection

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.sections import (
    Dropout,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    Select,
    Shuffle,
    Upsample,
)


def moved_from(cfg: Cfg, index: int) -> tuple[int, ...]:
    """The sections whose values section `index` only moves, picks or joins; none if it computes."""
    section = cfg[index]
    if isinstance(section, Upsample) and section.scale != 1:
        return ()
    if isinstance(section, Maxpool | Upsample | Dropout | Reorg | Reorg3d | Select | Shuffle):
        return (index - 1,)
    if isinstance(section, Route):
        return section.sources
    return ()


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
