"""Drawing gives a new picture, marks the border of each box, and copes with every edge."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_slim.detections import Detections
from yolo_slim.video.draw import class_colour, draw

NAMES = ["cat", "dog"]


def grey(height: int = 120, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def boxes(*boxes_xyxy: tuple[float, float, float, float], class_id: int = 0) -> Detections:
    n = len(boxes_xyxy)
    return Detections(
        np.array(boxes_xyxy, np.float32).reshape(n, 4),
        np.linspace(0.9, 0.5, n, dtype=np.float32),
        np.full(n, class_id),
    )


def test_the_input_stays_and_the_border_changes() -> None:
    image = grey()
    drawn = draw(image, boxes((40, 50, 100, 110)), NAMES)
    assert (image == 90).all()
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    colour = np.array(class_colour(0))
    for border in (drawn[110, 60:101], drawn[60:111, 40], drawn[60:111, 100]):
        assert (border == colour).all()
    assert (drawn[60:100, 50:90] == 90).all(), "the inside of a box stays visible"


def test_a_label_without_its_score_is_shorter() -> None:
    found = boxes((10, 50, 150, 110))
    with_score = draw(grey(), found, NAMES)
    without = draw(grey(), found, NAMES, with_scores=False)
    changed = np.flatnonzero((with_score != without).any(axis=(0, 2)))
    assert changed.size and changed.min() > 20 and changed.max() < 150


def test_nothing_found_gives_an_equal_picture() -> None:
    image = grey()
    drawn = draw(image, Detections.empty(), NAMES)
    assert (drawn == image).all()
    assert drawn is not image


@pytest.mark.parametrize(
    "box_xyxy",
    [
        (-30, -30, 500, 500),
        (-1e9, 40, 1e9, 80),
        (155, 100, 170, 130),
        (20, 0, 60, 30),
        (50, 60, 50, 60),
    ],
    ids=["larger than the picture", "huge", "over the corner", "at the top", "a point"],
)
def test_a_box_at_the_edge_is_drawn(box_xyxy: tuple[float, float, float, float]) -> None:
    assert (draw(grey(), boxes(box_xyxy), NAMES) != 90).any()


def test_a_box_wholly_outside_is_not_drawn() -> None:
    outside = boxes((-50, 10, -5, 60), (200, 10, 260, 60), (10, 130, 60, 150))
    assert (draw(grey(), outside, NAMES) == 90).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 500), (500, 8)])
def test_a_picture_too_small_for_the_label_is_drawn_on(size: tuple[int, int]) -> None:
    assert draw(grey(*size), boxes((0, 0, 400, 400)), ["a rather long name"]).shape == (*size, 3)


def test_lines_and_labels_grow_with_the_picture() -> None:
    def changed_share(factor: int) -> float:
        box = tuple(edge * factor for edge in (100, 150, 300, 350))
        drawn = draw(grey(400 * factor, 400 * factor), boxes(box), NAMES)
        return (drawn != 90).any(axis=2).mean()

    assert changed_share(4) == pytest.approx(changed_share(2), rel=0.3)


def test_a_label_tells_the_class_and_the_score() -> None:
    box, again = boxes((40, 50, 100, 110)), boxes((40, 50, 100, 110), class_id=1)
    assert (draw(grey(), box, ["cat"]) != draw(grey(), box, ["cow"])).any()
    lower = Detections(box.boxes_xyxy, box.scores / 2, box.class_ids)
    assert (draw(grey(), box, NAMES) != draw(grey(), lower, NAMES)).any()
    assert (draw(grey(), again, ["cat"]) == draw(grey(), again, ["cat", "class 1"])).all()
    assert (draw(grey(), box, ["Älg"]) == draw(grey(), box, ["Alg"])).all()


def test_classes_have_fixed_colours_that_can_be_told_apart() -> None:
    colours = np.array([class_colour(k) for k in range(80)])
    assert (colours == [class_colour(k) for k in range(80)]).all()
    distances = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(80)
    assert distances[:20, :20].min() > 60
    assert distances.min() > 0


def test_another_kind_of_picture_is_refused() -> None:
    for wrong in (grey()[..., 0], grey().astype(np.float32), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            draw(wrong, Detections.empty(), NAMES)
