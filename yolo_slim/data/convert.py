"""A data set written in another form: pictures, annotations, and a description of both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from yolo_slim.data.carried import Target, carried
from yolo_slim.data.coco import write_coco
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.image import read_size, require_size
from yolo_slim.data.pictures import Progress, find_pictures, places_below
from yolo_slim.data.writers import write_each, write_labelme, write_voc, write_yolo
from yolo_slim.errors import DataError
from yolo_slim.files import whole_folder
from yolo_slim.found_files import PICTURE_SUFFIXES

Pictures = Literal["link", "copy", "none"]

DESCRIPTION = "data.yaml"
DARKNET_DESCRIPTION = "darknet.data"
_DARKNET_NAMES = "darknet.names"
_BECOME_LABELS = ("images", "JPEGImages")


@dataclass(frozen=True)
class Converted:
    """What `convert` wrote. description: ready for --data. boxes, images: how many, by split."""

    description: Path
    images: dict[str, int]
    boxes: dict[str, int]
    notes: tuple[str, ...]


def convert(
    splits: Mapping[str, Dataset],
    to: Target,
    out: Path,
    pictures: Pictures = "link",
    progress: Progress | None = None,
) -> Converted:
    """Writes the folder `out`: pictures in images/SPLIT, annotations, and a description.

        coco      annotations/SPLIT.json, data.yaml
        voc       annotations/SPLIT/*.xml, data.yaml
        labelme   images/SPLIT/*.json, data.yaml
        yolo      labels/SPLIT/*.txt, data.yaml as Ultralytics has it
        darknet   labels/SPLIT/*.txt, SPLIT.txt, darknet.names, darknet.data

    pictures: 'link' to where they are, 'copy', or 'none': then labelme's files are in
        annotations/SPLIT, and the description is our own and names the folder where they are.
    progress: called with (pictures done, pictures in all).

    Boxes are written to a thousandth of a pixel or better. A picture keeps its name and its place
    below the folder that all pictures of its split lie in; in yolo and darknet without folders
    called images or JPEGImages, which readers would take for those that become `labels`.

    Raises DataError where `out` holds anything, where a picture has another size than is said, or
    the splits have other classes, or where pictures or names cannot be told apart in the form,
    or a picture has two entries; OSError where it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not empty: nothing was written; choose another place.")
    _require_same_classes(splits)
    placed = {split: _Placed(split, dataset, to, pictures) for split, dataset in splits.items()}
    if pictures == "none" and to in ("yolo", "darknet"):
        for part in placed.values():
            _require_no_others(part)
    total = sum(len(dataset) for dataset in splits.values())
    done = 0
    try:
        with whole_folder(out) as folder:
            for part in placed.values():
                images = folder / "images" / part.split
                if pictures == "none":
                    images = part.root
                for sample in part.dataset.samples:
                    size = sample.width_px, sample.height_px
                    require_size(sample.path, size, read_size(sample.path))
                    if pictures != "none":
                        _put(sample.path, images / part.place(sample.path), pictures)
                    done += 1
                    if progress is not None:
                        progress(done, total)
                _write_annotations(part.moved(images), to, folder, images, part.split)
            description = _describe(placed, to, folder, pictures)
    except OSError as error:
        # Not the temporary name, which no one has typed.
        named = str(error.filename or "")
        place = out if not named or f"{os.sep}.{out.resolve().name}." in named else named
        raise OSError(error.errno, error.strerror, str(place)) from error
    return Converted(
        out / description,
        {split: len(part.dataset) for split, part in placed.items()},
        {split: sum(map(len, part.dataset.samples)) for split, part in placed.items()},
        tuple(f"{split}: {note}" for split, part in placed.items() for note in part.notes),
    )


class _Placed:
    """A split as the form can hold it, and the folder that all its pictures lie in."""

    def __init__(self, split: str, dataset: Dataset, to: Target, pictures: Pictures) -> None:
        self.split = split
        fitting, self.notes = carried(dataset, to)
        self.root, places = places_below([sample.path for sample in fitting.samples])
        paths = [self.root / place for place in places]
        self.dataset = replace(
            fitting,
            samples=tuple(
                replace(sample, path=path)
                for sample, path in zip(fitting.samples, paths, strict=True)
            ),
        )
        self.paths = paths
        self._dropped = _BECOME_LABELS if to in ("yolo", "darknet") and pictures != "none" else ()
        _require_tellable([(path, self.place(path)) for path in paths], to, dataset.source)

    def place(self, path: Path) -> Path:
        """Where a picture goes below the folder of its split."""
        place = path.relative_to(self.root)
        return Path(*(part for part in place.parts[:-1] if part not in self._dropped), place.name)

    def moved(self, images: Path) -> Dataset:
        """The data set with its pictures in another folder."""
        samples = (
            replace(sample, path=images / self.place(sample.path))
            for sample in self.dataset.samples
        )
        return replace(self.dataset, samples=tuple(samples))


def _write_annotations(
    dataset: Dataset, to: Target, folder: Path, images: Path, split: str
) -> None:
    if to == "coco":
        write_coco(dataset, folder / "annotations" / f"{split}.json", images)
    elif to == "voc":
        write_each(dataset, images, folder / "annotations" / split, ".xml", write_voc)
    elif to == "labelme":
        beside = images if images.is_relative_to(folder) else folder / "annotations" / split
        write_each(dataset, images, beside, ".json", write_labelme)
    else:
        write_each(dataset, images, folder / "labels" / split, ".txt", write_yolo)


def _describe(placed: Mapping[str, _Placed], to: Target, folder: Path, pictures: Pictures) -> str:
    """Writes the description; gives back its name."""
    names = list(next(iter(placed.values())).dataset.class_names)
    if to == "darknet" and pictures != "none":
        lines = [f"classes={len(names)}"]
        for split, part in placed.items():
            places = (part.place(sample.path) for sample in part.dataset.samples)
            listed = "".join(f"images/{split}/{place.as_posix()}\n" for place in places)
            (folder / f"{split}.txt").write_text(listed, encoding="utf-8")
            lines.append(f"{'train' if split == 'train' else 'valid'}={split}.txt")
        (folder / _DARKNET_NAMES).write_text("".join(f"{n}\n" for n in names), encoding="utf-8")
        lines += [f"names={_DARKNET_NAMES}", "backup=backup"]
        (folder / DARKNET_DESCRIPTION).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return DARKNET_DESCRIPTION
    document: dict[str, Any] = {}
    for split, part in placed.items():
        annotations = {"coco": f"annotations/{split}.json", "voc": f"annotations/{split}",
                       "labelme": f"images/{split}"}.get(to, f"labels/{split}")  # fmt: skip
        images = f"images/{split}"
        if pictures == "none":
            images = str(part.root)
            annotations = annotations.replace("images/", "annotations/")
        document[split] = {"images": images, "annotations": annotations}
        if to == "yolo" and pictures != "none":
            document[split] = images
    if to == "yolo" and pictures != "none":
        document["names"] = dict(enumerate(names))
    elif to != "coco":
        document["names"] = names
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    return DESCRIPTION


def _put(source: Path, target: Path, pictures: Pictures) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if pictures == "copy":
        shutil.copyfile(source, target)
        return
    try:
        target.symlink_to(source.resolve())
    except OSError as error:
        raise DataError(
            f"{target.name} cannot be linked ({error.strerror}): take --pictures copy."
        ) from error


def _require_no_others(part: _Placed) -> None:
    """A picture without a label file is one without objects: none may lie there by chance."""
    others = set(find_pictures(part.root)) - set(part.paths)
    if others:
        raise DataError(
            f"{part.root} has {len(others)} pictures that {part.split} does not have, the first is "
            f"{min(others).name}: YOLO would take them for empty ones. Take --pictures link."
        )


def _require_same_classes(splits: Mapping[str, Dataset]) -> None:
    (first, one), *others = splits.items()
    for split, other in others:
        if other.class_names != one.class_names:
            unlike = sorted(set(one.class_names) ^ set(other.class_names)) or ["their order"]
            raise DataError(
                f"{first} and {split} have different classes ({', '.join(unlike[:6])}): give both "
                "the same in their annotations, or in `names:`."
            )


def _require_tellable(places: Sequence[tuple[Path, Path]], to: Target, source: str) -> None:
    """Raises DataError for pictures that the form cannot name, or not tell apart.

    places: every picture, and where it goes below a folder of their own.
    """
    stems: dict[Path, Path] = {}
    for path, place in places:
        text = str(place)
        if not text.isprintable() or text != text.strip():
            raise DataError(f"{path!r} has a name that lists and files cannot hold. Rename it.")
        key = place if to == "coco" else place.with_suffix("")
        if stems.get(key) == path:
            raise DataError(
                f"{source} has two entries for {path}. Join their boxes in one, and take the other "
                "out."
            )
        if key in stems:
            raise DataError(
                f"{stems[key]} and {path} would have the same annotations in {to}. Rename one."
            )
        stems[key] = path
        if to != "coco" and path.suffix.lower() not in PICTURE_SUFFIXES:
            raise DataError(
                f"{path} would not be found as a picture in {to}: expected a name that ends in "
                f"{', '.join(sorted(PICTURE_SUFFIXES))}."
            )
