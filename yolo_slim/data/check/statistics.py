"""How many pictures and boxes a split has, and how large its boxes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from yolo_slim.data.check.class_checks import class_counts
from yolo_slim.data.check.rows import Evidence, RawSplit

COCO_AREAS = (32.0**2, 96.0**2)
"""COCO's borders of small, medium and large, in square pixels of the picture."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class SplitStatistics:
    """Of boxes with an area, crowds left out.

    n_boxes: all that are written, crowds and flat ones too. classes: name -> boxes.
    relative_sizes: [n] square root of the box's share of its picture's area, 0 to 1 and over.
    aspects: [n] width over height. coco_shares: of small, medium, large, 0 to 1; None without
    boxes.
    """

    split: str
    source: str
    n_images: int
    n_boxes: int
    classes: dict[str, int]
    relative_sizes: np.ndarray
    aspects: np.ndarray
    coco_shares: tuple[float, float, float] | None

    @property
    def imbalance(self) -> float | None:
        """Boxes of the largest class over those of the smallest that has any."""
        counts = [n for n in self.classes.values() if n]
        return max(counts) / min(counts) if counts else None

    def document(self) -> dict[str, Any]:
        """What --json writes of it."""
        shares = self.coco_shares
        return {
            "source": self.source,
            "images": self.n_images,
            "boxes": self.n_boxes,
            "classes": self.classes,
            "imbalance": self.imbalance,
            "coco_shares": dict(zip(("small", "medium", "large"), shares, strict=True))
            if shares
            else None,
            "relative_size_quantiles": quantiles(self.relative_sizes),
            "aspect_quantiles": quantiles(self.aspects),
        }


def statistics(evidence: Evidence) -> tuple[SplitStatistics, ...]:
    """The numbers of each split; pictures whose size nobody knows add nothing to those of sizes."""
    return tuple(_statistics(split, evidence) for split in evidence.splits)


def quantiles(values: np.ndarray) -> dict[str, float] | None:
    """Quantile -> value, for QUANTILES; None where there is no value."""
    if not len(values):
        return None
    found = np.quantile(values, QUANTILES).tolist()
    return {f"{q:g}": round(value, 4) for q, value in zip(QUANTILES, found, strict=True)}


def _statistics(split: RawSplit, evidence: Evidence) -> SplitStatistics:
    rows = []
    for image in split.images:
        size_wh = image.size_wh or evidence.pictures[image.path].size_wh
        for box in image.boxes:
            if size_wh and not (box.crowd or box.is_flat):
                left, top, right, bottom = box.box_xyxy
                rows.append((right - left, bottom - top, *size_wh))
    wide, high, image_w, image_h = np.array(rows, np.float64).reshape(-1, 4).T
    areas = wide * high
    bounds = np.searchsorted(COCO_AREAS, areas, side="right")
    shares = (np.bincount(bounds, minlength=3) / len(areas)).tolist() if len(areas) else None
    return SplitStatistics(
        split.split,
        split.source,
        len(split.images),
        split.n_boxes,
        class_counts(split),
        np.sqrt(areas / (image_w * image_h)),
        wide / high,
        tuple(shares) if shares else None,
    )
