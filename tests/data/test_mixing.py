"""Pictures made of several: every box is where its object is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_slim.data.mixing import MAX_COVERED, copy_paste, mixup

SIDE = 96


def painted(rng: np.random.Generator, ground: int, n: int):
    """A picture with n rectangles that do not touch, each of an intensity of its own."""
    image = np.full((SIDE, SIDE, 3), ground, np.uint8)
    boxes = []
    for number in range(n):
        left, top = number * 30 + rng.integers(0, 6), rng.integers(0, 60)
        right, bottom = left + rng.integers(8, 20), top + rng.integers(8, 30)
        image[top:bottom, left:right] = 200 + number
        boxes.append((left, top, right, bottom))
    return image, np.array(boxes, np.float32).reshape(-1, 4), np.arange(n)


@pytest.mark.parametrize("seed", range(20))
def test_a_pasted_object_lies_in_its_box(seed):
    rng = np.random.default_rng(seed)
    onto, source = painted(rng, 10, 1), painted(rng, 60, 3)
    image, boxes, class_ids = copy_paste(onto, source, rng)
    assert len(boxes) == len(class_ids) >= 1
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= SIDE).all()
    assert np.array_equal(boxes[0], onto[1][0])
    for (left, top, right, bottom), class_id in zip(
        boxes[1:].astype(int), class_ids[1:], strict=True
    ):
        original = source[1][class_id]
        assert (right - left, bottom - top) == tuple((original[2:] - original[:2]).astype(int))
        assert (image[top:bottom, left:right] >= 200).mean() >= 1 - MAX_COVERED - 1e-6


def test_pasting_hides_no_object_and_leaves_its_sources():
    rng = np.random.default_rng(0)
    whole = np.array([[0, 0, SIDE, SIDE]], np.float32)
    source = np.zeros((SIDE, SIDE, 3), np.uint8), whole, np.array([1])
    onto = painted(rng, 10, 2)
    before = onto[0].copy()
    image, boxes, class_ids = copy_paste(onto, source, rng)
    assert len(boxes) == 2 and class_ids.tolist() == [0, 1]
    assert np.array_equal(image, before) and np.array_equal(onto[0], before)


def test_pasting_from_or_onto_nothing():
    rng = np.random.default_rng(0)
    empty = painted(rng, 10, 0)
    image, boxes, class_ids = copy_paste(empty, empty, rng)
    assert boxes.shape == (0, 4) and class_ids.shape == (0,) and np.array_equal(image, empty[0])
    assert len(copy_paste(empty, painted(rng, 60, 1), rng)[1]) == 1


def test_mixup_has_both_pictures_and_the_boxes_of_both():
    rng = np.random.default_rng(3)
    first, second = painted(rng, 0, 1), painted(rng, 0, 2)
    image, boxes, class_ids = mixup(first, second, rng)
    assert np.array_equal(boxes, np.concatenate([first[1], second[1]]))
    assert class_ids.tolist() == [0, 0, 1]
    lit = first[0].astype(int) + second[0]
    assert ((image > 0) == (lit > 0)).all() and image.max() < lit.max()
