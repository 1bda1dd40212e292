"""Scaled and moved as the library does it, in less time."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest

from yolo_slim.data.move import ScaleAndShift


@pytest.mark.parametrize("hw", [(64, 64), (48, 80), (33, 21)])
@pytest.mark.parametrize("extent", [(0.5, 0.5), (1.0, 1.0), (0.6, 1.5)])
def test_it_is_the_librarys_own(hw, extent, rng):
    options = {"scale": extent, "keep_ratio": True, "translate_percent": (-0.3, 0.3), "fill": 127}
    theirs, ours = A.Affine(**options, p=1.0), ScaleAndShift(**options, p=1.0)
    corners = np.sort(rng.random((7, 2, 2), np.float32), axis=1).reshape(7, 4)
    rows = np.concatenate([corners, rng.integers(0, 9, (7, 1)).astype(np.float32)], axis=1)
    image = rng.integers(0, 256, (*hw, 3), dtype=np.uint8)
    for seed in range(5):
        for step in (theirs, ours):
            step.set_random_seed(seed)
        expected, found = (step(image=image, bboxes=rows) for step in (theirs, ours))
        np.testing.assert_array_equal(found["image"], expected["image"])
        moved = found["bboxes"]  # the library leaves out what is outside; `apply` does it later
        moved = moved[(moved[:, 2:4] > 0).all(axis=1) & (moved[:, :2] < 1).all(axis=1)]
        np.testing.assert_allclose(moved, expected["bboxes"], atol=1e-5)


def test_no_boxes_are_fine(rng):
    step = ScaleAndShift(scale=(0.6, 1.5), translate_percent=(-0.3, 0.3), fill=127, p=1.0)
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert step(image=image, bboxes=np.empty((0, 5), np.float32))["bboxes"].shape == (0, 5)
