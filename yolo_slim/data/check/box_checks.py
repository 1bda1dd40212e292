"""Checks on boxes as they are written, one function each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.rows import Evidence, RawBox
from yolo_slim.geometry import frame_for

BORDER_SLACK_PX = 1.0
"""Rounded coordinates reach as far as this over the border of a good annotation."""

TINY_PX = 2.0
"""Training drops a box with a shorter side than this in the network's input."""

SAME_PLACE_IOU = 0.95
"""Boxes that share more than this lie in the same place."""


def flat(evidence: Evidence) -> Iterator[Finding]:
    for split in evidence.splits:
        for image in split.images:
            for box in image.boxes:
                if box.is_flat:
                    left, top, right, bottom = box.box_xyxy
                    told = f"{right - left:g} px wide and {bottom - top:g} px high"
                    yield Finding("flat box", split.split, told, image.name, box.annotation)


def over_border(evidence: Evidence) -> Iterator[Finding]:
    """Boxes wholly outside, and those that reach over the border by more than a pixel."""
    for split, image, (width, height) in evidence.sized_entries():
        for box in image.boxes:
            if box.is_flat:
                continue
            left, top, right, bottom = box.box_xyxy
            over_px = max(-left, -top, right - width, bottom - height)
            if right <= 0 or bottom <= 0 or left >= width or top >= height:
                kind, told = "box outside", f"{_corners(box)} in a picture of {width}x{height}"
            elif over_px > BORDER_SLACK_PX:
                kind = "box over the border"
                told = f"{_corners(box)} reaches {over_px:g} px over the border of {width}x{height}"
            else:
                continue
            yield Finding(kind, split.split, told, image.name, box.annotation)


def tiny(evidence: Evidence) -> Iterator[Finding]:
    """Boxes of which the network is shown less than two pixels; crowds are no targets."""
    for split, image, (width, height) in evidence.sized_entries():
        frame = frame_for(evidence.resize_mode, (height, width), evidence.input_hw)
        for box in image.boxes:
            if box.is_flat or box.crowd:
                continue
            left, top, right, bottom = box.box_xyxy
            wide, high = (right - left) * frame.scale_x, (bottom - top) * frame.scale_y
            if min(wide, high) < TINY_PX:
                told = (
                    f"{wide:.1f}x{high:.1f} px in an input of "
                    f"{evidence.input_hw[1]}x{evidence.input_hw[0]}"
                )
                yield Finding("tiny box", split.split, told, image.name, box.annotation)


def duplicates(evidence: Evidence) -> Iterator[Finding]:
    """Of boxes in the same place each but the first, told with the first it lies on."""
    for split in evidence.splits:
        for image in split.images:
            boxes = [box for box in image.boxes if not (box.is_flat or box.crowd)]
            for first, second in _same_place(boxes):
                same = first.class_id == second.class_id
                kind = "duplicate box" if same else "two classes in one place"
                names = [split.class_names[box.class_id] for box in (second, first)]
                told = f"{names[0]} lies on annotation {first.annotation}"
                told += "" if same else f", {names[1]}"
                yield Finding(kind, split.split, told, image.name, second.annotation)


def _same_place(boxes: list[RawBox]) -> Iterator[tuple[RawBox, RawBox]]:
    if len(boxes) < 2:
        return
    corners = np.array([box.box_xyxy for box in boxes])  # [n, 4]
    sides = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    sides = sides - np.maximum(corners[:, None, :2], corners[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)  # [n, n]
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    iou = shared / (areas[:, None] + areas[None] - shared)
    later, earlier = np.nonzero(np.tril(iou > SAME_PLACE_IOU, k=-1))
    told = set()
    for second, first in zip(later.tolist(), earlier.tolist(), strict=True):
        if second not in told:
            told.add(second)
            yield boxes[first], boxes[second]


def _corners(box: RawBox) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box.box_xyxy) + ")"
