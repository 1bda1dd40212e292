"""What a person may name as DATA: a description, a Darknet .data file, or pictures and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from yolo_slim.data.annotations import Form, form_of, read_annotations, read_named
from yolo_slim.data.darknet import read_darknet, read_options
from yolo_slim.data.dataset import Dataset, is_folder
from yolo_slim.data.named import class_order
from yolo_slim.data.pictures import Progress
from yolo_slim.data.ultralytics import folders_searched as ultralytics_folders
from yolo_slim.data.ultralytics import read_ultralytics
from yolo_slim.data.yaml_file import EXAMPLE, check_keys, names_of, path_of, read_yaml, shown
from yolo_slim.errors import DataError

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

DESCRIPTIONS = (".yaml", ".yml", ".data")
"""How the names of files end that describe a data set."""


def read_dataset(
    data: Path | None,
    images: Path | None,
    annotations: Path | None,
    split: str,
    *,
    names: Sequence[str] = (),
    progress: Progress | None = None,
) -> Dataset:
    """The data set that the options --data, --images and --annotations name together.

    data: a `.yaml` description (ours, or Ultralytics's data.yaml) or a Darknet `.data` file, of
        which `split` ('train' or 'val') is read; or None, and then `images` is a folder, and
        `annotations` a COCO file, a folder of VOC, labelme or YOLO files, or an image set of VOC.
    names: of the classes, for such a pair where the annotations do not number them; empty for the
        names that occur, in sorted order.
    progress: called with (files done, files in all), where there are many.

    Our description holds, for each split, `images` and `annotations`, and optionally `names`: for
    COCO one for each category in ascending order of category id, to replace those in the
    annotations; for VOC and labelme the order of the classes; YOLO's labels need them:

        train: {images: images/train, annotations: annotations/train.json}
        val:   {images: images/val,   annotations: annotations/val.json}
        names: [apple, banana, orange]

    Paths start at the folder of the description; `~` and `$NAME` are expanded. Without `names` the
    classes of VOC and labelme are those of both splits together.

    Raises DataError where what is named cannot be used, ValueError for another split.
    """
    _split(split)
    if data is not None and (images is not None or annotations is not None):
        raise DataError(
            "Both --data and --images/--annotations are given: expected one of the two."
        )
    if data is not None:
        return _read_described(data, split, progress)
    if images is None or annotations is None:
        found = "neither" if images is None and annotations is None else "one"
        raise DataError(
            f"Of --images and --annotations {found} is given. Expected both, or --data FILE."
        )
    form = form_of(annotations)
    wanted = None if form == "coco" else tuple(names) or None
    return read_annotations(form, images, annotations, wanted, progress)


def splits_in(data: Path) -> tuple[Split, ...]:
    """Which of 'train' and 'val' a description or a Darknet `.data` file has.

    Raises DataError where it cannot be read, or has neither.
    """
    if data.suffix == ".data":
        options = read_options(data)
        found = [s for s in SPLITS if _darknet_key(s) in options]
        missing = "neither `train=` nor `valid=`. Expected e.g. `train=train.txt`."
    else:
        document = _read_document(data)
        found = [split for split in SPLITS if document.get(split) is not None]
        missing = f"neither `train` nor `val`. Expected e.g. {EXAMPLE}."
    if not found:
        raise DataError(f"{data} has {missing}")
    return tuple(found)


def folders_searched(data: Path) -> tuple[Path, ...]:
    """The folders in which a description has all pictures, or all annotations, looked for; none for
    a Darknet `.data` file, which names lists. Raises DataError where it cannot be read."""
    if data.suffix == ".data":
        return ()
    document = _read_document(data)
    if _is_ultralytics(document, data):
        return ultralytics_folders(data, document)
    parts = [_places(document[s], data, s) for s in SPLITS if document.get(s) is not None]
    # A file of annotations names its pictures: others beside them do no harm.
    return tuple(place for part in parts if is_folder(part[1]) for place in part)


def description_in(folder: Path) -> Path | None:
    """The first file directly in `folder` that describes a data set; None where there is none, or
    where `folder` is no folder."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in DESCRIPTIONS:
            try:
                splits_in(path)
            except DataError:
                continue
            return path
    return None


def pointing(folder: Path) -> str:
    """'; FILE is one' for a folder that holds a description, '' for any other path: what an error
    says where a folder was named and a file is expected."""
    found = description_in(folder)
    return f"; {found} is one" if found else ""


def as_detection_set(folder: Path) -> str:
    """The options that name the detection data set in a folder; '' where there is none.

    A file that describes it is looked for, else annotations in a folder that is called so.
    """
    found = description_in(folder)
    if found is not None:
        return f"--data {found}"
    places = (path for path in (*folder.glob("*"), *folder.glob("*/*")) if path.is_dir())
    labels = sorted(path for path in places if path.name.lower() in ("annotations", "labels"))
    return f"--images DIR --annotations FILE_OR_DIR (see {labels[0]})" if labels else ""


def has_test_split(data: Path) -> bool:
    """Whether an Ultralytics data.yaml has a third split, which is not read here."""
    return data.suffix != ".data" and bool(_read_document(data).get("test"))


def _split(split: str) -> Split:
    for known in SPLITS:
        if split == known:
            return known
    raise ValueError(f"split {split!r}, expected 'train' or 'val'")


def _darknet_key(split: str) -> Literal["train", "valid"]:
    return "train" if split == "train" else "valid"


def _read_document(data: Path) -> dict[Any, Any]:
    if data.suffix not in (".yaml", ".yml"):
        raise DataError(
            f"{data} is neither a .yaml description nor a Darknet .data file{pointing(data)}. For "
            "COCO, VOC, labelme and YOLO files pass --images FOLDER --annotations FILE_OR_FOLDER."
        )
    return read_yaml(data)


def _read_described(data: Path, split: str, progress: Progress | None) -> Dataset:
    if data.suffix == ".data":
        return read_darknet(data, _darknet_key(split), progress)
    document = _read_document(data)
    if _is_ultralytics(document, data):
        return read_ultralytics(data, document, split, progress)
    check_keys(document, ("train", "val", "names"), str(data))
    if split not in document:
        raise DataError(
            f"{data} has no `{split}`. Expected e.g. {EXAMPLE.replace('train', split)}."
        )
    places = {s: _places(document[s], data, s) for s in SPLITS if s in document}
    images, annotations = places[_split(split)]
    form = form_of(annotations)
    value = document.get("names")
    names = None if value is None else names_of(value, data)
    if form == "coco":
        dataset = read_annotations(form, images, annotations, None, progress)
        return dataset if names is None else _renamed(dataset, names, data)
    if names is None and form in ("voc", "labelme"):
        return _with_names_of_all(data, form, places, split, progress)
    return read_annotations(form, images, annotations, names, progress)


def _is_ultralytics(document: dict[Any, Any], data: Path) -> bool:
    """Told by the form of the splits: a mapping in ours, a path or a list in Ultralytics's.

    Raises DataError for a mixture.
    """
    given = {key: document[key] for key in ("train", "val", "test") if document.get(key)}
    ours = [key for key, value in given.items() if isinstance(value, dict)]
    theirs = [key for key, value in given.items() if isinstance(value, str | list)]
    if ours and theirs:
        raise DataError(
            f"{data}: `{ours[0]}` has images and annotations, `{theirs[0]}` is a path as in an "
            f"Ultralytics data.yaml. Write both alike, e.g. {EXAMPLE}."
        )
    foreign = [key for key in ("path", "nc", "download", "test") if key in document]
    if ours and foreign:
        raise DataError(
            f"{data} has `{foreign[0]}` as an Ultralytics data.yaml has, but `{ours[0]}` is not a "
            f"path. Leave `{foreign[0]}` out, or write `{ours[0]}: FOLDER`."
        )
    return bool(theirs or foreign)


def _places(part: Any, data: Path, split: str) -> tuple[Path, Path]:
    where = f"{data}: `{split}`"
    if not isinstance(part, dict):
        raise DataError(
            f"{where} is {shown(part)}, expected images and annotations as in {EXAMPLE}."
        )
    check_keys(part, ("images", "annotations"), where)
    images, annotations = (
        path_of(part.get(key), data.parent, f"{where}: `{key}`")
        for key in ("images", "annotations")
    )
    return images, annotations


def _with_names_of_all(
    data: Path, form: Form, places: dict[Split, tuple[Path, Path]], split: str,
    progress: Progress | None,
) -> Dataset:  # fmt: skip
    """One split, with the classes of all: a class that one of them lacks moves no other."""
    used: set[str] = set()
    for _, files in places.values():
        found = form_of(files)
        if found != form:
            raise DataError(
                f"{data}: one split is {form}, another {found}. Give `names:`, so that the classes "
                "of both are numbered alike."
            )
        used |= read_named(form, files).names
    names, notes = class_order(used)
    dataset = read_annotations(form, *places[_split(split)], names, progress)
    return replace(dataset, notes=(*notes, *dataset.notes))


def _renamed(dataset: Dataset, names: tuple[str, ...], data: Path) -> Dataset:
    if len(names) != len(dataset.class_names):
        raise DataError(
            f"{data} has {len(names)} names, {dataset.source} has {len(dataset.class_names)} "
            "categories. Give one name for each category, or no names."
        )
    return replace(dataset, class_names=names)
