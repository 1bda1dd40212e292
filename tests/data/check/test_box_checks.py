"""Boxes in a picture of 100x80: what is found is what a plain loop over pixels would say."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_slim.data.check import box_checks

GOOD = (10.0, 10.0, 50.0, 50.0, 0)


@pytest.mark.parametrize(
    "row", [(5, 5, 5, 9, 0), (5, 5, 9, 5, 0), (9, 5, 5, 9, 0), (5, 9, 9, 5, 1)]
)
def test_flat_boxes_are_told_once_and_by_no_other_check(row, evidence):
    made = evidence([[GOOD, row]])
    (found,) = box_checks.flat(made)
    assert (found.kind, found.annotation, found.file) == ("flat box", 1, "0.png")
    for check in (box_checks.over_border, box_checks.tiny, box_checks.duplicates):
        assert list(check(made)) == []


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ((0, 0, 100, 80, 0), None),
        ((-1, -1, 101, 81, 0), None),
        ((-1.5, 5, 20, 20, 0), "box over the border"),
        ((5, 5, 20, 82, 0), "box over the border"),
        ((5, 5, 102, 20, 0), "box over the border"),
        ((-20, 5, 0, 20, 0), "box outside"),
        ((100, 5, 120, 20, 0), "box outside"),
        ((5, 80, 20, 90, 0), "box outside"),
        ((5, -9, 20, 0, 0), "box outside"),
        ((5, -9, 20, 0.5, 0), "box over the border"),
    ],
)
def test_the_border(row, kind, evidence):
    found = list(box_checks.over_border(evidence([[GOOD, row]])))
    assert [f.kind for f in found] == ([kind] if kind else [])
    assert all(f.annotation == 1 for f in found)


def test_outside_means_no_pixel_inside(evidence, rng):
    corners = rng.integers(-40, 140, (300, 2, 2))
    corners.sort(axis=1)
    rows = [(*pair.reshape(-1).astype(float).tolist(), 0) for pair in corners]
    found = {
        f.annotation for f in box_checks.over_border(evidence([rows])) if f.kind == "box outside"
    }
    x, y = np.meshgrid(np.arange(100) + 0.5, np.arange(80) + 0.5)
    for number, (left, top, right, bottom, _) in enumerate(rows):
        inside = ((x > left) & (x < right) & (y > top) & (y < bottom)).any()
        flat = left >= right or top >= bottom
        assert (number in found) == (not inside and not flat)


@pytest.mark.parametrize(
    ("size_wh", "mode", "row", "is_tiny"),
    [
        ((416, 416), "stretch", (5, 5, 7, 7, 0), False),
        ((416, 416), "stretch", (5, 5, 6.9, 50, 0), True),
        ((832, 416), "stretch", (5, 5, 8.9, 50, 0), True),
        ((832, 416), "stretch", (5, 5, 50, 7, 0), False),
        ((832, 416), "letterbox", (5, 5, 50, 7, 0), True),
        ((208, 208), "stretch", (5, 5, 6, 6, 0), False),
    ],
)
def test_tiny_is_less_than_two_pixels_of_the_input(size_wh, mode, row, is_tiny, evidence):
    made = evidence([[row]], size_wh=size_wh, resize_mode=mode)
    assert [f.kind for f in box_checks.tiny(made)] == ["tiny box"] * is_tiny


def test_duplicates_are_told_with_the_first(evidence):
    again, moved = (10.2, 10, 50, 50, 0), (14.0, 10, 54, 50, 0)
    other_class = (10.0, 10.0, 50.0, 50.0, 1)
    found = list(box_checks.duplicates(evidence([[GOOD, moved, GOOD, again, other_class]])))
    assert [(f.kind, f.annotation) for f in found] == [
        ("duplicate box", 2),
        ("duplicate box", 3),
        ("two classes in one place", 4),
    ]
    assert all("annotation 0" in f.found for f in found)
    assert list(box_checks.duplicates(evidence([[GOOD], [GOOD]]))) == [], "of other pictures"


def test_a_size_that_nobody_knows_is_passed_over(evidence):
    made = evidence([[(500, 500, 600, 600, 0)]], size_wh=None)
    assert list(box_checks.over_border(made)) == list(box_checks.tiny(made)) == []
