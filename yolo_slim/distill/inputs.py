"""What a student and its teacher are shown: one picture for both."""

from __future__ import annotations

from yolo_slim.cfg import Cfg
from yolo_slim.errors import InputError


def require_same_input(student: Cfg, teacher: Cfg) -> None:
    """Raises InputError where the two take images of other sizes or channels."""
    require_same_channels(student, teacher)
    if student.input_hw != teacher.input_hw:
        mine, theirs = (f"{cfg.net.width}x{cfg.net.height}" for cfg in (student, teacher))
        raise InputError(
            f"the student {student.source} takes images of {mine}, the teacher {teacher.source} of "
            f"{theirs}: give both the same --size"
        )


def require_same_channels(student: Cfg, teacher: Cfg) -> None:
    """Raises InputError where one takes colours and the other luma alone."""
    mine, theirs = student.net.channels, teacher.net.channels
    if mine != theirs:
        raise InputError(
            f"the student {student.source} takes images of {mine} channels, the teacher "
            f"{teacher.source} of {theirs}: expected as many, [net] channels of both cfgs"
        )
