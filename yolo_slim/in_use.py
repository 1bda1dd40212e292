"""A folder that one command at a time works in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from yolo_slim.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two commands apart
    fcntl = None  # type: ignore[assignment]

LOCK = ".in-use"
"""File that is locked meanwhile. One that a killed command left behind is locked by nobody."""


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other commands out of it until the block ends; one that is empty
    then goes again.

    Raises InputError where another one is at work in it.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder):
            yield
    finally:
        for place in made:
            with suppress(OSError):  # what holds something stays
                place.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    path = folder / LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            by = f" (process {number})" if (number := file.read().strip()) else ""
            raise InputError(
                f"{folder} is in use by another command{by}: wait for it, or choose another --out"
            ) from None
        except OSError:  # a file system that knows no locks
            yield
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
