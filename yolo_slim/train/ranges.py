"""A number that was typed is told with the range that it must lie in."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_slim.errors import InputError


def require(options: Mapping[str, tuple[object, bool, str]]) -> None:
    """options: name -> (value, whether it is good, what is expected).

    Raises InputError for the first that is not.
    """
    for name, (value, good, expected) in options.items():
        if not good:
            raise InputError(f"--{name} {value} is out of range: expected {expected}")
