"""COCO annotations: a folder of pictures and one JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from yolo_slim.class_names import class_key
from yolo_slim.data.dataset import (
    Dataset,
    Row,
    coco_ground_truth,
    file_name,
    flat_box_notes,
    is_file,
    is_folder,
    sample_of,
)
from yolo_slim.data.image import read_size
from yolo_slim.data.json_file import read_json
from yolo_slim.errors import DataError
from yolo_slim.files import whole_file

CROWD_MARKS = (None, 0, 1)
"""What `iscrowd` may be, None where it is not there; of numbers true is 1 and false is 0."""


def read_coco(images: Path, annotations: Path) -> Dataset:
    """The data set of a COCO file whose `file_name`s are relative to the folder `images`.

    Class k is the k-th category id in ascending order. Boxes without width or height are left out
    and counted in `notes`. The size of a picture is taken from the JSON, else from its header.

    Raises DataError where the JSON cannot be read, lacks a key, contradicts itself, or names a
    picture that is not there.
    """
    if not is_folder(images):
        raise DataError(f"{images} is not a folder. Expected the folder of the pictures.")
    document = _read_json(annotations)
    categories = _by_id(document["categories"], f"{annotations}: category")
    pictures = _by_id(document["images"], f"{annotations}: image")
    _check_present(images, pictures.values(), annotations)

    category_ids = tuple(sorted(categories))
    class_of = {category_id: k for k, category_id in enumerate(category_ids)}
    rows: dict[int, list[Row]] = {image_id: [] for image_id in pictures}
    n_outlines = 0
    for index, annotation in enumerate(document["annotations"]):
        where = f"{annotations}: annotation {index}"
        if not isinstance(annotation, dict):
            raise DataError(f"{where} is {_kind(annotation)}, expected an object with a bbox.")
        where = f"{where} (id {annotation.get('id', 'missing')})"
        image_id, category_id = annotation.get("image_id"), annotation.get("category_id")
        if not isinstance(image_id, int) or image_id not in rows:
            raise DataError(f"{where} has image_id {image_id!r}, which no image of the file has.")
        if not isinstance(category_id, int) or category_id not in class_of:
            raise DataError(f"{where} has category_id {category_id!r}, which is no category.")
        left, top, width, height = _numbers(annotation.get("bbox"), where)
        area = annotation.get("area")
        if area is not None and not _is_finite(area):
            raise DataError(f"{where} has area {area!r}, expected a finite number or no area.")
        n_outlines += bool(annotation.get("segmentation"))
        mark = annotation.get("iscrowd")
        if mark not in CROWD_MARKS:
            raise DataError(f"{where} has iscrowd {mark!r}, expected 0, 1, true or false.")
        box_xyxy = (left, top, left + width, top + height)
        rows[image_id].append((*box_xyxy, class_of[category_id], bool(mark), area))

    samples = []
    n_flat = 0
    for image_id, picture in pictures.items():
        path = images / picture["file_name"]
        size_wh = _size(picture, path, f"{annotations}: image {image_id}")
        sample, flat = sample_of(path, image_id, size_wh, rows[image_id])
        samples.append(sample)
        n_flat += flat
    names = tuple(str(categories[key].get("name", key)) for key in category_ids)
    notes = (*flat_box_notes(n_flat), *_name_notes(names))
    return Dataset(str(annotations), tuple(samples), names, category_ids, notes, n_outlines)


def _name_notes(names: Sequence[str]) -> tuple[str, ...]:
    count_of = Counter(map(class_key, names))
    shared = [name for name in names if count_of[class_key(name)] > 1]
    if not shared:
        return ()
    return (
        f"{len(shared)} categories share names ({', '.join(shared[:4])}): where classes are "
        "compared by name they are one",
    )


def write_coco(dataset: Dataset, annotations_path: Path, images: Path | None = None) -> None:
    """Writes the annotations of `dataset` as COCO JSON.

    images: the folder that each `file_name` starts at; without one it is the bare name of a
        picture.

    Raises DataError where two pictures have the same name or the file cannot be written.
    """
    names = [file_name(sample.path, images) for sample in dataset.samples]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{dataset.source} has two pictures called {twice}. COCO's file_name tells pictures "
            "apart: rename one."
        )
    try:
        with whole_file(annotations_path) as temporary:
            text = json.dumps(coco_ground_truth(dataset, images), separators=(",", ":"))
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{annotations_path} cannot be written: {error.strerror}.") from error


def _read_json(path: Path) -> dict[str, Any]:
    document = read_json(path, "COCO annotations")
    if not isinstance(document, dict):
        raise DataError(f"{path} holds {_kind(document)}, expected an object. Is it a result file?")
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            found = _kind(document[key]) if key in document else "missing"
            raise DataError(f"{path}: `{key}` is {found}, expected a list as in COCO annotations.")
    return document


def _by_id(entries: list[Any], where: str) -> dict[int, dict[str, Any]]:
    table: dict[int, dict[str, Any]] = {}
    for index, entry in enumerate(entries):
        key = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(key, int) or isinstance(key, bool):
            raise DataError(f"{where} {index} has id {key!r}, expected a whole number.")
        if key in table:
            raise DataError(f"{where} {index} has id {key}, as an earlier one has: make it unique.")
        table[key] = entry
    return table


def _check_present(images: Path, pictures: Iterable[dict[str, Any]], annotations: Path) -> None:
    missing = []
    for picture in pictures:
        name = picture.get("file_name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{annotations}: image {picture['id']} has file_name {name!r}.")
        if not is_file(images / name):
            missing.append(name)
    if missing:
        raise DataError(
            f"{images} lacks {len(missing)} of the pictures in {annotations}, the first is "
            f"{missing[0]}. Is it the folder that belongs to these annotations?"
        )


def _size(picture: dict[str, Any], path: Path, where: str) -> tuple[int, int]:
    found = picture.get("width"), picture.get("height")
    if found == (None, None):
        return read_size(path)
    for value in found:
        if not isinstance(value, int) or value < 1:
            raise DataError(f"{where} has width, height {found}, expected two positive integers.")
    return found  # type: ignore[return-value]


def _numbers(bbox: Any, where: str) -> list[float]:
    if isinstance(bbox, list) and len(bbox) == 4 and all(_is_finite(value) for value in bbox):
        return [float(value) for value in bbox]
    raise DataError(f"{where} has bbox {bbox!r}, expected [x, y, width, height], finite numbers.")


def _is_finite(value: Any) -> bool:
    # False for NaN too. The bound keeps float32 finite, in which boxes are kept: JSON may say 1e39.
    return isinstance(value, int | float) and abs(value) < 1e9


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), "a number")
