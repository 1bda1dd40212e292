"""COCO annotations read to their end: each entry that `read_coco` would refuse is a finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.rows import RawBox, RawImage, RawSplit
from yolo_slim.data.coco import CROWD_MARKS, read_coco
from yolo_slim.data.named import tidy
from yolo_slim.errors import DataError


def scan_coco(
    images: Path, annotations: Path, split: str, names: list[Any] | None = None
) -> RawSplit:
    """Every usable entry as it is written, flat boxes too; the others as findings.

    names: to replace those of the categories, in ascending order of category id.

    A file has a finding of severity fault here if and only if `read_coco` refuses it; pictures
    that are missing or of another size are found when they are looked at. Raises DataError, by
    `read_coco`, where there is nothing to scan: no folder, no JSON, no images.
    """
    document = _document(annotations) if images.is_dir() else None
    if document is None or not document["images"]:
        read_coco(images, annotations)
        raise DataError(f"{annotations} holds no COCO annotations.")
    scan = _Scan(split)
    categories = scan.by_id(document["categories"], "category", "bad category")
    pictures = scan.by_id(document["images"], "image", "bad image entry")
    category_ids = tuple(sorted(categories))
    class_of = {category_id: k for k, category_id in enumerate(category_ids)}
    boxes: dict[int, list[RawBox]] = {image_id: [] for image_id in pictures}
    for index, entry in enumerate(document["annotations"]):
        fault = _annotation_fault(entry, pictures, class_of)
        if fault:
            known = pictures.get(_hashable(entry, "image_id"))
            scan.tell("bad annotation", fault, _name(known), index)
            continue
        left, top, width, height = (float(value) for value in entry["bbox"])
        boxes[entry["image_id"]].append(
            RawBox(
                index,
                (left, top, left + width, top + height),
                class_of[entry["category_id"]],
                bool(entry.get("iscrowd")),
            )
        )
    entries = []
    for image_id, picture in pictures.items():
        name = _name(picture)
        if name is None:
            told = f"image {image_id} has file_name {picture.get('file_name')!r}"
            scan.tell("bad image entry", told)
            continue
        size_wh, fault = _size(picture)
        if fault:
            scan.tell("bad image entry", fault, name)
        entries.append(RawImage(name, images / name, size_wh, tuple(boxes[image_id])))
    class_names = [str(categories[key].get("name", key)) for key in category_ids]
    if names is not None:
        if len(names) == len(class_names):
            class_names = [tidy(str(name)) for name in names]
        else:
            told = f"{len(names)} names for {len(class_names)} categories"
            scan.tell("names do not fit", told)
    return RawSplit(
        split,
        str(annotations),
        tuple(entries),
        tuple(class_names),
        category_ids,
        tuple(scan.findings),
    )


class _Scan:
    """Gathers the findings of one split."""

    def __init__(self, split: str) -> None:
        self.split = split
        self.findings: list[Finding] = []

    def tell(
        self, kind: str, found: str, file: str | None = None, annotation: int | None = None
    ) -> None:
        self.findings.append(Finding(kind, self.split, found, file, annotation))

    def by_id(self, entries: list[Any], what: str, kind: str) -> dict[int, dict[str, Any]]:
        """The entries with a whole number of their own; the first of two with one number."""
        table: dict[int, dict[str, Any]] = {}
        for index, entry in enumerate(entries):
            key = entry.get("id") if isinstance(entry, dict) else None
            if not isinstance(key, int) or isinstance(key, bool):
                self.tell(kind, f"{what} {index} has id {key!r}, expected a whole number")
            elif key in table:
                self.tell(kind, f"{what} {index} has id {key}, as an earlier one has")
            else:
                table[key] = entry
        return table


def _document(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    keys = ("images", "annotations", "categories")
    if not isinstance(document, dict) or any(not isinstance(document.get(k), list) for k in keys):
        return None
    return document


def _annotation_fault(entry: Any, pictures: dict[int, Any], class_of: dict[int, int]) -> str | None:
    return next(_annotation_faults(entry, pictures, class_of), None)


def _annotation_faults(
    entry: Any, pictures: dict[int, Any], class_of: dict[int, int]
) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{type(entry).__name__}, expected an object with a bbox"
        return
    image_id, category_id = entry.get("image_id"), entry.get("category_id")
    if not isinstance(image_id, int) or image_id not in pictures:
        yield f"image_id {image_id!r}, which no image has"
    if not isinstance(category_id, int) or category_id not in class_of:
        yield f"category_id {category_id!r}, which is no category"
    bbox, area = entry.get("bbox"), entry.get("area")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_finite, bbox))):
        yield f"bbox {bbox!r}, expected [x, y, width, height], finite numbers"
    if area is not None and not _is_finite(area):
        yield f"area {area!r}, expected a finite number or no area"
    mark = entry.get("iscrowd")
    if mark not in CROWD_MARKS:
        yield f"iscrowd {mark!r}, expected 0, 1, true or false"


def _is_finite(value: Any) -> bool:
    # The bound is that of `read_coco`: boxes are kept as float32.
    return isinstance(value, int | float) and abs(value) < 1e9


def _hashable(entry: Any, key: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, int) else None


def _name(picture: dict[str, Any] | None) -> str | None:
    name = picture.get("file_name") if picture else None
    return name if isinstance(name, str) and name else None


def _size(picture: dict[str, Any]) -> tuple[tuple[int, int] | None, str | None]:
    found = picture.get("width"), picture.get("height")
    if found == (None, None):
        return None, None
    if any(not isinstance(value, int) or value < 1 for value in found):
        return None, f"width, height {found}, expected two positive whole numbers"
    return found, None  # type: ignore[return-value]
