"""What drawn files are called: after what they show, and each name once."""

from __future__ import annotations

import os
from pathlib import PurePath

from yolo_slim.errors import DataError

MAX_BYTES = 240
"""Of a name: file systems take 255, and a number and a suffix may follow."""


def file_stem(text: str) -> str:
    """A text as the name of a file, without suffix: UTF-8, and not too long.

    >>> file_stem("caf\\udce9")  # Latin-1, as Python tells of it
    'caf\N{REPLACEMENT CHARACTER}'
    """
    readable = os.fsencode(text).decode("utf-8", "replace")
    return readable.encode()[:MAX_BYTES].decode("utf-8", "ignore")


def opencv_path(path: PurePath | str) -> str:
    """The path as OpenCV takes it. Raises DataError for one that is not UTF-8, which would end the
    process without a word."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{path} has a name that is not UTF-8, which OpenCV cannot open: rename it."
        ) from None
    return str(path)


class FreeNames:
    """Gives each file name out once; one that is taken gets a number.

    >>> free = FreeNames()
    >>> free("street.jpg"), free("street.jpg"), free("street.mp4")
    ('street.jpg', 'street-2.jpg', 'street.mp4')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, wanted: str) -> str:
        path = PurePath(wanted)
        name, number = wanted, 2
        while name in self._taken:
            name = f"{path.stem}-{number}{path.suffix}"
            number += 1
        self._taken.add(name)
        return name
