"""TinyNet-A to E: EfficientNet-B0 scaled down (Han et al., Model Rubik's Cube, 2020)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from yolo_slim.zoo.efficientnet import scaled_b0
from yolo_slim.zoo.trunk import Classifier


def tinynet(width: float, depth: float, size_px: int, classes: int) -> Classifier:
    """Depths are rounded to the nearest, at least 1; the first and the last map stay as wide."""
    return scaled_b0(32, width, lambda count: max(1, round(depth * count)), 1280, classes, size_px)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "tinynet-a": partial(tinynet, 1.0, 1.2, 192),
    "tinynet-b": partial(tinynet, 0.75, 1.1, 188),
    "tinynet-c": partial(tinynet, 0.54, 0.85, 184),
    "tinynet-d": partial(tinynet, 0.54, 0.695, 152),
    "tinynet-e": partial(tinynet, 0.51, 0.6, 106),
}
