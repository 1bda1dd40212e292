"""Where a pixel of the picture lands in the network's input, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from yolo_slim.errors import InputError

ResizeMode = Literal["stretch", "letterbox"]

BORDER_GREY = 127
"""What surrounds a letterboxed picture, in all three channels."""


@dataclass(frozen=True)
class Frame:
    """input = image * scale + offset, along each axis, for positions in continuous pixels.

    Position 0 is the outer edge of the first pixel, as for the sides of a box.

    >>> to_input(Frame(0.5, 0.5, 0.0, 10.0), np.array([[20.0, 40.0, 60.0, 80.0]]))
    array([[10., 30., 30., 50.]])
    """

    scale_x: float
    scale_y: float
    offset_x_px: float
    offset_y_px: float


def stretch(image_hw: tuple[int, int], input_hw: tuple[int, int]) -> Frame:
    """The picture fills the whole input; its aspect is not kept."""
    return Frame(input_hw[1] / image_hw[1], input_hw[0] / image_hw[0], 0.0, 0.0)


def letterbox(image_hw: tuple[int, int], input_hw: tuple[int, int]) -> Frame:
    """The picture keeps its aspect, touches two opposite sides of the input and is centred.

    The pasted picture covers whole pixels, so the two scales may differ by the rounding: that
    makes the mapping of boxes exact.
    """
    scale = min(input_hw[0] / image_hw[0], input_hw[1] / image_hw[1])
    pasted_h, pasted_w = (max(1, round(side * scale)) for side in image_hw)
    return Frame(
        scale_x=pasted_w / image_hw[1],
        scale_y=pasted_h / image_hw[0],
        offset_x_px=float((input_hw[1] - pasted_w) // 2),
        offset_y_px=float((input_hw[0] - pasted_h) // 2),
    )


def frame_for(mode: ResizeMode, image_hw: tuple[int, int], input_hw: tuple[int, int]) -> Frame:
    """The frame of a resize mode. Raises ValueError for a mode that does not exist."""
    if mode not in get_args(ResizeMode):
        raise ValueError(f"resize mode {mode!r}, expected one of {get_args(ResizeMode)}")
    return stretch(image_hw, input_hw) if mode == "stretch" else letterbox(image_hw, input_hw)


def to_input(frame: Frame, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Boxes [n, 4] in pixels of the input, from pixels of the picture; floats stay as wide."""
    return _as_given(boxes_xyxy * _scale_4(frame) + _offset_4(frame), boxes_xyxy)


def to_image(frame: Frame, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Boxes [n, 4] in pixels of the picture, from pixels of the input; floats stay as wide."""
    return _as_given((boxes_xyxy - _offset_4(frame)) / _scale_4(frame), boxes_xyxy)


def clip(boxes_xyxy: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Boxes [n, 4] cut off at the border of a picture of height and width `hw` in pixels."""
    limit = np.array([hw[1], hw[0], hw[1], hw[0]], boxes_xyxy.dtype)
    clipped: np.ndarray = np.clip(boxes_xyxy, 0, limit)
    return clipped


def visible(
    clipped_xyxy: np.ndarray, boxes_xyxy: np.ndarray, min_share: float, min_side_px: float
) -> np.ndarray:
    """bool [n]: of which boxes enough is left after clipping to be worth learning.

    At least `min_share` (0 to 1) of the area, and sides of `min_side_px` or more.
    """
    # By columns: numpy's reductions take three times as long for the few boxes of a picture.
    left, top, right, bottom = clipped_xyxy.T
    width, height = right - left, bottom - top
    left, top, right, bottom = boxes_xyxy.T
    enough: np.ndarray = width * height >= min_share * ((right - left) * (bottom - top))
    enough &= (width >= min_side_px) & (height >= min_side_px)
    return enough


def render(
    image: np.ndarray,
    frame: Frame,
    input_hw: tuple[int, int],
    image_hw: tuple[int, int] | None = None,
) -> np.ndarray:
    """The input as the network sees it: uint8 [h, w, 3] from a picture uint8 [H, W, 3].

    Bilinear; what the picture does not cover is BORDER_GREY. For `stretch` this is
    `cv2.resize(image, (w, h))` and nothing else, as `cv2.dnn.blobFromImage` does it.

    image_hw: the size that `frame` was made for, where `image` was decoded at a smaller one.
    """
    height, width = image_hw or image.shape[:2]
    pasted_w, pasted_h = round(width * frame.scale_x), round(height * frame.scale_y)
    pasted = cv2.resize(image, (pasted_w, pasted_h), interpolation=cv2.INTER_LINEAR)
    if (pasted_h, pasted_w) == tuple(input_hw):
        return pasted
    canvas = np.full((*input_hw, 3), BORDER_GREY, np.uint8)
    left, top = int(frame.offset_x_px), int(frame.offset_y_px)
    canvas[top : top + pasted_h, left : left + pasted_w] = pasted
    return canvas


def to_blob(image_bgr: np.ndarray, channels: int = 3) -> np.ndarray:
    """float32 [channels, h, w], 0 to 1, from uint8 [h, w, 3] blue, green, red: see to_planes.

    Multiplies by float32(1/255), as `cv2.dnn.blobFromImage` does; dividing by 255 differs in the
    last bit.
    """
    planes = to_planes(image_bgr, channels).astype(np.float32)
    planes *= np.float32(1 / 255)
    return planes


def to_planes(image_bgr: np.ndarray, channels: int = 3) -> np.ndarray:
    """uint8 [channels, h, w] from uint8 [h, w, 3] blue, green, red.

    3 channels are red, green, blue; 1 is luma (Rec. 601), as Darknet reads grey pictures. Raises
    InputError for any other number: pictures have no more.
    """
    if channels == 1:
        return cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)[None]
    if channels != 3:
        raise InputError(f"channels={channels}: pictures can be read as 3 channels or as 1")
    return np.ascontiguousarray(image_bgr[:, :, ::-1].transpose(2, 0, 1))


def _scale_4(frame: Frame) -> np.ndarray:
    return np.array([frame.scale_x, frame.scale_y, frame.scale_x, frame.scale_y])


def _offset_4(frame: Frame) -> np.ndarray:
    offset = (frame.offset_x_px, frame.offset_y_px)
    return np.array([*offset, *offset])


def _as_given(result: np.ndarray, given: np.ndarray) -> np.ndarray:
    return result.astype(given.dtype if given.dtype.kind == "f" else np.float32)
