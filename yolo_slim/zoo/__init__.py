"""Networks by name: functions that return a Cfg."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from yolo_slim.cfg import Cfg, Net, Section, resize, verify
from yolo_slim.errors import InputError
from yolo_slim.zoo.darknet import darknet, darknet_tiny
from yolo_slim.zoo.heads import tiny_heads, yolov3_heads

__all__ = ["build", "names"]

DARKNET53 = (1, 2, 8, 8, 4)

_DETECTORS: dict[str, Callable[[int], tuple[Section, ...]]] = {
    "yolov3": lambda classes: yolov3_heads(darknet(DARKNET53), classes),
    "yolov3-spp": lambda classes: yolov3_heads(darknet(DARKNET53), classes, spp=True),
    "yolov3-tiny": lambda classes: tiny_heads(darknet_tiny(), classes),
    # Ours, for small pictures: a quarter of YOLOv3's width, and neither stage nor head of stride
    # 32, whose cells would be larger than the objects.
    "yolov3-nano": lambda classes: yolov3_heads(
        darknet((1, 1, 2, 2), 0.25), classes, width=0.125, depth=2
    ),
}


def names() -> tuple[str, ...]:
    """Names that `build` knows."""
    return tuple(_DETECTORS)


def build(name: str, classes: int = 80, size_px: int = 416) -> Cfg:
    """The network of that name for `classes` classes and a square input.

    Raises InputError for an unknown name.
    """
    if name not in _DETECTORS:
        near = difflib.get_close_matches(name, _DETECTORS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{name!r} is not in the zoo ({', '.join(_DETECTORS)}){hint}")
    cfg = Cfg(Net(), _DETECTORS[name](classes), source=name)
    verify(cfg)
    return resize(cfg, size_px, size_px)
