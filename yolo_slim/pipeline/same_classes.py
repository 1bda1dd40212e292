"""Class k of a model must be what the data call class k: a count alone does not tell."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_slim.bundle import Bundle
from yolo_slim.class_names import class_key
from yolo_slim.errors import InputError


def require_same_names(model: str, theirs: Sequence[str], ours: Sequence[str], so: str) -> None:
    """Raises InputError where a model has the same number of classes, and one of another name.

    theirs: the model's names, empty if unknown; ours: those of the data; compared by class_key.
    model: what to call it, so: what follows from it, for the message.
    """
    if len(theirs) != len(ours):
        return
    for k, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if class_key(their) != class_key(our):
            raise InputError(f"{model} calls class {k} {their!r}, the data call it {our!r}: {so}")


def require_same_answers(teacher: Bundle, class_names: Sequence[str]) -> None:
    """The same of a teacher whose answers are learned."""
    require_same_names(
        f"the teacher {teacher.cfg.source}",
        teacher.class_names,
        class_names,
        "its answers cannot be compared; name --loss overhaul alone",
    )
