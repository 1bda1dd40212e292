"""Who reads whom: the links of a document, followed and moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.sections import Conv, Gate, Route, Section, Shortcut


def reads(cfg: Cfg, index: int) -> tuple[int, ...]:
    """Links of a section, and the section whose kernel it uses."""
    section = cfg[index]
    shared = section.share_index if isinstance(section, Conv) else None
    return cfg.links(index) if shared is None else (*cfg.links(index), shared)


def readers_of(cfg: Cfg, kernels: bool = False) -> dict[int, set[int]]:
    """link -> the sections that read its map, or by `kernels` use its kernel; one that nobody reads
    is not there."""
    found: dict[int, set[int]] = {}
    for index in range(len(cfg)):
        for link in reads(cfg, index) if kernels else cfg.links(index):
            found.setdefault(link, set()).add(index)
    return found


def relinked(section: Section, move: Callable[[int], int]) -> Section:
    """The section with every link that it states sent through `move`; that to the section before
    it, which most leave unsaid, follows from where it is put."""
    match section:
        case Shortcut() | Route():
            return replace(section, sources=tuple(map(move, section.sources)))
        case Gate():
            return replace(section, source=move(section.source))
        case Conv(share_index=int(owner)):
            return replace(section, share_index=move(owner))
    return section
