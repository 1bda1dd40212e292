"""Colours change as the matrix says, and grey stays grey."""

import colorsys

import numpy as np
import pytest

from yolo_slim.data.colour import ColourTwist, colour_matrix


def test_nothing_asked_is_the_identity():
    image = np.arange(256 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    np.testing.assert_allclose(colour_matrix(0, 1, 1), np.eye(3), atol=1e-6)
    same = ColourTwist(0, 1, 1, p=1)(image=image)["image"]
    np.testing.assert_array_equal(same, image)


@pytest.mark.parametrize("hue", [-0.5, -0.1, 0.05, 0.3])
@pytest.mark.parametrize("saturation", [0, 0.5, 2])
def test_grey_stays_grey_and_only_exposure_moves_it(hue, saturation):
    grey = colour_matrix(hue, saturation, 1.25) @ np.full(3, 100.0)
    np.testing.assert_allclose(grey, 125, atol=1e-3)


def test_turns_add_up_and_come_back():
    twice = colour_matrix(0.1, 1, 1) @ colour_matrix(0.15, 1, 1)
    np.testing.assert_allclose(twice, colour_matrix(0.25, 1, 1), atol=1e-5)
    np.testing.assert_allclose(colour_matrix(1, 1, 1), np.eye(3), atol=1e-5)


@pytest.mark.parametrize("rgb", [(160, 110, 90), (90, 150, 100), (100, 100, 170)])
@pytest.mark.parametrize("turn", [-0.05, 0.05])
def test_small_turns_go_the_way_of_the_hue_circle(rgb, turn):
    """Against HSV, whose hue is another angle round the same axis."""
    hue = colorsys.rgb_to_hsv(*rgb)[0]
    moved = colour_matrix(turn, 1, 1) @ np.array(rgb, np.float64)
    found = colorsys.rgb_to_hsv(*moved)[0] - hue
    assert abs((found + 0.5) % 1 - 0.5 - turn) < 0.03


def test_factors_are_as_likely_below_one_as_above():
    twist = ColourTwist(0, 1, 2, p=1)
    twist.set_random_seed(3)
    grey = np.full((4, 4, 3), 100, np.uint8)
    values = np.array([twist(image=grey)["image"][0, 0, 0] for _ in range(400)])
    assert values.min() >= 50 and values.max() <= 200
    assert 0.4 < (values < 100).mean() < 0.6
