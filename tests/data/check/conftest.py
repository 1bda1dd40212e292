"""Splits and pictures that the tests of yolo_slim.data.check make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolo_slim.data.check.picture import Picture
from yolo_slim.data.check.rows import Evidence, RawBox, RawImage, RawSplit

Row = tuple[float, float, float, float, int]


@pytest.fixture
def scene(rng) -> Callable[[], np.ndarray]:
    """Makes pictures uint8 [90, 120, 3] that have nothing in common, smooth as photos are."""

    def make() -> np.ndarray:
        return cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (120, 90))

    return make


@pytest.fixture
def evidence() -> Callable[..., Evidence]:
    """Evidence of splits given as lists of pictures, each a list of (x1, y1, x2, y2, class)."""

    def make(
        *splits: Sequence[Sequence[Row]], size_wh=(100, 80), names=("fig", "pear"), **options
    ) -> Evidence:
        made = []
        for split, images in zip(("train", "val"), splits, strict=False):
            number = 0
            entries = []
            for k, rows in enumerate(images):
                boxes = tuple(RawBox(number + n, row[:4], row[4]) for n, row in enumerate(rows))
                number += len(rows)
                entries.append(RawImage(f"{k}.png", Path(split) / f"{k}.png", size_wh, boxes))
            ids = tuple(range(1, len(names) + 1))
            made.append(RawSplit(split, "here", tuple(entries), names, ids))
        pictures = {image.path: Picture(image.path) for s in made for image in s.images}
        return Evidence(tuple(made), pictures, **options)

    return make


def kinds(findings) -> list[str]:
    return [finding.kind for finding in findings]
