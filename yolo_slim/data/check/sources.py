"""What is to be checked: both splits of a description, or one folder with its annotations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from yolo_slim.data.check.coco_scan import scan_coco
from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.rows import RawBox, RawImage, RawSplit
from yolo_slim.data.dataset import Dataset, is_file
from yolo_slim.data.describe import read_dataset, splits_in
from yolo_slim.data.pictures import places_below

SPLITS = ("train", "val")


def read_splits(
    data: Path | None, images: Path | None, annotations: Path | None
) -> tuple[RawSplit, ...]:
    """The splits that --data, or --images and --annotations, name.

    COCO files are scanned to their end. Everything else goes through `read_dataset`, which
    stops at a first fault of the annotations; what it has left out is told in a finding.

    Raises DataError where what is named cannot be used.
    """
    if data is not None and images is None and annotations is None:
        return _described(data)
    if images is not None and annotations is not None and data is None and _is_json(annotations):
        return (scan_coco(images, annotations, "data"),)
    return (rows_of(read_dataset(data, images, annotations, "train"), "data"),)


def _described(data: Path) -> tuple[RawSplit, ...]:
    if data.suffix == ".data":
        return tuple(
            rows_of(read_dataset(data, None, None, split), split) for split in splits_in(data)
        )
    document = _document(data)
    # A key that is not known here belongs to another kind of description, or is a fault.
    is_plain = set(document) <= {*SPLITS, "names"}
    names = document.get("names")
    splits = []
    for split in [name for name in SPLITS if name in document] or SPLITS:
        place = _coco_place(document.get(split), data.parent) if is_plain else None
        if place and _are_plain(names):
            splits.append(scan_coco(*place, split, names))
        else:
            splits.append(rows_of(read_dataset(data, None, None, split), split))
    return tuple(splits)


def rows_of(dataset: Dataset, split: str) -> RawSplit:
    """A data set that a reader has read, as rows; annotations are numbered through.

    A picture is called by its place below the folder that all lie in: names may occur twice.
    """
    entries = []
    number = 0
    _, places = places_below([sample.path for sample in dataset.samples])
    for sample, place in zip(dataset.samples, places, strict=True):
        boxes = []
        for box_xyxy, class_id, crowd in zip(
            sample.boxes_xyxy.tolist(), sample.class_ids.tolist(), sample.crowd, strict=True
        ):
            boxes.append(RawBox(number, tuple(box_xyxy), class_id, bool(crowd)))
            number += 1
        size_wh = (sample.width_px, sample.height_px)
        entries.append(RawImage(place.as_posix(), sample.path, size_wh, tuple(boxes)))
    notes = tuple(
        Finding("flat box" if "without width or height" in text else "reader's note", split, text)
        for text in dataset.notes
    )
    return RawSplit(
        split, dataset.source, tuple(entries), dataset.class_names, dataset.category_ids, notes
    )


def _document(data: Path) -> dict[Any, Any]:
    """What a .yaml file holds; {} where it is none: `read_dataset` says what is wrong with it."""
    try:
        document = yaml.safe_load(data.read_bytes())
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _coco_place(part: Any, base: Path) -> tuple[Path, Path] | None:
    """Folder and COCO file of a part that names just these two; None for any other."""
    if not isinstance(part, dict) or set(part) != {"images", "annotations"}:
        return None
    places = []
    for value in (part["images"], part["annotations"]):
        if not isinstance(value, str) or not value:
            return None
        try:
            places.append(base / Path(os.path.expandvars(value)).expanduser())
        except RuntimeError:
            return None
    images, annotations = places
    return (images, annotations) if _is_json(annotations) and images.is_dir() else None


def _are_plain(names: Any) -> bool:
    """Whether `names` of a description is what every reader takes: a list, of names."""
    if names is None:
        return True
    return isinstance(names, list) and all(
        isinstance(n, str | int | float) and not isinstance(n, bool) and str(n).strip()
        for n in names
    )


def _is_json(path: Path) -> bool:
    return path.suffix == ".json" and is_file(path)
