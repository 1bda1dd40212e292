"""What takes the place of a picture that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from yolo_slim.errors import DataError

MAX_REPLACED = 16
"""So many unreadable pictures in a row are no accident."""

T = TypeVar("T")


def first_readable(read: Callable[[int], T], index: int, n: int, faults: list[str]) -> T:
    """read(index), or what the next of `n` pictures gives that can be read.

    The words of every fault on the way are added to `faults`. Raises the first DataError where
    MAX_REPLACED pictures in a row, or all of them, cannot be read.
    """
    first: DataError | None = None
    for step in range(min(MAX_REPLACED, n)):
        try:
            return read((index + step) % n)
        except DataError as error:
            faults.append(str(error))
            first = first or error
    assert first is not None
    raise first
