"""Residual blocks: found in a document's links alone, whatever they are made of, and taken out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Head
from yolo_slim.cfg.links import readers_of, reads, relinked
from yolo_slim.cfg.sections import IMAGE, Route, Section, Shortcut
from yolo_slim.cfg.shapes import infer_shapes
from yolo_slim.cfg.verify import verify
from yolo_slim.errors import CfgError


@dataclass(frozen=True)
class Block:
    """A [shortcut] that adds to the map of `source` what the sections of `branch` make of it.

    Without the block, whoever read `shortcut` reads `source`; an activation of the shortcut goes
    with it.
    """

    source: int
    branch: tuple[int, ...]
    shortcut: int

    @property
    def sections(self) -> tuple[int, ...]:
        """What goes with the block, in order."""
        return (*self.branch, self.shortcut)

    def holds(self, other: Block) -> bool:
        """Whether `other` lies in the branch of this block."""
        return other.shortcut in self.branch


def residual_blocks(cfg: Cfg) -> tuple[Block, ...]:
    """The blocks that can be left out, by the place of their shortcuts.

    The first operand in the network is the source. The branch is all that the other operands are
    made from: it reads the source or itself, and nobody but itself and the shortcut reads it (nor
    uses one of its kernels). Source and result have one shape, and the shortcut learns no weights.
    A [route] that only gives a map another name is looked through.

    Two blocks share no section, or one lies in the branch of the other: what leaves a branch
    leaves it by its shortcut, so there is no third way.

    >>> from yolo_slim.zoo import build
    >>> residual_blocks(build("yolov3-nano"))[0]
    Block(source=1, branch=(2, 3), shortcut=4)
    """
    found = _Finder(cfg)
    blocks = (found.block(i, s) for i, s in enumerate(cfg) if isinstance(s, Shortcut))
    return tuple(block for block in blocks if block is not None)


def drop_blocks(cfg: Cfg, blocks: Iterable[Block]) -> tuple[Cfg, dict[int, int | None]]:
    """The cfg without these blocks, and for each section its new place, None where it went.

    A section that read a dropped shortcut from the place after it gets a [route] to its new input
    where that is not the section before it any more; other links are moved. A [route] that renamed
    a map for dropped sections alone goes with them.

    Raises CfgError for a block that is none of `residual_blocks(cfg)`.
    """
    blocks = tuple(blocks)
    for block in set(blocks).difference(residual_blocks(cfg)):
        raise CfgError(
            f"{cfg.source}: sections {block.branch} with shortcut {block.shortcut} are no residual "
            "block of it: take those that residual_blocks finds"
        )
    instead = {block.shortcut: block.source for block in blocks}
    gone = {index for block in blocks for index in block.sections}
    gone |= _unread_names(cfg, gone)

    sections: list[Section] = []
    moved: dict[int, int | None] = {IMAGE: IMAGE}

    def move(link: int) -> int:
        while link in instead:
            link = instead[link]
        place = moved[link]
        assert place is not None  # nobody outside reads a branch
        return place

    for index, section in enumerate(cfg):
        if index in gone:
            moved[index] = None
            continue
        first = move(cfg.links(index)[0])
        if not isinstance(section, Route) and first != len(sections) - 1:
            sections.append(Route(sources=(first,)))
        sections.append(relinked(section, move))
        moved[index] = len(sections) - 1
    del moved[IMAGE]
    result = replace(cfg, sections=tuple(sections))
    verify(result)
    return result, moved


class _Finder:
    """The links of a cfg, seen through the [route]s that only rename a map."""

    def __init__(self, cfg: Cfg) -> None:
        self.cfg, self.shapes = cfg, infer_shapes(cfg)
        self.origin = {IMAGE: IMAGE}
        for index, section in enumerate(cfg):
            self.origin[index] = self.origin[cfg.links(index)[0]] if _renames(section) else index
        self.inputs = [{self.origin[link] for link in cfg.links(i)} for i in range(len(cfg))]
        read = {link for index in range(len(cfg)) for link in reads(cfg, index)}
        self.readers: dict[int, set[int]] = {index: set() for index in range(len(cfg))}
        for index, section in enumerate(cfg):
            if _renames(section) and index in read:
                continue  # its readers count, and not itself; unread, it is an output
            for link in reads(cfg, index):
                if link != IMAGE and self.origin[link] != IMAGE:
                    self.readers[self.origin[link]].add(index)

    def block(self, index: int, shortcut: Shortcut) -> Block | None:
        """The block that ends with the shortcut at `index`; None where it ends none."""
        operands = {self.origin[link] for link in self.cfg.links(index)}
        source = min(operands)
        if (
            shortcut.weights_type != "none"
            or source == IMAGE
            or self.shapes[source] != self.shapes[index]
            or not self.readers[index]
        ):
            return None
        branch = self.branch(source, operands - {source})
        if not branch or any(not self.readers[i] <= {*branch, index} for i in branch):
            return None
        names = {i for i, origin in self.origin.items() if origin in branch}
        return Block(source, tuple(sorted(names)), index)

    def branch(self, source: int, ends: Collection[int]) -> set[int]:
        """All that `ends` are made from, back to `source`; empty where that reads what lies
        before it."""
        found: set[int] = set()
        ahead = list(ends)
        while ahead:
            index = ahead.pop()
            if index < source or isinstance(self.cfg[index], Head):
                return set()
            if index not in found:
                found.add(index)
                ahead += self.inputs[index] - {source}
        return found


def _renames(section: Section) -> bool:
    return isinstance(section, Route) and len(section.sources) == 1 and section.groups == 1


def _unread_names(cfg: Cfg, gone: Collection[int]) -> set[int]:
    """[route]s that renamed a map, now that all who read them are `gone`."""
    unread: set[int] = set()
    read_by = readers_of(cfg, kernels=True)
    for index in reversed(range(len(cfg))):
        if _renames(cfg[index]) and index in read_by:
            if all(reader in gone or reader in unread for reader in read_by[index]):
                unread.add(index)
    return unread
