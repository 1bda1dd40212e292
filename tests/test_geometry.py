"""Boxes follow pixels from picture to input and back; the input is OpenCV's to the byte."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_slim.errors import InputError
from yolo_slim.geometry import (
    BORDER_GREY,
    Frame,
    clip,
    frame_for,
    letterbox,
    render,
    stretch,
    to_blob,
    to_image,
    to_input,
    to_planes,
    visible,
)

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
modes = st.sampled_from(["stretch", "letterbox"])


@settings(deadline=None)
@given(modes, sizes, sizes, st.integers(0, 2**32 - 1))
def test_boxes_come_back_from_the_input(mode, image_hw, input_hw, seed):
    frame = frame_for(mode, image_hw, input_hw)
    boxes = np.random.default_rng(seed).uniform(-50, 5050, (5, 4))
    np.testing.assert_allclose(to_image(frame, to_input(frame, boxes)), boxes, atol=1e-6, rtol=1e-9)
    single = boxes.astype(np.float32)
    again = to_image(frame, to_input(frame, single))
    assert again.dtype == np.float32
    # float32 keeps seven digits of the input's pixels, offset included.
    tolerance = 1e-6 * max(*input_hw, 5050) / min(frame.scale_x, frame.scale_y) + 1e-2
    np.testing.assert_allclose(again, single, atol=tolerance)


@settings(deadline=None)
@given(sizes, sizes)
def test_stretched_picture_fills_the_input(image_hw, input_hw):
    corner = np.array([[0, 0, image_hw[1], image_hw[0]]], np.float64)
    filled = to_input(stretch(image_hw, input_hw), corner)
    np.testing.assert_allclose(filled, [[0, 0, input_hw[1], input_hw[0]]])


@settings(deadline=None)
@given(sizes, sizes)
def test_letterboxed_picture_is_whole_pixels_centred_and_touches_two_sides(image_hw, input_hw):
    corner = np.array([[0, 0, image_hw[1], image_hw[0]]], np.float64)
    left, top, right, bottom = to_input(letterbox(image_hw, input_hw), corner)[0]
    for edge in (left, top, right, bottom):
        assert abs(edge - round(edge)) < 1e-6
    assert 0 <= left < right <= input_hw[1] + 1e-6 and 0 <= top < bottom <= input_hw[0] + 1e-6
    assert round(right - left) == input_hw[1] or round(bottom - top) == input_hw[0]
    assert 0 <= round((input_hw[1] - right) - left) <= 1
    assert 0 <= round((input_hw[0] - bottom) - top) <= 1


def test_a_letterbox_by_hand():
    assert letterbox((50, 100), (80, 80)) == Frame(0.8, 0.8, 0.0, 20.0)
    boxes = np.array([[10, 10, 20, 30]])
    np.testing.assert_allclose(to_input(letterbox((50, 100), (80, 80)), boxes), [[8, 28, 16, 44]])


@settings(deadline=None, max_examples=25)
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(0, 99))
def test_stretch_is_what_opencv_does_to_the_byte(image_hw, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*image_hw, 3), dtype=np.uint8)
    rendered = render(image, stretch(image_hw, (48, 64)), (48, 64))
    np.testing.assert_array_equal(rendered, cv2.resize(image, (64, 48)))
    blob = cv2.dnn.blobFromImage(image, 1 / 255, (64, 48), swapRB=True, crop=False)[0]
    np.testing.assert_array_equal(to_blob(rendered), blob)
    assert to_blob(rendered).flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("image_hw", [(90, 160), (160, 90), (333, 100), (64, 64)])
def test_a_painted_box_is_where_the_frame_says(mode, image_hw):
    image = np.zeros((*image_hw, 3), np.uint8)
    box = np.array([[20, 30, 60, 50]], np.float64)
    image[30:50, 20:60] = 255
    frame = frame_for(mode, image_hw, (128, 192))
    rendered = render(image, frame, (128, 192))
    rows, columns = np.nonzero(rendered.min(axis=2) > 180)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(to_input(frame, box)[0], found, atol=1)


def test_what_a_letterbox_leaves_is_grey():
    image = np.full((50, 100, 3), 255, np.uint8)
    rendered = render(image, letterbox((50, 100), (80, 80)), (80, 80))
    assert (rendered[:20] == BORDER_GREY).all() and (rendered[60:] == BORDER_GREY).all()
    assert (rendered[20:60] == 255).all()


def test_no_boxes_stay_no_boxes():
    empty = np.zeros((0, 4), np.float32)
    assert to_input(stretch((5, 5), (9, 9)), empty).shape == (0, 4)
    assert clip(empty, (5, 5)).shape == (0, 4)
    assert visible(empty, empty, 0.3, 2).shape == (0,)


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="'squash'"):
        frame_for("squash", (5, 5), (9, 9))  # type: ignore[arg-type]


def test_clipped_boxes_stay_while_enough_is_visible():
    boxes = np.array([[-10, 0, 10, 20], [-90, 0, 10, 20], [5, 5, 6, 15]], np.float32)
    inside = clip(boxes, (20, 30))
    np.testing.assert_array_equal(inside[:2], [[0, 0, 10, 20], [0, 0, 10, 20]])
    np.testing.assert_array_equal(visible(inside, boxes, 0.3, 2.0), [True, False, False])


def test_planes_are_colours_or_luma():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    np.testing.assert_array_equal(to_planes(image), image[:, :, ::-1].transpose(2, 0, 1))
    luma = image @ np.array([0.114, 0.587, 0.299])
    assert np.abs(to_planes(image, 1)[0] - luma).max() <= 0.51
    assert to_blob(image, 1).shape == (1, 4, 5)
    with pytest.raises(InputError, match="channels=4"):
        to_planes(image, 4)
