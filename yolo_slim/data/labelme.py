"""labelme: a JSON file a picture, with shapes that a person has drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yolo_slim.data.json_file import read_json
from yolo_slim.data.named import NamedBox, NamedPicture, NamedSet, tidy
from yolo_slim.data.pictures import Progress, find_files, stem_below, tracked
from yolo_slim.errors import DataError

CROWD_FLAGS = ("iscrowd", "crowd", "difficult")
"""A shape whose `flags` say one of these is a crowd box; labelme has no word of its own for it."""

Points = list[tuple[float, float]]
Box = tuple[float, float, float, float]


def read_labelme(folder: Path, progress: Progress | None = None) -> NamedSet:
    """What the labelme files below `folder` say.

    progress: called with (files done, files in all).

    Every shape becomes the smallest box around it. Shapes without an area (point, line,
    linestrip, points) are left out and counted in the notes. Shapes of one label and one
    `group_id` are the parts of one object, as labelme's own converters take them.

    Raises DataError with file and shape for what breaks the format.
    """
    files = find_files(folder, ".json")
    if not files:
        raise DataError(f"{folder} holds no .json file, expected one a picture.")
    reading = _Reading()
    pictures = [reading.picture(f, stem_below(f, folder)) for f in tracked(files, progress)]
    return NamedSet(folder, tuple(pictures), tuple(reading.notes()), reading.n_outlines)


class _Reading:
    def __init__(self) -> None:
        self.n_outlines = 0
        self._thin: dict[str, int] = {}
        self._n_joined = 0

    def notes(self) -> list[str]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self._thin.items()))
        notes = [f"shapes without an area were left out: {kinds}"] if kinds else []
        if self._n_joined:
            notes.append(f"{self._n_joined} shapes were joined to another by their group_id")
        return notes

    def picture(self, file: Path, stem: str) -> NamedPicture:
        document = _read_json(file)
        boxes: list[NamedBox] = []
        groups: dict[tuple[str, Any], int] = {}
        for index, shape in enumerate(document["shapes"]):
            box = self._shape(shape, f"{file}: shape {index}")
            if box is None:
                continue
            group = shape.get("group_id")
            key = (box.name, group)
            if group is not None and key in groups:
                boxes[groups[key]] = _joined(boxes[groups[key]], box)
                self._n_joined += 1
                continue
            groups[key] = len(boxes)
            boxes.append(box)
        name = document.get("imagePath")
        size = document.get("imageWidth"), document.get("imageHeight")
        is_size = all(type(side) is int and side >= 1 for side in size)
        return NamedPicture(
            file,
            stem,
            name if isinstance(name, str) else None,
            size if is_size else None,  # type: ignore[arg-type]
            tuple(boxes),
        )

    def _shape(self, shape: Any, where: str) -> NamedBox | None:
        if not isinstance(shape, dict):
            raise DataError(f"{where} is {shape!r:.40}, expected an object with label and points.")
        # Files of labelme before version 3 have polygons only and do not say so.
        kind = shape.get("shape_type") or "polygon"
        label = shape.get("label")
        name = tidy(str(label)) if isinstance(label, str | int) else ""
        if not name or not name.isprintable():
            raise DataError(f"{where} has label {label!r:.60}, expected the name of a class.")
        where = f"{where} ({name})"
        if not isinstance(kind, str) or kind not in (*_THIN, *_BOXES):
            raise DataError(
                f"{where} has shape_type {kind!r:.40}, expected one of {', '.join(_BOXES)}."
            )
        if kind in _THIN:
            self._thin[kind] = self._thin.get(kind, 0) + 1
            return None
        least, box_of = _BOXES[kind]
        box = box_of(_points(shape.get("points"), least, kind, where))
        self.n_outlines += kind != "rectangle"
        group = shape.get("group_id")
        if not (group is None or isinstance(group, str | int)):
            raise DataError(f"{where} has group_id {group!r:.40}, expected a number or null.")
        flags = shape.get("flags")
        crowd = isinstance(flags, dict) and any(flags.get(flag) is True for flag in CROWD_FLAGS)
        return NamedBox(name, box, crowd, where)


def _read_json(file: Path) -> dict[str, Any]:
    document = read_json(file, "a labelme file")
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        hint = (
            "It is COCO: name the file itself as annotations"
            if isinstance(document, dict) and "annotations" in document
            else "Move it elsewhere if it is something else"
        )
        raise DataError(f"{file} has no list `shapes`, expected a labelme file. {hint}.")
    return document


def _points(value: Any, least: int, kind: str, where: str) -> Points:
    if not isinstance(value, list) or len(value) < least:
        raise DataError(f"{where} has points {value!r:.40}, a {kind} has {least} or more.")
    points = []
    for point in value:
        if not (isinstance(point, list) and len(point) == 2 and all(map(_is_finite, point))):
            raise DataError(f"{where} has the point {point!r:.40}, expected [x, y] in pixels.")
        points.append((float(point[0]), float(point[1])))
    return points


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e9


def _around(points: Points) -> Box:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _around_circle(points: Points) -> Box:
    """The first point is the centre, the second lies on the circle."""
    (x, y), edge = points[:2]
    radius = math.dist((x, y), edge)
    return x - radius, y - radius, x + radius, y + radius


def _around_mask(points: Points) -> Box:
    """The first and the last pixel of the mask, both inside."""
    left, top, right, bottom = _around(points)
    return left, top, right + 1, bottom + 1


_THIN = ("point", "points", "line", "linestrip")
# Least number of points, and the box around them.
_BOXES: dict[str, tuple[int, Callable[[Points], Box]]] = {
    "rectangle": (2, _around),
    "polygon": (3, _around),
    "circle": (2, _around_circle),
    "oriented_rectangle": (3, _around),
    "rotation": (3, _around),
    "mask": (2, _around_mask),
}


def _joined(one: NamedBox, other: NamedBox) -> NamedBox:
    corners = zip(one.box_xyxy, other.box_xyxy, (min, min, max, max), strict=True)
    left, top, right, bottom = (pick(a, b) for a, b, pick in corners)
    return NamedBox(one.name, (left, top, right, bottom), one.crowd or other.crowd, one.where)
