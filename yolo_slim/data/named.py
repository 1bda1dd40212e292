"""Annotations that say a class by its name, a file a picture: what VOC and labelme have alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_slim.data.dataset import Dataset, Row, flat_box_notes, sample_of
from yolo_slim.data.image import read_size
from yolo_slim.data.pictures import PictureFinder, Progress, require_all, tracked
from yolo_slim.errors import DataError


@dataclass(frozen=True)
class NamedBox:
    """One object: its class in words, left, top, right, bottom in pixels, and where it stands."""

    name: str
    box_xyxy: tuple[float, float, float, float]
    crowd: bool
    where: str


@dataclass(frozen=True)
class NamedPicture:
    """The annotations of one picture.

    file: where they were read. stem: its place below its folder without suffix, 'night/a'.
    picture_name: what the file calls its picture. size_wh: as it says, None where it does not.
    """

    file: Path
    stem: str
    picture_name: str | None
    size_wh: tuple[int, int] | None
    boxes: tuple[NamedBox, ...]


@dataclass(frozen=True)
class NamedSet:
    """What a folder of VOC or labelme files says, before classes have numbers.

    notes: what was left out, for a person. n_outlines: objects that had more than a box.
    """

    source: Path
    pictures: tuple[NamedPicture, ...]
    notes: tuple[str, ...] = ()
    n_outlines: int = 0

    @property
    def names(self) -> set[str]:
        """Every name of a class that occurs."""
        return {box.name for picture in self.pictures for box in picture.boxes}


def tidy(name: str) -> str:
    """A class name without blanks around it, and one space for each run of blanks in it."""
    return " ".join(name.split())


def class_order(names: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes in sorted order, and notes on that for a person."""
    order = tuple(sorted(names))
    notes = []
    if len(order) > 1:
        notes.append(f"classes are in sorted order: {_listed(order)}; `names:` would set another")
    lower = Counter(name.lower() for name in order)
    alike = [name for name in order if lower[name.lower()] > 1]
    if alike:
        notes.append(
            f"{', '.join(alike)} differ by case alone and are different classes; `names:` with one "
            "of them would join them"
        )
    return order, tuple(notes)


def number(
    images: Path, found: NamedSet, class_names: Sequence[str], progress: Progress | None = None
) -> Dataset:
    """The data set of annotations and the pictures in the folder `images`.

    class_names: class k is class_names[k]; a name that differs from exactly one of them by case
        alone counts as that one, and is told in the notes.
    progress: called with (pictures done, pictures in all).

    Pictures and categories are numbered from 1. Pictures without annotations are left out and
    counted in the notes. The size of a picture is what its annotations say, else its header's.

    Raises DataError for a name that is not among `class_names`, and for absent pictures.
    """
    finder = PictureFinder(images)
    paths = [finder.find(picture.stem, picture.picture_name) for picture in found.pictures]
    missing = [p.file for p, path in zip(found.pictures, paths, strict=True) if path is None]
    require_all(images, missing, found.source)
    _require_one_each(paths, found)
    classes = _Classes(class_names)
    samples = []
    n_flat = 0
    pairs = list(zip(found.pictures, paths, strict=True))
    for image_id, (picture, path) in enumerate(tracked(pairs, progress), 1):
        assert path is not None
        rows: list[Row] = [
            (*box.box_xyxy, classes.number(box), box.crowd, None) for box in picture.boxes
        ]
        sample, flat = sample_of(path, image_id, picture.size_wh or read_size(path), rows)
        samples.append(sample)
        n_flat += flat
    notes = [*found.notes, *classes.notes(), *flat_box_notes(n_flat)]
    n_unseen = len(finder.stems) - len({path.with_suffix("") for path in paths if path})
    # An image set lists some of the pictures on purpose.
    if n_unseen > 0 and found.source.is_dir():
        notes.append(f"{n_unseen} pictures without annotations were left out")
    ids = tuple(range(1, len(class_names) + 1))
    return Dataset(
        str(found.source), tuple(samples), tuple(class_names), ids, tuple(notes), found.n_outlines
    )


class _Classes:
    def __init__(self, class_names: Sequence[str]) -> None:
        twice = [name for name, n in Counter(class_names).items() if n > 1]
        if twice:
            raise DataError(f"{twice[0]!r} is twice among the names: classes go by their names.")
        self._ids = {name: k for k, name in enumerate(class_names)}
        lower = Counter(name.lower() for name in class_names)
        self._loose = {n.lower(): k for n, k in self._ids.items() if lower[n.lower()] == 1}
        self._names = tuple(class_names)
        self._taken: Counter[tuple[str, str]] = Counter()

    def number(self, box: NamedBox) -> int:
        if box.name in self._ids:
            return self._ids[box.name]
        k = self._loose.get(box.name.lower())
        if k is None:
            raise DataError(
                f"{box.where} has class {box.name!r}, which is not among the names "
                f"{_listed(self._names)}."
            )
        self._taken[box.name, self._names[k]] += 1
        return k

    def notes(self) -> list[str]:
        return [f"{n} boxes called {a} count as {b}" for (a, b), n in sorted(self._taken.items())]


def _require_one_each(paths: Sequence[Path | None], found: NamedSet) -> None:
    owner: dict[Path, Path] = {}
    for path, picture in zip(paths, found.pictures, strict=True):
        assert path is not None
        if path in owner:
            raise DataError(
                f"{owner[path]} and {picture.file} both belong to {path}. Remove one of them."
            )
        owner[path] = picture.file


def _listed(names: Sequence[str]) -> str:
    """At most eight names, for a message of two lines."""
    shown = ", ".join(names[:8])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 8 else shown or "(none)"
