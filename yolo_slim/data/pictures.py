"""The pictures of a folder, and the one that a file of annotations belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from yolo_slim.data.dataset import is_folder
from yolo_slim.errors import DataError
from yolo_slim.found_files import PICTURE_SUFFIXES, files_below

Progress = Callable[[int, int], None]
"""Called with (done, in all)."""

T = TypeVar("T")


def tracked(items: Sequence[T], progress: Progress | None) -> Iterator[T]:
    """The items, one by one; `progress`, if any, hears of each that is done."""
    for done, item in enumerate(items, 1):
        yield item
        if progress is not None:
            progress(done, len(items))


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below `folder` in sorted order, as `files_below` finds them.

    Raises DataError where `folder` is none.
    """
    return [path for path in _files(folder, "pictures") if path.suffix.lower() in PICTURE_SUFFIXES]


def find_files(folder: Path, suffix: str) -> list[Path]:
    """Every file below `folder` that ends in `suffix`, whatever its case, in sorted order."""
    return [path for path in _files(folder, "annotations") if path.suffix.lower() == suffix]


class PictureFinder:
    """Finds the picture that a file of annotations describes.

    >>> PictureFinder(Path("images")).find("night/a", r"C:\\old\\a.jpg")   # doctest: +SKIP
    PosixPath('images/night/a.png')
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_stem: dict[str, list[Path]] = {}
        for path in find_pictures(folder):
            self._by_stem.setdefault(stem_below(path, folder), []).append(path)

    @property
    def stems(self) -> list[str]:
        """The place of every picture below the folder, without its suffix, sorted."""
        return sorted(self._by_stem)

    def find(self, stem: str, named: str | None = None) -> Path | None:
        """The picture of annotations that lie at `stem` below their folder; None for none.

        A picture of the same name counts, whatever its suffix, as in VOC's devkit, labelme and
        YOLO. Where there is none, the file name at the end of `named`, what the annotations
        themselves say: with its suffix, else without. Folders in it are those of its author and
        lead nowhere; either slash may part them.

        Raises DataError where two pictures fit and `named` does not tell which.
        """
        found = self._by_stem.get(stem, [])
        name = PurePosixPath((named or "").replace("\\", "/")).name.strip()
        if not found and name:
            beside = str(PurePosixPath(stem).parent / PurePosixPath(name).stem)
            found = self._by_stem.get(beside, [])
        if len(found) > 1:
            exact = [path for path in found if path.name == name]
            if not exact:
                raise DataError(
                    f"{self.folder} has {found[0].name} and {found[1].name}: one of them belongs "
                    f"to the annotations of {stem}. Rename the other."
                )
            found = exact
        return found[0] if found else None


def places_below(pictures: Sequence[Path]) -> tuple[Path, list[Path]]:
    """The folder that all the pictures lie in, and where each lies below it.

    The folder is absolute, without `..`; links on the way are not followed, so that a picture
    lies where it is said to lie.
    """
    paths = [Path(os.path.abspath(path)) for path in pictures]  # noqa: PTH100
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    return folder, [path.relative_to(folder) for path in paths]


def require_all(folder: Path, missing: Sequence[Path], annotations: Path) -> None:
    """Raises DataError for annotation files whose picture is not in `folder`."""
    if missing:
        raise DataError(
            f"{folder} lacks the pictures of {len(missing)} files in {annotations}, the first is "
            f"{missing[0]}. Is it the folder that belongs to these annotations?"
        )


def read_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises DataError where it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except ValueError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}.") from error


def stem_below(path: Path, folder: Path) -> str:
    """Where a file lies below a folder, without its suffix: 'night/a'."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _files(folder: Path, what: str) -> list[Path]:
    if not is_folder(folder):
        raise DataError(f"{folder} is not a folder. Expected the folder of the {what}.")
    return files_below(folder)


def read_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line. Raises DataError where there is none."""
    names = tuple(line.strip() for line in read_lines(path) if line.strip())
    if not names:
        raise DataError(f"{path} holds no class name, expected one a line.")
    return names
