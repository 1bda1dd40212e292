"""One section becomes several in a row: what read it reads the last of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.links import relinked
from yolo_slim.cfg.sections import IMAGE, Section
from yolo_slim.cfg.verify import verify


def split(cfg: Cfg, parts: Mapping[int, Sequence[Section]]) -> tuple[Cfg, dict[int, int]]:
    """The cfg with each section that is a key as the row of sections that is its value, and the new
    place of every section's output: of a row, its last.

    Each of a row reads the one before it, the first what the section read. Raises CfgError where
    the rows do not fit in.
    """
    sections: list[Section] = []
    moved = {IMAGE: IMAGE}
    for index, section in enumerate(cfg):
        row = parts[index] if index in parts else (relinked(section, moved.__getitem__),)
        sections += row
        moved[index] = len(sections) - 1
    del moved[IMAGE]
    result = replace(cfg, sections=tuple(sections))
    verify(result)
    return result, moved
