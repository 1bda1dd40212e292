"""Boxes and labels drawn on a picture."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from yolo_slim.detections import Detections

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = 0.618034

ColourBgr = tuple[int, int, int]


def draw(
    image_bgr: np.ndarray,
    detections: Detections,
    class_names: Sequence[str],
    *,
    with_scores: bool = True,
) -> np.ndarray:
    """A copy of the picture with a box and a label `name score` for each detection.

    image_bgr: uint8 [H, W, 3], left as it is. Boxes are clipped to the picture, those wholly
    outside are left out; the best score is drawn last and lies on top. A class without a name is
    called `class 7`. with_scores: False leaves the name alone in the label.

    Raises ValueError for another kind of array.
    """
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3:
        raise ValueError(
            f"image has {image_bgr.dtype} {image_bgr.shape}, expected uint8 [H, W, 3] in BGR order"
        )
    canvas = np.ascontiguousarray(image_bgr).copy()
    height, width = canvas.shape[:2]
    line_px = max(1, round((height + width) / 600))
    shown = detections[np.argsort(detections.scores, kind="stable")]
    visible = shown[_inside(shown.boxes_xyxy, width, height)]
    corners = np.clip(visible.boxes_xyxy, 0, [width - 1, height - 1] * 2).round().astype(int)
    colours = [class_colour(class_id) for class_id in visible.class_ids.tolist()]

    for (left, top, right, bottom), colour in zip(corners.tolist(), colours, strict=True):
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line_px)
    # Labels come after all boxes, so that no line crosses a word.
    for corner, colour, text in zip(
        corners.tolist(), colours, _labels(visible, class_names, with_scores), strict=True
    ):
        _draw_label(canvas, text, (corner[0], corner[1]), colour, line_px)
    return canvas


def class_colour(class_id: int) -> ColourBgr:
    """The colour of a class, always the same: hues a golden section apart, in three strengths.

    >>> class_colour(0) == class_colour(0) != class_colour(1)
    True
    """
    hue = (0.02 + class_id * _GOLDEN_RATIO) % 1
    saturation, value = ((0.85, 0.95), (0.55, 1.0), (0.95, 0.7))[class_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def _inside(boxes_xyxy: np.ndarray, width: int, height: int) -> np.ndarray:
    left, top, right, bottom = boxes_xyxy.T
    inside: np.ndarray = (right > 0) & (bottom > 0) & (left < width) & (top < height)
    return inside  # bool [n]


def _labels(detections: Detections, class_names: Sequence[str], with_scores: bool) -> list[str]:
    names = [
        class_names[class_id] if class_id < len(class_names) else f"class {class_id}"
        for class_id in detections.class_ids.tolist()
    ]
    return [
        f"{_plain(name)} {score:.2f}" if with_scores else _plain(name)
        for name, score in zip(names, detections.scores.tolist(), strict=True)
    ]


def _plain(name: str) -> str:
    """The built-in font has ASCII only: accents are dropped, what is left over becomes `?`."""
    letters = unicodedata.normalize("NFKD", name)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode("ascii")


def _draw_label(
    canvas: np.ndarray, text: str, corner_xy: tuple[int, int], colour: ColourBgr, line_px: int
) -> None:
    """Text on a filled ground above the corner; below it at the upper border, and never cut off at
    the right border while the picture is wide enough."""
    height, width = canvas.shape[:2]
    font_scale = max(0.36, (height + width) / 2400)
    stroke_px = max(1, round(font_scale * 1.6))
    (text_width, text_height), below_px = cv2.getTextSize(text, _FONT, font_scale, stroke_px)
    pad = max(2, line_px)
    label_width, label_height = text_width + 2 * pad, text_height + below_px + pad
    left = max(0, min(corner_xy[0] - line_px // 2, width - label_width))
    top = corner_xy[1] - label_height
    if top < 0:
        top = min(corner_xy[1], max(0, height - label_height))
    ground = ((left, top), (left + label_width - 1, top + label_height - 1))
    cv2.rectangle(canvas, *ground, colour, cv2.FILLED)
    cv2.putText(
        canvas,
        text,
        (left + pad, top + label_height - below_px),
        _FONT,
        font_scale,
        _text_colour(colour),
        stroke_px,
        cv2.LINE_AA,
    )


def _text_colour(ground: ColourBgr) -> ColourBgr:
    blue, green, red = ground
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 128 else (255, 255, 255)
