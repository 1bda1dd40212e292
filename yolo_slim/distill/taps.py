"""Which maps of a student are compared with which of its teacher: found in their cfgs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from yolo_slim.cfg import IMAGE, Cfg, Shape, Strided, head_maps, infer_shapes, moved_from
from yolo_slim.distill.inputs import require_same_input
from yolo_slim.errors import InputError

MIN_STRIDE_PX = 4
"""The maps before it are large, and say little more than the image (Heo et al. begin there)."""

Kind = Literal["stage", "head"]


@dataclass(frozen=True)
class Tap:
    """A map of a network, as it is before the activation of `section`.

    kind: 'stage', the last one before the stride changes; 'head', what a head's convolution reads.
    stride_px: rows of the input to one row of the map. hw: rows and columns of the map.
    """

    section: int
    kind: Kind
    stride_px: int
    channels: int
    hw: tuple[int, int]

    def __str__(self) -> str:
        height, width = self.hw
        return f"{self.kind} of {width}x{height} cells (section {self.section})"


@dataclass(frozen=True)
class Pair:
    """Two maps of one size. weight: of their difference beside those of the others."""

    student: Tap
    teacher: Tap
    weight: float


def find_taps(cfg: Cfg) -> tuple[Tap, ...]:
    """The stages, from the most cells to the fewest, then the heads in their order.

    Of a network without heads the last map that is larger than one cell stands for them.
    """
    shapes = infer_shapes(cfg)
    most_cells = cfg.net.height * cfg.net.width / MIN_STRIDE_PX**2

    def tap(section: int, kind: Kind) -> Tap:
        return _tap(cfg, shapes[section], section, kind)

    stages: dict[tuple[int, int], Tap] = {}
    for index, section in enumerate(cfg):
        if not isinstance(section, Strided) or max(section.strides_hw) == 1:
            continue
        for link in cfg.links(index):
            if link == IMAGE or shapes[link][1:] == shapes[index][1:]:
                continue
            found = tap(link, "stage")
            if math.prod(found.hw) <= most_cells:
                stages.setdefault(found.hw, found)  # a neck that goes down again is later
    readers = [index for index in sorted(head_maps(cfg)) if not moved_from(cfg, index)]
    heads = [tap(cfg.links(index)[0], "head") for index in readers]
    if not heads:
        wide = [index for index in range(len(cfg)) if shapes[index].height > 1]
        heads = [tap(wide[-1], "head")] if wide else []
    return (*sorted(stages.values(), key=lambda found: -math.prod(found.hw)), *heads)


def match_taps(student: Cfg, teacher: Cfg, by_hand: Sequence[tuple[int, int]] = ()) -> list[Pair]:
    """Stages with stages and heads with heads, of as many cells; others are left alone.

    A stage weighs half of the next one, the last half of a head, and a head 1: 1 / 2^(n - i), as
    published for n stages where the last one weighs 1.
    by_hand: pairs of section numbers, student and teacher, in place of all that; each weighs 1.

    Raises InputError where the two take other images, nothing matches, or a pair has two sizes.
    """
    require_same_input(student, teacher)
    if by_hand:
        return [_by_hand(student, teacher, *sections) for sections in by_hand]
    known: dict[tuple[Kind, tuple[int, int]], Tap] = {}
    for tap in find_taps(teacher):
        known.setdefault((tap.kind, tap.hw), tap)
    mine = [tap for tap in find_taps(student) if (tap.kind, tap.hw) in known]
    if not mine:
        raise InputError(
            f"no feature of the student {student.source} ({_told(student)}) has the size of one "
            f"of the teacher {teacher.source} ({_told(teacher)}): name pairs with --taps"
        )
    n_stages = sum(tap.kind == "stage" for tap in mine)
    weights = [0.5 ** (n_stages - k) if k < n_stages else 1.0 for k in range(len(mine))]
    return [
        Pair(tap, known[tap.kind, tap.hw], weight)
        for tap, weight in zip(mine, weights, strict=True)
    ]


def _by_hand(student: Cfg, teacher: Cfg, mine: int, theirs: int) -> Pair:
    taps = []
    for cfg, section, who in ((student, mine, "student"), (teacher, theirs, "teacher")):
        if not 0 <= section < len(cfg):
            raise InputError(
                f"--taps {mine}:{theirs}: the {who} {cfg.source} has sections 0 to {len(cfg) - 1}"
            )
        taps.append(_tap(cfg, infer_shapes(cfg)[section], section, "stage"))
    one, other = taps
    if one.hw != other.hw:
        raise InputError(
            f"--taps {mine}:{theirs}: the student's map is {one.hw[1]}x{one.hw[0]}, the teacher's "
            f"{other.hw[1]}x{other.hw[0]}; expected two of one size"
        )
    return Pair(one, other, 1.0)


def _tap(cfg: Cfg, shape: Shape, section: int, kind: Kind) -> Tap:
    stride_px = cfg.net.height // shape.height
    return Tap(section, kind, stride_px, shape.channels, (shape.height, shape.width))


def _told(cfg: Cfg) -> str:
    return ", ".join(str(tap) for tap in find_taps(cfg)) or "none"
