"""Anchors find the sizes that boxes really have."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_slim.data.anchors import best_iou, fit_anchors
from yolo_slim.errors import DataError

SIZES = np.array([[10, 14], [40, 30], [25, 90], [160, 120]], np.float64)


def test_known_clusters_are_recovered_smallest_first(rng):
    boxes = np.repeat(SIZES, 50, axis=0) * rng.uniform(0.9, 1.1, (200, 2))
    found = fit_anchors(rng.permutation(boxes), 4)
    np.testing.assert_allclose(found, SIZES, rtol=0.05)


def test_same_seed_same_anchors_in_any_unit(rng):
    boxes = rng.uniform(5, 200, (300, 2))
    one = fit_anchors(boxes, 6, seed=3)
    np.testing.assert_array_equal(one, fit_anchors(boxes, 6, seed=3))
    np.testing.assert_allclose(fit_anchors(boxes * 2, 6, seed=3), one * 2)


def test_more_anchors_fit_better(rng):
    boxes = rng.uniform(5, 200, (300, 2))
    quality = [best_iou(boxes, fit_anchors(boxes, k)) for k in (1, 3, 9)]
    assert quality == sorted(quality) and quality[0] < quality[2] < 1


def test_an_anchor_for_each_size_is_perfect():
    assert best_iou(SIZES, fit_anchors(SIZES, 4)) == 1


def test_best_iou_of_a_hand_made_pair():
    assert best_iou(np.array([[2.0, 2.0]]), np.array([[1.0, 1.0], [4.0, 2.0]])) == 0.5


def test_many_boxes_are_sampled(rng):
    boxes = np.repeat(SIZES, 6000, axis=0)
    np.testing.assert_allclose(fit_anchors(boxes, 4), SIZES)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.ones((2, 2)), "1 different box sizes cannot give 3 anchors"),
        (np.zeros((0, 2)), "0 different"),
        (np.array([[1.0, 0.0]] * 5), "positive"),
        (np.array([[1.0, np.nan]] * 5), "positive"),
    ],
)
def test_unusable_boxes_are_a_data_error(boxes, message):
    with pytest.raises(DataError, match=message):
        fit_anchors(boxes, 3)
