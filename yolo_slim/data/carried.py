"""What a form of annotations can carry: the rest is taken out before writing, counted and told."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from yolo_slim.data.dataset import Dataset, Sample
from yolo_slim.data.named import tidy
from yolo_slim.errors import DataError
from yolo_slim.geometry import clip

Target = Literal["coco", "yolo", "voc", "labelme", "darknet"]
TARGETS: tuple[Target, ...] = ("coco", "yolo", "voc", "labelme", "darknet")

# Of the size of a picture; what rounding in float32 makes of a box that ends at its border.
_ROUNDING = 1e-6


def carried(dataset: Dataset, to: Target) -> tuple[Dataset, tuple[str, ...]]:
    """The data set as the form `to` can hold it, and notes on what it cannot, one sentence each.

    COCO's JSON holds everything but outlines. In VOC a crowd box is `difficult`, in labelme it has
    the flag `iscrowd`. YOLO's labels have no crowd, and their numbers go from 0 to 1: crowd boxes
    are left out, and a box that cannot be said is cut off at the border.

    Raises DataError for names of classes that the form cannot hold.
    """
    notes = []
    if dataset.n_outlines:
        notes.append(
            f"{dataset.n_outlines} objects have a polygon or mask: only their boxes are written"
        )
    if to == "coco":
        return dataset, tuple(notes)
    named, renamed = _with_names_for(dataset, to)
    notes += renamed
    if to in ("yolo", "darknet"):
        named, left_out = _in_parts_of_one(named, to)
        notes += left_out
    notes += _numbers_lost(named, to)
    return named, tuple(notes)


def _with_names_for(dataset: Dataset, to: Target) -> tuple[Dataset, list[str]]:
    names = tuple(tidy(name) for name in dataset.class_names)
    for name, given in zip(names, dataset.class_names, strict=True):
        if not name or not name.isprintable():
            raise DataError(
                f"{dataset.source} has a class called {given!r}, which {to} cannot hold. Rename it."
            )
    # VOC and labelme know a class by nothing but its name.
    if to in ("voc", "labelme") and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{dataset.source} has two classes called {twice}, which {to} cannot tell apart. "
            "Rename one."
        )
    n_changed = sum(a != b for a, b in zip(names, dataset.class_names, strict=True))
    notes = [f"blanks were taken from the names of {n_changed} classes"] if n_changed else []
    return replace(dataset, class_names=names), notes


def _in_parts_of_one(dataset: Dataset, to: Target) -> tuple[Dataset, list[str]]:
    """Without crowd boxes, and with the centre and size of every box within 0 to 1."""
    n_crowd = n_cut = n_outside = 0
    samples = []
    for sample in dataset.samples:
        n_crowd += int(sample.crowd.sum())
        kept = _chosen(sample, ~sample.crowd)
        parts = parts_of(sample.boxes_xyxy[~sample.crowd], sample.width_px, sample.height_px)
        beyond = np.any((parts < -_ROUNDING) | (parts > 1 + _ROUNDING), axis=1)
        cut = clip(kept.boxes_xyxy, (sample.height_px, sample.width_px))
        boxes = np.where(beyond[:, None], cut, kept.boxes_xyxy)
        solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        n_cut += int((beyond & solid).sum())
        n_outside += int((~solid).sum())
        areas = np.where(beyond, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kept.areas)
        samples.append(_chosen(replace(kept, boxes_xyxy=boxes, areas=areas), solid))
    counted = {
        "crowd boxes were left out": n_crowd,
        "boxes were cut off at the border of their picture": n_cut,
        "boxes outside of their picture were left out": n_outside,
    }
    notes = [f"{n} {what}: {to} cannot say them" for what, n in counted.items() if n]
    return replace(dataset, samples=tuple(samples)), notes


def parts_of(boxes_xyxy: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """Boxes [n, 4] in pixels as YOLO's labels say them: float64 cx, cy, w, h in parts of the
    picture's width and height."""
    left_top, right_bottom = np.split(boxes_xyxy.astype(np.float64), 2, axis=1)
    size = np.array([width_px, height_px], np.float64)
    return np.concatenate(
        [(left_top + right_bottom) / 2 / size, (right_bottom - left_top) / size], 1
    )


def _chosen(sample: Sample, mask: np.ndarray) -> Sample:
    return replace(
        sample,
        boxes_xyxy=sample.boxes_xyxy[mask],
        class_ids=sample.class_ids[mask],
        crowd=sample.crowd[mask],
        areas=sample.areas[mask],
    )


def _numbers_lost(dataset: Dataset, to: Target) -> list[str]:
    notes = []
    n_areas = 0
    for sample in dataset.samples:
        sides = sample.boxes_xyxy[:, 2:] - sample.boxes_xyxy[:, :2]
        n_areas += int((~np.isclose(sample.areas, sides.prod(axis=1), rtol=1e-3)).sum())
    if n_areas:
        notes.append(
            f"{n_areas} objects have an area other than their box's, which {to} does not hold"
        )
    if dataset.category_ids != tuple(range(1, len(dataset.category_ids) + 1)):
        notes.append(
            f"the category ids {dataset.category_ids[0]} to {dataset.category_ids[-1]} are not "
            f"held by {to}: read again, they count from 1"
        )
    return notes
