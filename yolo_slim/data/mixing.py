"""One training picture made of several, with the boxes that are true for it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from yolo_slim.data.augment import MIN_SIDE_PX, MIN_VISIBLE_SHARE, Boxed
from yolo_slim.geometry import visible

MAX_PASTED = 5
"""Objects that one picture gives to another."""

MAX_COVERED = 0.3
"""Share of an object that a pasted one may hide."""


def mosaic(samples: Sequence[Boxed], input_hw: tuple[int, int], rng: np.random.Generator) -> Boxed:
    """One picture of height and width `input_hw` made of windows into four.

    A random cross divides the input. Each picture is scaled to cover its quarter, or up to half as
    much more, and a random window of it is pasted. Pictures come out between about a quarter and
    their full size, so a mosaic teaches small objects. Boxes are cut to their window; slivers go.
    """
    if len(samples) != 4:
        raise ValueError(f"{len(samples)} pictures, expected 4")
    height, width = input_hw
    cross_x = round(width * rng.uniform(0.3, 0.7))
    cross_y = round(height * rng.uniform(0.3, 0.7))
    cells = [
        (left, top, right, bottom)
        for top, bottom in ((0, cross_y), (cross_y, height))
        for left, right in ((0, cross_x), (cross_x, width))
    ]
    canvas = np.empty((height, width, 3), np.uint8)
    ratios, offsets = [], []
    draws = rng.random((4, 3)).tolist()  # at once: a call of the generator takes 3 us
    for (image, _, _), (left, top, right, bottom), drawn in zip(samples, cells, draws, strict=True):
        cell_wh = (right - left, bottom - top)
        x, y, w, h = _window(image.shape[1::-1], cell_wh, drawn)
        shown = image[y : y + h, x : x + w]
        cv2.resize(shown, cell_wh, canvas[top:bottom, left:right], interpolation=cv2.INTER_LINEAR)
        ratio_x, ratio_y = cell_wh[0] / w, cell_wh[1] / h
        ratios.append((ratio_x, ratio_y) * 2)
        offsets.append((left - x * ratio_x, top - y * ratio_y) * 2)
    # All boxes at once: each is moved as its own picture is, and cut at its own cell.
    counts = [len(boxes_xyxy) for _, boxes_xyxy, _ in samples]
    ratio, offset, cell = (
        np.repeat(np.array(rows, np.float32), counts, axis=0) for rows in (ratios, offsets, cells)
    )
    moved = np.concatenate([boxes_xyxy for _, boxes_xyxy, _ in samples]) * ratio + offset
    inside = np.clip(moved, cell[:, [0, 1, 0, 1]], cell[:, [2, 3, 2, 3]])
    keep = visible(inside, moved, MIN_VISIBLE_SHARE, MIN_SIDE_PX)
    class_ids = np.concatenate([class_ids for _, _, class_ids in samples])
    return canvas, inside[keep], class_ids[keep]


def _window(
    image_wh: Sequence[int], cell_wh: Sequence[int], drawn: Sequence[float]
) -> tuple[int, int, int, int]:
    """Left, top, width and height, in whole pixels of the picture, of what a cell shows of it.

    drawn: three numbers, 0 to below 1, for the scale and the two places.
    """
    scale = max(cell_wh[0] / image_wh[0], cell_wh[1] / image_wh[1]) * (1 + drawn[0] / 2)
    w = min(image_wh[0], max(1, round(cell_wh[0] / scale)))
    h = min(image_wh[1], max(1, round(cell_wh[1] / scale)))
    return int(drawn[1] * (image_wh[0] - w + 1)), int(drawn[2] * (image_wh[1] - h + 1)), w, h


def mixup(first: Boxed, second: Boxed, rng: np.random.Generator) -> Boxed:
    """Both pictures, of equal size, one shining through the other, and the boxes of both.

    The shares follow Beta(8, 8), mostly near one half (Zhang et al., mixup, 2018).
    """
    share = float(rng.beta(8, 8))
    image = cv2.addWeighted(first[0], share, second[0], 1 - share, 0)
    return image, np.concatenate([first[1], second[1]]), np.concatenate([first[2], second[2]])


def copy_paste(onto: Boxed, source: Boxed, rng: np.random.Generator) -> Boxed:
    """Up to MAX_PASTED objects of `source`, cut out by their boxes, put at random places.

    An object is not put where it would hide more than MAX_COVERED of another (after Ghiasi et al.,
    Simple Copy-Paste, 2021, who cut along masks, which a detection set does not have).
    """
    image, boxes, class_ids = onto[0].copy(), list(onto[1]), list(onto[2])
    height, width = image.shape[:2]
    n_pasted = int(rng.integers(1, MAX_PASTED + 1))
    for index in rng.permutation(len(source[1]))[:n_pasted]:
        left, top = np.floor(source[1][index, :2]).astype(int)
        right, bottom = np.ceil(source[1][index, 2:]).astype(int)
        cut = source[0][max(top, 0) : bottom, max(left, 0) : right]
        cut_h, cut_w = cut.shape[:2]
        if not (0 < cut_h <= height and 0 < cut_w <= width):
            continue
        at_x = int(rng.integers(width - cut_w + 1)) - max(left, 0)
        at_y = int(rng.integers(height - cut_h + 1)) - max(top, 0)
        moved = source[1][index] + np.array([at_x, at_y] * 2, np.float32)
        if len(boxes) and _covered(np.array(boxes), moved).max() > MAX_COVERED:
            continue
        top_left = (max(top, 0) + at_y, max(left, 0) + at_x)
        image[top_left[0] : top_left[0] + cut_h, top_left[1] : top_left[1] + cut_w] = cut
        boxes.append(moved)
        class_ids.append(source[2][index])
    return (
        image,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(class_ids, np.int64).reshape(-1),
    )


def _covered(boxes_xyxy: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """Share [n], 0 to 1, of each box that lies under `box_xyxy`."""
    sides = np.minimum(boxes_xyxy[:, 2:], box_xyxy[2:]) - np.maximum(
        boxes_xyxy[:, :2], box_xyxy[:2]
    )
    areas = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    share: np.ndarray = np.prod(np.clip(sides, 0, None), axis=1) / np.maximum(areas, 1e-9)
    return share
