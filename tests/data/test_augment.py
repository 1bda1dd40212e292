"""Whatever is done to a picture, boxes stay on what they mark."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from yolo_slim.data.augment import Augmentation, apply, build_augmentation, reseed
from yolo_slim.data.mixing import mosaic

GROUND, INK = 127, 255


def _painted(
    rng: np.random.Generator, side: int = 160
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A light rectangle on dark ground, its box, its class."""
    image = np.full((side, side, 3), GROUND, np.uint8)
    left, top = rng.integers(5, side // 2, 2)
    width, height = rng.integers(12, side // 2 - 5, 2)
    image[top : top + height, left : left + width] = INK
    box = np.array([[left, top, left + width, top + height]], np.float32)
    return image, box, np.array([4])


def _blank(side: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.full((side, side, 3), GROUND, np.uint8),
        np.zeros((0, 4), np.float32),
        np.zeros(0, int),
    )


def _extent(image: np.ndarray) -> list[float]:
    """Left, top, right, bottom of the light rectangle, to parts of a pixel: by how light its
    border is. Grey around the picture counts as ground."""
    light = np.clip((image[:, :, 0].astype(float) - 127) / (INK - 127), 0, 1)
    edges = []
    for profile in (light.max(axis=0), light.max(axis=1)):
        middle = (profile * (np.arange(len(profile)) + 0.5)).sum() / profile.sum()
        edges.append((middle - profile.sum() / 2, middle + profile.sum() / 2))
    (left, right), (top, bottom) = edges
    return [left, top, right, bottom]


def test_augmented_box_is_the_painted_rectangle(rng):
    transform = build_augmentation(Augmentation(colour_p=0, affine_p=1))
    n_kept = 0
    for seed in range(60):
        reseed(transform, seed)
        image, boxes, class_ids = apply(transform, *_painted(rng))
        assert image.shape == (160, 160, 3) and image.dtype == np.uint8
        for box in boxes:
            n_kept += 1
            np.testing.assert_allclose(box, _extent(image), atol=0.3)
        assert class_ids.tolist() == [4] * len(boxes)
    assert n_kept > 50


def test_mosaic_box_is_the_painted_rectangle(rng):
    n_kept = 0
    for seed in range(60):
        place = seed % 4
        four = [_blank() for _ in range(4)]
        four[place] = _painted(rng)
        image, boxes, class_ids = mosaic(four, (128, 192), np.random.default_rng(seed))
        assert image.shape == (128, 192, 3)
        for box in boxes:
            n_kept += 1
            np.testing.assert_allclose(box, _extent(image), atol=0.3)
        assert class_ids.tolist() == [4] * len(boxes)
    assert n_kept > 30


def test_mosaic_keeps_boxes_inside_and_drops_slivers(rng):
    for seed in range(40):
        four = [_painted(rng) for _ in range(4)]
        _, boxes, _ = mosaic(four, (96, 128), np.random.default_rng(seed))
        assert boxes.dtype == np.float32
        assert (boxes >= 0).all() and (boxes <= [128, 96, 128, 96]).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 2).all()


def test_mosaic_uses_all_four_and_needs_four(rng):
    four = [(np.full((50, 70, 3), v, np.uint8), *_blank()[1:]) for v in (10, 20, 30, 40)]
    image, boxes, _ = mosaic(four, (64, 64), rng)
    assert [image[y, x, 0] for y in (0, 63) for x in (0, 63)] == [10, 20, 30, 40]
    assert boxes.shape == (0, 4)
    with pytest.raises(ValueError, match="expected 4"):
        mosaic(four[:3], (64, 64), rng)


def test_pictures_without_boxes_are_fine():
    transform = build_augmentation()
    image, boxes, class_ids = apply(transform, *_blank())
    assert image.shape == (160, 160, 3)
    assert (boxes.shape, boxes.dtype) == ((0, 4), np.float32)
    assert (class_ids.shape, class_ids.dtype) == ((0,), np.int64)


def test_boxes_over_the_border_are_cut_and_hidden_ones_go():
    transform = build_augmentation(Augmentation.none())
    boxes = np.array([[-10, 10, 30, 30], [-50, 10, 5, 30], [10, 10, 11, 40]], np.float32)
    _, kept, class_ids = apply(transform, _blank(64)[0], boxes, np.arange(3))
    np.testing.assert_allclose(kept, [[0, 10, 30, 30]])
    assert class_ids.tolist() == [0]


def test_nothing_asked_nothing_changed(rng):
    image, boxes, class_ids = _painted(rng)
    image = cv2.merge([image[:, :, 0], image[:, :, 1] // 2, image[:, :, 2] // 3])
    same = apply(build_augmentation(Augmentation.none()), image, boxes, class_ids)
    np.testing.assert_array_equal(same[0], image)
    np.testing.assert_allclose(same[1], boxes)


def test_flip_is_an_option(rng):
    only_flip = Augmentation(flip_p=1, affine_p=0, colour_p=0)
    image, boxes, class_ids = _painted(rng)
    flipped, moved, _ = apply(build_augmentation(only_flip), image, boxes, class_ids)
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    np.testing.assert_allclose(
        moved[0], [160 - boxes[0, 2], boxes[0, 1], 160 - boxes[0, 0], boxes[0, 3]]
    )


def test_colour_moves_hue_of_the_right_channels():
    """Blue, green, red order survives: a red picture stays mostly red."""
    red = np.zeros((32, 32, 3), np.uint8)
    red[:, :, 2] = 200
    transform = build_augmentation(Augmentation(flip_p=0, affine_p=0, colour_p=1))
    for seed in range(10):
        reseed(transform, seed)
        image, _, _ = apply(transform, red, *_blank()[1:])
        assert image[:, :, 2].mean() > image[:, :, :2].mean()
        assert not np.array_equal(image, red)


def test_same_seed_same_picture(rng):
    one, other = (build_augmentation() for _ in range(2))
    painted = _painted(rng)
    apply(one, *painted)  # draws before the seed is set do not matter
    for transform in (one, other):
        reseed(transform, 11)
    for left, right in zip(apply(one, *painted), apply(other, *painted), strict=True):
        np.testing.assert_array_equal(left, right)


def test_steps_draw_independently():
    """Of flips and no flips, each goes with moved and unmoved, coloured and uncoloured pictures."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[8:16, 4:12] = (200, 120, 60)
    options = Augmentation(flip_p=0.5, affine_p=0.5, scale=(1.0, 1.0), colour_p=0.5)
    transform = build_augmentation(options)
    seen = set()
    for seed in range(100):
        reseed(transform, seed)
        changed, boxes, _ = apply(transform, image, np.array([[4, 8, 12, 16]]), np.zeros(1))
        left, top = boxes[0, :2]
        moved = top != 8
        flipped = None if moved else left == 20
        coloured = not (changed.reshape(-1, 3) == (200, 120, 60)).all(axis=1).any()
        seen.add((moved, flipped, coloured))
    expected = {(False, f, c) for f in (True, False) for c in (True, False)}
    assert expected | {(True, None, True), (True, None, False)} <= seen


IMPORT_WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "albumentations":
            os._exit(0 if os.environ.get("NO_ALBUMENTATIONS_UPDATE") == "1" else 3)

sys.meta_path.insert(0, Watch())
import yolo_slim.data.augment
os._exit(4)
"""


def test_the_version_check_over_the_network_is_off_before_albumentations_is_imported():
    environment = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", IMPORT_WATCH], env=environment)
    assert done.returncode == 0
