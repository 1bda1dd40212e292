"""Networks by name: functions that return a Cfg."""

from __future__ import annotations

import difflib

from yolo_slim.cfg import Cfg, Net, resize, verify
from yolo_slim.errors import InputError
from yolo_slim.zoo.darknet import darknet53, darknet_tiny
from yolo_slim.zoo.heads import tiny_heads, yolov3_heads

__all__ = ["build", "names"]

_DETECTORS = {
    "yolov3": lambda classes: yolov3_heads(darknet53(), 36, 61, classes),
    "yolov3-spp": lambda classes: yolov3_heads(darknet53(), 36, 61, classes, spp=True),
    "yolov3-tiny": lambda classes: tiny_heads(darknet_tiny(), 8, classes),
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
    cfg = Cfg(Net(), tuple(_DETECTORS[name](classes)), source=name)
    verify(cfg)
    return resize(cfg, size_px, size_px)
