"""A folder of YOLO text labels for a folder of pictures, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolo_slim.data.dataset import Dataset, is_file
from yolo_slim.data.pictures import (
    PictureFinder,
    Progress,
    find_files,
    read_lines,
    require_all,
    stem_below,
)
from yolo_slim.data.yolo_labels import LabelReader, RowForm
from yolo_slim.errors import DataError

_NAMES_FILES = ("classes.txt", "obj.names", "_darknet.labels")


def read_label_folder(
    images: Path, labels: Path, names: Sequence[str] | None, progress: Progress | None = None
) -> Dataset:
    """The pictures below `images`, each with the `.txt` of the same name below `labels`.

    names: of the classes; without them those in `classes.txt` of `labels`, as LabelImg leaves it.
        A picture without a label file has no box, and is counted in the notes. Rows may be boxes or
        polygons, as in `read_ultralytics`. progress: called with (pictures done, in all).

    Raises DataError naming file and line where something is missing or breaks the format.
    """
    notes: list[str] = []
    if names is None:
        names, told = _names_in(labels)
        notes.append(told)
    finder = PictureFinder(images)
    files = {
        stem_below(file, labels): file
        for file in find_files(labels, ".txt")
        if file.name not in _NAMES_FILES
    }
    missing = [file for stem, file in files.items() if finder.find(stem) is None]
    require_all(images, missing, labels)
    pairs = [
        (picture, files.get(stem, labels / f"{stem}.txt"))
        for stem in finder.stems
        if (picture := finder.find(stem)) is not None
    ]
    n_bare = sum(stem not in files for stem in finder.stems)
    if n_bare:
        notes.append(
            f"{n_bare} pictures have no label file: they count as pictures without objects"
        )
    reader = LabelReader(len(names), RowForm(polygons=True))
    return reader.dataset(str(labels), pairs, names, progress, notes)


def _names_in(labels: Path) -> tuple[tuple[str, ...], str]:
    for name in _NAMES_FILES:
        if is_file(labels / name):
            names = tuple(line.strip() for line in read_lines(labels / name) if line.strip())
            if names:
                return names, f"class names are those of {labels / name}"
    raise DataError(
        f"{labels} has YOLO labels, in which classes are numbers: say what they are called by "
        "`names: [cat, dog]` in a .yaml description, or in classes.txt beside the labels."
    )
