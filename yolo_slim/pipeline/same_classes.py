"""Class k of a model must be what the data call class k: a count alone does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.class_names import are_known, class_key
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError


def numbered_as(data: Dataset, model: str, names: Sequence[str], n_classes: int) -> Dataset:
    """The data with their classes numbered and called as a model has them, by name: see class_key.

    A class of the model that the data lack has no boxes there. Where names are unknown on one side,
    class k is class k, and both must have as many.

    model: what to call it in a message, names: of its classes, empty if unknown.
    Raises InputError for a class that the model does not have.
    """
    ours = data.class_names
    if not are_known(names) or not are_known(ours):
        if n_classes == len(ours):
            return data
        raise InputError(
            f"{model} detects {n_classes} classes, {data.source} has {len(ours)} "
            f"({_some(ours)}): they must be the same, or the model's be named by --names"
        )
    if same_names(names, ours):
        return data
    number_of = {class_key(name): k for k, name in enumerate(names)}
    strangers = [our for our in ours if class_key(our) not in number_of]
    if strangers:
        raise InputError(
            f"{data.source} has classes that {model} does not have: {_some(strangers)}. Expected "
            f"some of {_some(names)}, under these names"
        )
    renumbered = np.array([number_of[class_key(our)] for our in ours], np.int64)
    samples = tuple(replace(s, class_ids=renumbered[s.class_ids]) for s in data.samples)
    ids = tuple(range(1, len(names) + 1))
    return replace(data, samples=samples, class_names=tuple(names), category_ids=ids)


def same_names(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether class k is the same class in both, for every k; see class_key."""
    return [*map(class_key, one)] == [*map(class_key, other)]


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


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + ("..." if len(names) > 4 else "")
