"""Rendered pictures kept between epochs: in memory, or in a file beside the run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from yolo_slim.errors import InputError
from yolo_slim.files import room, told_bytes

CacheMode = Literal["auto", "ram", "disk", "off"]

RAM_BUDGET_BYTES = 2 << 30
"""'auto' keeps pictures in memory up to this size."""

DISK_RESERVE_BYTES = 1 << 30
"""What is left free of a disk."""


class PictureCache:
    """Pictures uint8 [n, h, w, 3] and which of them are there. `pictures` is None for 'off'.

    Shared with workers that are forked. Of a file nothing stays behind: it has no name.
    """

    def __init__(
        self,
        mode: CacheMode,
        shape: tuple[int, int, int, int],
        folder: Path | None = None,
        budget_bytes: int = RAM_BUDGET_BYTES,
    ) -> None:
        """folder: where the file of 'disk' is made; the system's temporary folder for None.

        Raises InputError where the disk has no room for it.
        """
        n_bytes = int(np.prod(shape, dtype=np.int64))
        if mode == "auto":
            mode = "ram" if n_bytes <= budget_bytes else "off"
        self.mode = mode
        self.filled = np.zeros(shape[0], bool)
        self.pictures: np.ndarray | None = None
        if mode == "ram":
            self.pictures = np.empty(shape, np.uint8)  # memory is taken as pages are written
        elif mode == "disk":
            self.pictures = _on_disk(shape, n_bytes, folder or Path(tempfile.gettempdir()))

    def get(self, index: int) -> np.ndarray | None:
        """The picture [h, w, 3], not to be written to; None where it is not kept."""
        if self.pictures is None or not self.filled[index]:
            return None
        picture: np.ndarray = self.pictures[index]
        return picture

    def keep(self, wanted: Sequence[bool]) -> None:
        """Forgets the pictures that are not wanted; the others move up."""
        places = np.flatnonzero(wanted)
        if self.pictures is not None:
            for new, old in enumerate(places):
                self.pictures[new] = self.pictures[old]
        self.filled = self.filled[places]

    def put(self, index: int, picture: np.ndarray) -> None:
        if self.pictures is not None:
            self.pictures[index] = picture
            self.filled[index] = True


def _on_disk(shape: tuple[int, ...], n_bytes: int, folder: Path) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    if n_bytes > (free := room(folder) - DISK_RESERVE_BYTES):
        raise InputError(
            f"--cache disk needs {told_bytes(n_bytes)} in {folder}, and {told_bytes(free)} are "
            "free: leave it out, or take a smaller --size"
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
