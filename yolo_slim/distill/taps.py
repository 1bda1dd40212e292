"""Which maps of a student are compared with which of its teacher: found in their cfgs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from yolo_slim.cfg import IMAGE, Cfg, Strided, infer_shapes
from yolo_slim.errors import InputError

MIN_STRIDE_PX = 4
"""The maps before it are large, and say little more than the image (Heo et al. begin there)."""

Kind = Literal["stage", "head"]


@dataclass(frozen=True)
class Tap:
    """A map of a network, as it is before the activation of `section`.

    kind: 'stage', the last one before the stride changes; 'head', what a head's convolution reads.
    stride_px: pixels of the input to one cell of the map.
    """

    section: int
    kind: Kind
    stride_px: int
    channels: int

    def __str__(self) -> str:
        return f"{self.kind} at stride {self.stride_px} (section {self.section})"


@dataclass(frozen=True)
class Pair:
    """Two maps of one size. weight: of their difference beside those of the others."""

    student: Tap
    teacher: Tap
    weight: float


def find_taps(cfg: Cfg) -> tuple[Tap, ...]:
    """The stages, from the finest stride to the coarsest, then the heads in their order.

    Of a network without heads the last map that is larger than one cell stands for them.
    """
    shapes = infer_shapes(cfg)

    def tap(section: int, kind: Kind) -> Tap:
        shape = shapes[section]
        return Tap(section, kind, cfg.net.height // shape.height, shape.channels)

    stages: dict[int, Tap] = {}
    for index, section in enumerate(cfg):
        if not isinstance(section, Strided) or max(section.strides_hw) == 1:
            continue
        for link in cfg.links(index):
            if link == IMAGE or shapes[link].height == shapes[index].height:
                continue
            found = tap(link, "stage")
            if found.stride_px >= MIN_STRIDE_PX:
                stages.setdefault(found.stride_px, found)  # a neck that goes down again is later
    heads = [tap(cfg.links(conv)[0], "head") for conv in sorted(cfg.head_convs)]
    if not heads:
        wide = [index for index in range(len(cfg)) if shapes[index].height > 1]
        heads = [tap(wide[-1], "head")] if wide else []
    return (*(stages[stride] for stride in sorted(stages)), *heads)


def match_taps(student: Cfg, teacher: Cfg, by_hand: Sequence[tuple[int, int]] = ()) -> list[Pair]:
    """Stages with stages and heads with heads, of the same stride; others are left alone.

    A stage weighs half of the next one, the last half of a head, and a head 1: 1 / 2^(n - i), as
    published for n stages where the last one weighs 1.
    by_hand: pairs of section numbers, student and teacher, in place of all that; each weighs 1.

    Raises InputError where the inputs differ in size, nothing matches, or a pair has two sizes.
    """
    if student.input_hw != teacher.input_hw:
        sizes = [f"{cfg.net.width}x{cfg.net.height}" for cfg in (student, teacher)]
        raise InputError(
            f"the student {student.source} takes images of {sizes[0]}, the teacher "
            f"{teacher.source} of {sizes[1]}: their features cannot be compared; give both --size"
        )
    if by_hand:
        return [_by_hand(student, teacher, *sections) for sections in by_hand]
    known: dict[tuple[Kind, int], Tap] = {}
    for tap in find_taps(teacher):
        known.setdefault((tap.kind, tap.stride_px), tap)
    mine = [tap for tap in find_taps(student) if (tap.kind, tap.stride_px) in known]
    if not mine:
        raise InputError(
            f"no feature of the student {student.source} ({_told(student)}) has the stride of one "
            f"of the teacher {teacher.source} ({_told(teacher)}): name pairs with --taps"
        )
    n_stages = sum(tap.kind == "stage" for tap in mine)
    weights = [0.5 ** (n_stages - k) if k < n_stages else 1.0 for k in range(len(mine))]
    return [
        Pair(tap, known[tap.kind, tap.stride_px], weight)
        for tap, weight in zip(mine, weights, strict=True)
    ]


def _by_hand(student: Cfg, teacher: Cfg, mine: int, theirs: int) -> Pair:
    taps = []
    for cfg, section, who in ((student, mine, "student"), (teacher, theirs, "teacher")):
        if not 0 <= section < len(cfg):
            raise InputError(
                f"--taps {mine}:{theirs}: the {who} {cfg.source} has sections 0 to {len(cfg) - 1}"
            )
        shape = infer_shapes(cfg)[section]
        taps.append((shape, Tap(section, "stage", cfg.net.height // shape.height, shape.channels)))
    (one, tap), (other, their_tap) = taps
    if (one.height, one.width) != (other.height, other.width):
        raise InputError(
            f"--taps {mine}:{theirs}: the student's map is {one.width}x{one.height}, the teacher's "
            f"{other.width}x{other.height}; expected two of one size"
        )
    return Pair(tap, their_tap, 1.0)


def _told(cfg: Cfg) -> str:
    return ", ".join(str(tap) for tap in find_taps(cfg)) or "none"
