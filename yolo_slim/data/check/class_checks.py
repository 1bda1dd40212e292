"""Checks on classes and on whole splits, one function each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yolo_slim.class_names import unique_names
from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.rows import Evidence, RawSplit

IMBALANCE = 10.0
"""The largest class has more than this many times the boxes of the smallest."""


def class_counts(split: RawSplit) -> dict[str, int]:
    """Boxes of each class, crowds and flat ones left out, in the order of the classes."""
    ids = [b.class_id for image in split.images for b in image.boxes if not (b.crowd or b.is_flat)]
    counts = np.bincount(np.array(ids, np.int64), minlength=len(split.class_names))
    return dict(zip(unique_names(split.class_names), counts.tolist(), strict=True))


def differing(evidence: Evidence) -> Iterator[Finding]:
    """Class k must be the same thing in every split."""
    first, *others = evidence.splits
    for split in others:
        if (split.class_names, split.category_ids) == (first.class_names, first.category_ids):
            continue
        told = f"{_classes(split)}; {first.split} has {_classes(first)}"
        yield Finding("classes differ", split.split, told)


def without_boxes(evidence: Evidence) -> Iterator[Finding]:
    for split in evidence.splits:
        for name, n_boxes in class_counts(split).items():
            if n_boxes == 0:
                yield Finding("class without boxes", split.split, f"no box of class {name}")


def imbalance(evidence: Evidence) -> Iterator[Finding]:
    for split in evidence.splits:
        counts = {name: n for name, n in class_counts(split).items() if n}
        if not counts:
            continue
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        ratio = counts[most] / counts[least]
        if ratio > IMBALANCE:
            told = f"{most} has {counts[most]} boxes, {least} has {counts[least]}: {ratio:.0f} to 1"
            yield Finding("imbalance", split.split, told)


def empty_images(evidence: Evidence) -> Iterator[Finding]:
    for split in evidence.splits:
        for image in split.images:
            if not image.boxes:
                yield Finding("image without boxes", split.split, "no box", image.name)


def _classes(split: RawSplit) -> str:
    names = [
        f"{key} {name}" for key, name in zip(split.category_ids, split.class_names, strict=True)
    ]
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")
