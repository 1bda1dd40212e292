"""From the text of a detection head to its type, with Darknet's defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yolo_slim.cfg.heads import Anchors, Detection, GaussianYolo, Head, NmsKind, Region, Yolo
from yolo_slim.cfg.lexing import Block
from yolo_slim.cfg.limits import MAX_CLASSES
from yolo_slim.errors import CfgError

_NMS_KINDS: dict[str, NmsKind] = {
    "default": "default", "greedynms": "greedynms", "diounms": "diounms",
}  # fmt: skip


def _read_yolo(b: Block, index: int) -> Yolo:
    return _yolo(b, Yolo)


def _read_gaussian_yolo(b: Block, index: int) -> Yolo:
    b.get_choice("yolo_point", {"center": None}, "center")
    return _yolo(b, GaussianYolo)


def _yolo(b: Block, kind: type[Yolo]) -> Yolo:
    b.refuse("embedding_layer")
    anchors_wh = _anchors(b)
    return kind(
        mask=b.get_ints("mask") or tuple(range(len(anchors_wh))),
        anchors_wh=anchors_wh,
        scale_x_y=b.get_float("scale_x_y", 1.0),
        new_coords=b.get_flag("new_coords"),
        ignore_thresh=b.get_float("ignore_thresh", 0.5),
        iou_thresh=b.get_float("iou_thresh", 1.0),
        objectness_smooth=b.get_flag("objectness_smooth"),
        **_head(b),
    )


def _anchors(b: Block) -> Anchors:
    """Pairs of width and height; a number that is missing of the `num` pairs is Darknet's 0.5."""
    numbers = list(b.get_floats("anchors"))
    if not numbers:
        raise CfgError(f"{b.where} anchors: 0 numbers, expected pairs of width, height")
    num = b.get_int("num", (len(numbers) + 1) // 2, at_least=1, at_most=2048)
    if len(numbers) != 2 * num:
        b.note(f"num={num}, but anchors= holds {len(numbers)} numbers, expected {2 * num}")
    numbers += [0.5] * (max(2 * num, len(numbers) + len(numbers) % 2) - len(numbers))
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _head(b: Block, classes: int = 20) -> dict[str, Any]:
    """What every head has; to be asked last, since it takes the rest of the keys as extras."""
    return {
        "classes": b.get_int("classes", classes, at_least=1, at_most=MAX_CLASSES),
        "nms_kind": b.get_choice("nms_kind", _NMS_KINDS, "default"),
        "beta_nms": b.get_float("beta_nms", 0.6),
        "line": b.line,
        "extras": b.extras(),
    }


def _read_region(b: Block, index: int) -> Region:
    if b.get_int("coords", 4) != 4:
        raise CfgError(f"{b.where} coords={b.get_text('coords', '')}: only 4 is supported")
    return Region(
        anchors_wh=_anchors(b),
        softmax=b.get_flag("softmax"),
        tree=b.get_text("tree", ""),
        **_head(b),
    )


def _read_detection(b: Block, index: int) -> Detection:
    if b.get_int("coords", 1) != 4:
        raise CfgError(f"{b.where} coords={b.get_text('coords', '1')}: only 4 is supported")
    return Detection(
        side=b.get_int("side", 7, at_least=1, at_most=1024),
        num=b.get_int("num", 1, at_least=1, at_most=4096),
        softmax=b.get_flag("softmax"),
        sqrt=b.get_flag("sqrt"),
        **_head(b, classes=1),
    )


HEAD_READERS: dict[str, Callable[[Block, int], Head]] = {
    "yolo": _read_yolo,
    "Gaussian_yolo": _read_gaussian_yolo,
    "region": _read_region,
    "detection": _read_detection,
}
