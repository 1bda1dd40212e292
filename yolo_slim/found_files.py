"""The files of a folder, and which of them are pictures."""

from __future__ import annotations

import os
from pathlib import Path

PICTURE_SUFFIXES = frozenset(
    ".bmp .gif .jfif .jpe .jpeg .jpg .pgm .png .ppm .tif .tiff .webp".split()
)


def files_in(folder: Path) -> list[Path]:
    """Every file directly in `folder` in sorted order; hidden ones, as macOS leaves beside its
    own, are passed over."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file())


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder` in sorted order; hidden files and folders are passed over.

    Links are followed. A linked folder counts once, and not at all where it leads to a place below
    `folder`, whose files are found there: so no link leads in a circle.
    """
    root = folder.resolve()
    seen = {root}

    def is_new(place: Path) -> bool:
        real = place.resolve()
        if real in seen or (place.is_symlink() and real.is_relative_to(root)):
            return False
        seen.add(real)
        return True

    found: list[Path] = []
    for name, folders, _ in os.walk(folder, followlinks=True):
        here = Path(name)
        folders[:] = [n for n in sorted(folders) if not n.startswith(".") and is_new(here / n)]
        found += files_in(here)
    return sorted(found)
