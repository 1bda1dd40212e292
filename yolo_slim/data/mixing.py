"""One training picture made of several, with the boxes that are true for it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from yolo_slim.data.augment import MIN_SIDE_PX, MIN_VISIBLE_SHARE, Boxed
from yolo_slim.geometry import clip, visible

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
    columns = ((0, cross_x), (cross_x, width))
    rows = ((0, cross_y), (cross_y, height))
    canvas = np.empty((height, width, 3), np.uint8)
    boxes, classes = [], []
    cells = [(row, column) for row in rows for column in columns]
    for (image, boxes_xyxy, class_ids), ((top, bottom), (left, right)) in zip(
        samples, cells, strict=True
    ):
        cell_hw = (bottom - top, right - left)
        window, moved, classes_left = _window(image, boxes_xyxy, class_ids, cell_hw, rng)
        canvas[top:bottom, left:right] = window
        boxes.append(moved + np.array([left, top, left, top], np.float32))
        classes.append(classes_left)
    return canvas, np.concatenate(boxes), np.concatenate(classes)


def _window(
    image: np.ndarray,
    boxes_xyxy: np.ndarray,
    class_ids: np.ndarray,
    cell_hw: tuple[int, int],
    rng: np.random.Generator,
) -> Boxed:
    image_h, image_w = image.shape[:2]
    cell_h, cell_w = cell_hw
    scale = max(cell_h / image_h, cell_w / image_w) * rng.uniform(1.0, 1.5)
    scaled_h = max(cell_h, round(image_h * scale))
    scaled_w = max(cell_w, round(image_w * scale))
    scaled = cv2.resize(image, (scaled_w, scaled_h), interpolation=cv2.INTER_LINEAR)
    left = int(rng.integers(scaled_w - cell_w + 1))
    top = int(rng.integers(scaled_h - cell_h + 1))
    # By the true ratio of whole pixels, so that boxes fit what was drawn.
    ratio = np.array([scaled_w / image_w, scaled_h / image_h] * 2, np.float32)
    moved = boxes_xyxy * ratio - np.array([left, top, left, top], np.float32)
    inside = clip(moved, cell_hw)
    keep = visible(inside, moved, MIN_VISIBLE_SHARE, MIN_SIDE_PX)
    return scaled[top : top + cell_h, left : left + cell_w], inside[keep], class_ids[keep]


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
